"""Verdicts of a judge: how they are read, what they come to, and how far a person agrees."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from runner.checks.agreed import Agreed
from runner.checks.program import Program, counting_of, digest_of
from runner.checks.score import BadReference, Scored, verdict
from runner.checks.sheet import Sheet
from runner.checks.tally import Form
from runner.checks.verdict import Said, Verdicts
from runner.compile.readings import Reader
from runner.job.checks import Check, Ignore, Judge, Kind, Lacking
from runner.job.project import Evals
from runner.job.scored import Agreement
from runner.stats.agreement import cohens_kappa
from tests.checks.test_program import NONE, check, row_of, source

WORTH = {"good": 1, "partly": 0.5, "bad": 0}
IGNORED = (Ignore.CASE, Ignore.SPACE)


def judged(human: str = "", worth: dict[str, float] = WORTH, **more: Any) -> Check:  # type: ignore[assignment]
    judge = Judge("grade", "judge", worth, source(human) if human else None)
    found = check(Kind.JSON, judge=judge, ignore=IGNORED, unreadable=Lacking.EXCLUDED, **more)
    return type(found)(**{**{name: getattr(found, name) for name in found.__struct_fields__}, "kind": Kind.JUDGE})


@pytest.mark.parametrize(
    ("said", "reads"),
    [
        ("good", "good"),
        ("**Good**.", "good"),
        ("I would call it partly right: partly", "partly"),
        ("good, not bad", None),
        ("", None),
        ("excellent", None),
        ('{"verdict": "bad", "reason": "good style, bad facts"}', "bad"),
        ('\n {"reason": "not good", "verdict": "Good"}\n', "good"),
        ('{"verdict": null, "reason": "good"}', None),
        ('{"verdict": ["good", "bad"]}', None),
        ('{"score": "good"}', "good"),  # JSON without the key is a text like any other
        ('{"verdict": "good"', "good"),  # and so is what is no JSON
        ('{"a": {"verdict": "bad"}, "b": "good"}', None),
    ],
)
def test_a_verdict_is_read_like_a_choice_and_of_json_from_its_key(said: str, reads: str | None) -> None:
    assert Verdicts(WORTH, IGNORED).named_in(said) == reads


def test_of_json_a_number_or_a_yes_is_a_verdict_as_it_is_written() -> None:
    numbers = Verdicts({"1": 1, "0": 0}, IGNORED)
    assert [numbers.named_in(json.dumps({"verdict": one})) for one in (1, 0, "1", 2)] == ["1", "0", "1", None]
    assert Verdicts({"true": 1, "false": 0}, ()).named_in('{"verdict": true}') == "true"


def test_verdicts_are_worth_what_the_spec_says() -> None:
    judge = verdict(Verdicts(WORTH, IGNORED))
    assert [judge(one, ())[:4] for one in ("good", "bad", "partly", "no idea")] == [
        ("right", 1, 1, "good"),
        ("wrong", 0, 1, "bad"),
        ("partly", 0.5, 1, "partly"),
        ("unreadable", 0, 1, None),
    ]
    assert judge("good", ["BAD"]).expected == "bad"
    with pytest.raises(BadReference, match="`fine` is none of the verdicts"):
        judge("good", ["fine"])


def statuses(one: Check, rows: list[tuple[dict[str, Any], Any, Said]]) -> list[Scored]:
    program = Program(Evals((one,)))
    reader = Reader(program.readings, needs_values=program.needs_values)
    try:
        done = [*(read for row in rows for read in reader.push(row_of(*row[:2]))), *reader.rest()]
    finally:
        reader.close()
    (read,) = done
    found, problems = program.scored(read, {one.name: [row[2] for row in rows]})
    assert not problems
    return found[one.name]


YES, ASKED, NOT = Said(True, "good"), Said(True), Said(False)


def test_what_the_judge_failed_at_is_unreadable_and_what_it_was_not_asked_is_skipped() -> None:
    rows: list[tuple[dict[str, Any], Any, Said]] = [
        ({"a": 1}, "an answer", YES),
        ({"a": 1}, "an answer", ASKED),  # the judge gave an error, or said nothing
        ({"a": 1}, "an answer", NOT),  # outside of the sample
        ({"a": 1}, NONE, NOT),
        ({"a": 1}, None, NOT),  # a refusal: there is nothing to judge
        ({"a": 2}, NONE, NOT),
        ({"a": 2}, "an answer", NOT),
    ]
    found = statuses(judged(where="{{ a == 1 }}"), rows)
    assert [one.status for one in found] == [
        "right",
        "unreadable",
        "skipped",
        "unanswered",
        "unreadable",
        "skipped",
        "skipped",
    ]


def test_a_persons_verdict_stands_beside_the_judges_and_is_not_needed() -> None:
    rows = [({"hand": hand}, "an answer", YES) for hand in ("bad", "", None)]
    assert [(one.status, one.got, one.expected) for one in statuses(judged("{{ hand }}"), rows)] == [
        ("right", "good", "bad"),
        ("right", "good", None),
        ("right", "good", None),
    ]


def test_right_and_wrong_alone_are_a_rate_and_anything_between_a_score() -> None:
    assert counting_of(judged()).form is Form.SCORE
    assert counting_of(judged(worth={"yes": 1, "no": 0})).form is Form.RATE


def test_the_signature_names_judge_and_worth_and_older_checks_are_told_as_before() -> None:
    (held,) = Program(Evals((judged(),))).checks
    assert held.signature(9).startswith("judge|prompt:grade|model:judge|verdicts:good=1,partly=0.5,bad=0|ignore:")
    assert "|unreadable:excluded|" in held.signature(9) and held.signature(9).endswith("|ci:wilson-neff,95|checks/1")
    plain = check(Kind.EQUALS, "{{ truth }}")
    assert digest_of(Evals((plain,))) == "8ceefa7a2bcf0d64ac5ece8aa2d88ce69bd238638ce9f92344cc8e528dea10f3"
    assert digest_of(Evals((judged(),))) != digest_of(Evals((judged("{{ hand }}"),)))


# --- a person's verdicts ----------------------------------------------------------------------------------------------


def one(got: str | None, expected: str | None) -> Scored:
    if got is None:
        return statuses(judged(), [({}, "a", ASKED)])[0]._replace(expected=expected)
    return verdict(Verdicts(WORTH, IGNORED))(got, [expected] if expected else [])


def agreement_of(rows: list[Scored], clusters: tuple[str | None, ...] = ()) -> Agreement | None:
    agreed = Agreed(counting_of(judged("{{ hand }}")))
    half = len(rows) // 2
    agreed.add_all(rows[:half], clusters[:half])
    agreed.add_all(rows[half:], clusters[half:])
    return agreed.agreement()


def test_agreement_is_of_the_rows_that_both_judged() -> None:
    rows = [one("good", "good")] * 20 + [one("good", "bad")] * 5 + [one("bad", "good")] * 10 + [one("bad", "bad")] * 15
    found = agreement_of([*rows, one("good", None), one(None, "bad")])
    assert found is not None
    # judge down, person across: the simple example of Wikipedia's page on Cohen's kappa
    assert (found.raw, found.kappa.value, found.kappa.n) == (0.7, pytest.approx(0.4), 50)
    assert found.kappa.se == cohens_kappa([[20, 5], [10, 15]]).kappa_se
    assert found.confusion == (("bad", "bad", 15), ("bad", "good", 5), ("good", "bad", 10), ("good", "good", 20))
    assert agreement_of([one("good", None)]) is None


def test_the_corrected_mean_is_the_judges_and_what_a_person_puts_right() -> None:
    rows = [one("good", None)] * 6 + [one("bad", None)] * 2 + [one("good", "partly"), one("bad", "bad")]
    found = agreement_of(rows)
    assert found is not None
    judge, labelled = 7 / 10, [0.5 - 1, 0.0]
    assert found.corrected.value == pytest.approx(judge + sum(labelled) / 2)
    assert (found.corrected.n, found.corrected.clusters) == (2, 2)
    influences = [(j - judge) / 10 for j in [1] * 6 + [0] * 2]
    influences += [(j - judge) / 10 + (d + 0.25) / 2 for j, d in zip([1, 0], labelled, strict=True)]
    assert found.corrected.se == pytest.approx((10 / 9 * sum(psi * psi for psi in influences)) ** 0.5)


def test_where_each_row_is_its_own_cluster_all_is_as_without_and_order_does_not_matter() -> None:
    chance = random.Random(7)
    rows = [
        one(chance.choice(["good", "bad", "partly"]), chance.choice(["good", "bad", None, None])) for _ in range(300)
    ]
    alone = agreement_of(rows)
    assert alone == agreement_of(rows, tuple(f"c{n}" for n in range(300)))
    chance.shuffle(rows)
    assert alone == agreement_of(rows)


def test_one_label_says_nothing_of_how_sure_it_is() -> None:
    found = agreement_of([one("good", "bad"), one("good", None), one("bad", None)])
    assert found is not None
    assert (found.corrected.low, found.corrected.high) == (0, 1)
    assert (found.kappa.low, found.kappa.high) == (None, None)


def test_the_interval_of_the_corrected_mean_holds_the_truth() -> None:
    """1,000 runs of a judge that is too kind: 30 of 300 answers are labelled."""
    chance, held = random.Random(20261130), 0
    for _ in range(1000):
        rows = []
        for number in range(300):
            person = "good" if chance.random() < 0.6 else "bad"
            judge = "good" if person == "good" or chance.random() < 0.4 else "bad"
            rows.append(verdict(Verdicts(WORTH, IGNORED))(judge, [person] if number < 30 else []))
        found = agreement_of(rows)
        assert found is not None and found.corrected.low is not None and found.corrected.high is not None
        held += found.corrected.low <= 0.6 <= found.corrected.high
    assert held >= 915  # of 950: what is put right is skewed, a few errors of one sign


def test_a_sheet_holds_it_where_a_person_has_judged() -> None:
    for human, is_there in (("{{ hand }}", True), ("", False)):
        (held,) = Program(Evals((judged(human),))).checks
        sheet = Sheet({"x": held.column})
        rows = [one("good", "good"), one("partly", "bad"), one(None, "bad")]
        sheet.add({"x": rows}, [True] * 3)
        found = sheet.summary("x", better="higher", signature="")
        assert (found.agreement is not None) is is_there
        assert (found.form, found.figure.value, found.figure.n) == ("score", 0.75, 2)
        assert found.left_out == ("unreadable",)
