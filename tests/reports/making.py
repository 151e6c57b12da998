"""A run of a helpdesk, made up: four jobs over the same tickets, and facts whose numbers really come from the rows."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

from runner.checks.paired import Paired
from runner.checks.score import Scored, Status
from runner.checks.slicing import Slicing
from runner.checks.tally import Counting, Form, Tally
from runner.reports import facts as f
from runner.stats.intervals import Interval
from runner.stats.multiple import benjamini_hochberg
from runner.stats.power import detectable

JOBS = (("qwen", "taught", 0.84), ("llama", "taught", 0.825), ("qwen", "short", 0.77), ("llama", "short", 0.73))
CLASSES = ("billing", "cancel", "delivery", "login", "other", "refund")
TEXTS = (
    "My parcel for order {n} has not come, where is it?",
    "I cannot sign in since the update, it says my password is wrong. My name is {name}.",
    "Why is there a fee of {n} euros on my bill? Please explain it to me.",
    "End my plan at the end of the month. Order {n}.",
)
ENDS = ("It is on its way.", "I have asked the carrier.", "Is there anything else I can do?")
ENDS = ("It is on its way.", "I have asked the carrier.", "Is there anything else I can do?")
NAMES = ("Clara", "Sofia", "Emma", "Noah", "Ada")
HOSTILE = {
    2: "</script><script>document.title='owned'</script>",
    5: "<img src=x onerror=\"document.title='owned'\"> & <b>bold</b>",
    9: "reads backwards: \u202egnp.exe and \u2066isolated\u2069",
    12: "line\u2028separator\u2029paragraph\x00nul\x1b[31mred\ud800",
    15: "'; alert(1); //\n<!-- --> ]]> {{ 7*7 }} {% raw %}",
}


@cache
def rows(number: int, seed: int = 1, longest: int = 0) -> tuple[f.Row, ...]:
    """longest: characters of the longest answer."""
    rng = random.Random(seed)
    return tuple(_row(n, rng, longest if n == 20 else 0) for n in range(1, number + 1))


def _row(n: int, rng: random.Random, longest: int) -> f.Row:
    truth, name, order = rng.choice(CLASSES), rng.choice(NAMES), str(rng.randrange(10_000, 99_999))
    language = rng.choices(("en", "de", "es", "ja"), (54, 20, 16, 10))[0]
    text = HOSTILE.get(n) or rng.choice(TEXTS).format(n=order, name=name)
    skill = rng.gauss(0, 0.15) - (0.15 if language == "ja" else 0)
    answers = tuple(_answer(n, rng, truth, name, rate + skill, longest) for _, _, rate in JOBS)
    columns = {
        "ticket": text,
        "language": language,
        "channel": rng.choice(("email", "chat")),
        "name": name,
        "order": order,
    }
    return f.Row(f"T-{n:05}", columns, answers, {"language": language, "channel": columns["channel"]})


def _answer(n: int, rng: random.Random, truth: str, name: str, rate: float, longest: int) -> f.Answer:
    chance = rng.random()
    digest, batch = f"{rng.getrandbits(256):064x}", "batch_42"
    if chance > 0.995:
        missing = f.Held("unanswered", None, None, truth)
        checks = (missing, f.Held("unanswered"), f.Held("unanswered"), f.Held("unanswered"))
        return f.Answer(None, "expired: the batch expired before this request ran", None, digest, None, checks)
    got = truth if rng.random() < rate else rng.choice([one for one in CLASSES if one != truth])
    is_read = chance > 0.02
    told = f"Intent: {got}\n" if is_read else ""
    thanks, more = rng.choice(("thank you", "thanks")), rng.choice(ENDS)
    words = HOSTILE.get(n) or f"Dear {name}, {thanks} for writing. {more}"
    body = f"{told}{words}" + ("x" * longest)
    intent = (
        f.Held("right" if got == truth else "wrong", float(got == truth), got, truth)
        if is_read
        else f.Held("unreadable", 0.0, None, truth)
    )
    has_order = rng.random() < rate + 0.1
    contains = f.Held("right" if has_order else "wrong", float(has_order), None, "order")
    graded = rng.choice((0.0, 0.5, 1.0, 1.0, 1.0))
    status: f.StatusWord = "right" if graded == 1 else "wrong" if graded == 0 else "partly"
    tone = f.Held(status, graded, None, None, "friendly and <b>complete</b>" if graded else "answers another question")
    length = f.Held("measured", float(len(words.split())), str(len(words.split())))
    return f.Answer(body, None, "length" if chance < 0.004 else "stop", digest, batch, (intent, contains, tone, length))


CHECKS = (
    ("intent", "choice", Counting()),
    ("order_id", "contains", Counting()),
    ("tone", "judge", Counting(Form.SCORE, unreadable_is_wrong=False)),
    ("length", "measure", Counting(Form.NUMBER)),
)


def scored(held: f.Held) -> Scored:
    status = Status(held.status)
    if status in (Status.UNREADABLE, Status.UNANSWERED):
        return Scored(status, 0, 1)
    return Scored(status, held.score or 0.0, 1)


def facts(of: Sequence[f.Row], *, project: str = "helpdesk") -> f.Facts:
    cells = tuple(_cell(of, at) for at in range(len(JOBS)))
    group = f.Group("reply", cells, tuple(_comparisons(of, cells)), tuple(_slices(of, cells)))
    return f.Facts(
        project=project,
        when="2026-11-29T08:41:00Z",
        made_by="runner 0.1.0",
        groups=(group,),
        budget_usd=50.0,
        commit="1c9d7fe0a1b2c3d4e5f6",
    )


def source(of: Sequence[f.Row]) -> f.Rows:
    def of_group(_: str) -> Iterator[f.Row]:
        return iter(of)

    return of_group


def _cell(of: Sequence[f.Row], at: int) -> f.Cell:
    model, prompt, _ = JOBS[at]
    answers = [row.answers[at] for row in of]
    there = [one for one in answers if one is not None]
    failed = sum(one.text is None for one in there)
    checks = tuple(_check(there, number) for number in range(len(CHECKS)))
    cut = sum(one.finish == "length" for one in there)
    output = f"results/reply-{model}-{prompt}.jsonl"
    return f.Cell(
        address=f"reply:model={model},prompt={prompt}",
        label=f"{model} · {prompt}",
        axes={"model": model, "prompt": prompt},
        accounting=f.Accounting(len(there), len(there) - failed, failed),
        checks=checks,
        gates=tuple(_gates(checks, len(there), failed)),
        failures=(f.Failure("expired", "the batch expired before this request ran", failed, "T-1"),) if failed else (),
        endings=(f.Ending("length", "cut at the token limit", cut),) if cut else (),
        usage=f.Usage(2_100_000 + at, 0, 900_000, None, 5.2 + at * 0.4),
        provenance=f.Provenance(
            provider="fireworks",
            model=f"accounts/x/{model}-32b",
            answered_as={f"{model}-32b-0915": len(there) - failed},
            params={"max_tokens": 200, "temperature": 0},
            data=("data/tickets.jsonl",),
            requests_sha256=f"{at}a" * 32,
            prompt=prompt,
            prompt_sha256=f"{at}b" * 32,
            output=output,
            output_sha256=f"{at}c" * 32,
            scores=output.replace(".jsonl", ".scores.jsonl"),
            batches=("batch_42",),
        ),
    )


def ends(interval: Interval | None) -> tuple[float | None, float | None]:
    low, high = interval or (None, None)
    return (low if low is not None and math.isfinite(low) else None, high if high and math.isfinite(high) else None)


def number_of(tally: Tally) -> f.Number:
    found = tally.numbers()
    low, high = ends(found.interval)
    return f.Number(found.value, low, high, found.n, found.clusters)


def _check(answers: Sequence[f.Answer], number: int) -> f.Check:
    name, kind, counting = CHECKS[number]
    tally = Tally(counting)
    confused: Counter[tuple[str, str | None]] = Counter()
    for answer in answers:
        held = answer.checks[number]
        tally.add(scored(held))
        if held.status in ("wrong", "unreadable") and kind == "choice":
            confused[held.expected or "", held.got] += 1
    return f.Check(
        name=name,
        kind=kind,
        form=counting.form.value,  # type: ignore[arg-type]
        number=number_of(tally),
        statuses={status.value: rows for status, rows in tally.accounting().items()},  # type: ignore[misc]
        counts_wrong=("wrong", "unreadable") if counting.unreadable_is_wrong else ("wrong",),
        signature=f"{kind}|unreadable:wrong|unanswered:excluded|checks/1",
        confusion=tuple(f.Confused(*pair, rows) for pair, rows in confused.most_common(5)),
    )


def _gates(checks: Sequence[f.Check], wanted: int, failed: int) -> Iterator[f.Gate]:
    for check, bound, written in ((checks[0], 0.85, ">= 85 %"), (checks[1], 0.8, ">= 80 %")):
        value = check.number.value or 0.0
        yield f.Gate(check.name, written, "met" if value >= bound else "unmet", f"it is {value}", check.number, bound)
    share = 1 - failed / wanted if wanted else 0.0
    yield f.Gate("answered", ">= 98 %", "met" if share >= 0.98 else "unmet", "", f.Number(share, n=wanted), 0.98)
    decide = "12 unanswered rows decide: 91.2 % without them, 89.9 % if they are wrong"
    yield f.Gate("tone", ">= 90 %", "undecided", decide, way_out="`runner retry reply` asks again what failed")


def _comparisons(of: Sequence[f.Row], cells: Sequence[f.Cell]) -> Iterator[f.Comparison]:
    for number, (name, _, counting) in enumerate(CHECKS):
        for at in range(1, len(cells)):
            pairing = Paired(counting)
            for row in of:
                best, other = row.answers[0], row.answers[at]
                if best is not None and other is not None:
                    pairing.add(scored(best.checks[number]), scored(other.checks[number]))
            found = pairing.difference()
            figure = found.figure
            low, high = ends(None if figure.low is None or figure.high is None else Interval(figure.low, figure.high))
            pairs = dict(zip(("both", "only_first", "only_second", "neither"), found.pairs or (None,) * 4, strict=True))
            yield f.Comparison(
                check=name,
                first=cells[0].address,
                second=cells[at].address,
                difference=f.Number(figure.value, low, high, figure.n, figure.clusters),
                p=found.p,
                detectable=detectable(figure.se) if figure.se is not None and math.isfinite(figure.se) else None,
                **pairs,
            )


def _slices(of: Sequence[f.Row], cells: Sequence[f.Cell]) -> list[f.Slice]:
    found: list[f.Slice] = []
    differences: list[float] = []
    for at, cell in enumerate(cells):
        for name in ("language", "channel"):
            slicing, tallies = Slicing(Counting()), {}
            for row in of:
                answer = row.answers[at]
                if answer is not None:
                    one = scored(answer.checks[0])
                    slicing.add(one, row.slices[name])
                    tallies.setdefault(row.slices[name], Tally(Counting())).add(one)
            for value, tally in sorted(tallies.items()):
                part = slicing.part(value)
                differences.append(part.difference if part else 0.0)
                rows = sum(tally.counts.values())
                number = number_of(tally)
                found.append(f.Slice(name, value, "intent", cell.address, rows, number, part.p if part else None))
    corrected = benjamini_hochberg([one.p if one.p is not None else 1.0 for one in found])
    return [
        f.Slice(one.name, one.value, one.check, one.address, one.rows, one.number, p, _direction(p, difference))
        for one, p, difference in zip(found, corrected, differences, strict=True)
    ]


def _direction(p: float, difference: float) -> str:  # type: ignore[return]
    return "" if p >= 0.05 else "worse" if difference < 0 else "better"
