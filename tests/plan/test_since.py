"""A fold that goes on from the last one is a fold of all: whatever comes of the batches in flight, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.job.desired import Desired
from runner.job.observed import Counts, Failure, FailureKind, Phase
from runner.job.packed import KEY_BYTES, keys_of
from runner.job.recorded import Stage
from runner.plan import remaining
from runner.plan.remaining import BatchRows, JobRows, RetryRows, Row
from runner.plan.since import Folds
from tests.plan.making import NOW, THERE, batch, job, packed

LETTERS = [f"request {n}" for n in range(24)]
OUTCOMES = ["ok", "ok", "ok", "ok", "final", "retry", "lost", "unpaid", "late", "invalid", "rejected"]
BUSY = Failure(FailureKind.QUOTA, "busy", "later")

# What may become of a batch: its outcomes by row (all answered, mostly), or fields of a record without any
outcomes = st.one_of(
    st.just(["ok"]), st.just(["ok"]), st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=6),
).map(lambda outcomes: {"outcomes": outcomes})  # fmt: skip
records = st.sampled_from([
    {}, {"seen_at": NOW + timedelta(1), "counts": Counts(9, 3, 0), "phase": Phase.RUNNING, "raw_status": "in_progress"},
    {"stage": Stage.DEFERRED, "failure": BUSY}, {"stage": Stage.INTENT}, {"stage": Stage.DROPPED},
    {"stage": Stage.SUBMITTED}, {"so_far": True}, {"generation": 1}, {"origin": THERE}, {"owner": "beta"},
])  # fmt: skip
becomes = st.one_of(outcomes, outcomes, records)
steps = st.lists(st.dictionaries(st.integers(0, 3), becomes, min_size=1, max_size=2), min_size=2, max_size=6)
cuts = st.lists(st.integers(4, 24), min_size=1, max_size=3, unique=True)
retried = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=8)


def as_it_is(name: str, letters: list[str], number: int, what: dict[str, Any]) -> BatchRows:
    if "outcomes" in what:
        told = {letter: what["outcomes"][n % len(what["outcomes"])] for n, letter in enumerate(letters)}
        fields = {
            field: value for field, value in what.items() if field in ("generation", "origin", "owner", "keys_sha256")
        }
        return batch(name, told, number, phase=Phase.COMPLETED, **fields)
    fields = {field: value for field, value in what.items() if field != "so_far"}
    entry = batch(name, letters, number, **fields)
    if "so_far" not in what:
        return entry
    index = batch(name, dict.fromkeys(letters[:2], "ok"), number).index
    return BatchRows(entry.batch, entry.keys, so_far=index, unsent=entry.keys[-16:])


def told_of(rows: JobRows) -> tuple[object, ...]:
    return (bytes(rows.states), rows.counts, rows.parents, rows.shared_with, rows.origins, rows.batches, rows.bad,
            rows.shown, +rows.answers)  # fmt: skip


def hold_to_the_fold_of_all(
    folds: Folds, jobs: list[Desired], histories: Iterable[tuple[list[BatchRows], list[RetryRows]]]
) -> None:
    for history, retries in histories:
        quick = folds.fold(jobs, history, retries, {})
        plain = remaining.fold(jobs, history, retries, {})
        assert list(map(told_of, quick)) == list(map(told_of, plain))
        for rows in quick:  # what a plan does with them changes nothing for the next
            rows.states[:] = bytes(len(rows.states))
            rows.batches.add("sent")
            rows.counts[Row.OK] += 1


@given(
    cuts=cuts, before=st.lists(st.tuples(st.lists(st.sampled_from(LETTERS), min_size=1, max_size=4, unique=True),
                                         becomes), max_size=2),
    steps=steps, sent=st.sets(st.integers(0, 6), max_size=1), other=st.lists(st.sampled_from(LETTERS), max_size=4),
    again=st.dictionaries(st.integers(0, 2), retried, max_size=1), alike=st.integers(0, 2), unwanted=st.booleans(),
    overlapping=st.sampled_from([False, False, True]), are_known=st.booleans(), retries_invalid=st.booleans(),
)  # fmt: skip
def test_it_equals_the_fold_of_all(
    cuts: list[int], before: list[tuple[list[str], dict[str, Any]]], steps: list[dict[int, dict[str, Any]]],
    sent: set[int], other: list[str], again: dict[int, list[str]], alike: int, unwanted: bool, overlapping: bool,
    are_known: bool, retries_invalid: bool,
) -> None:  # fmt: skip
    wanted = [*LETTERS[unwanted:], *LETTERS[:alike]]
    distinct = keys_of(packed(wanted)) if are_known else b""
    jobs = [job("alpha", wanted, distinct=distinct, retries_invalid=retries_invalid)]
    jobs += [job("beta", other)] if other else []
    edges = [0, *sorted(cuts)]
    parts = [LETTERS[start:end] for start, end in pairwise(edges)]
    parts += [LETTERS[3:7]] * overlapping
    first = len(before)
    folds = Folds()

    def histories() -> Iterator[tuple[list[BatchRows], list[RetryRows]]]:
        history = [as_it_is(f"before {n}", letters, n, what) for n, (letters, what) in enumerate(before)]
        history += [as_it_is(f"part {n}", letters, first + n, {}) for n, letters in enumerate(parts)]
        retries: list[RetryRows] = []
        now: dict[int, dict[str, Any]] = {}
        for number, step in enumerate([{}, *steps]):
            if number in again:
                retries = [RetryRows(1, keys_of(packed(again[number])), True)]
            for n, what in step.items():
                if n < len(parts):
                    now[n] = now.get(n, {}) | what
                    history[first + n] = as_it_is(f"part {n}", parts[n], first + n, now[n])
            if number in sent:
                what = {"keys_sha256": str(number), **WHAT_WAS_SENT[number]}
                history.append(as_it_is(f"sent {number}", LETTERS[20:], len(history), what))
                folds.sent[str(number)] = jobs[0].keys, list(range(20 - unwanted, 24 - unwanted))
            yield list(history), retries

    hold_to_the_fold_of_all(folds, jobs, histories())


OK, AGAIN, DROPPED = {"outcomes": ["ok"]}, {"outcomes": ["ok", "retry"]}, {"stage": Stage.DROPPED}
WHAT_WAS_SENT: list[dict[str, Any]] = [{}, OK, AGAIN, DROPPED, {}, {"origin": THERE}, {}]
WHAT_BECOMES: dict[str, list[dict[str, Any]]] = {
    "a second batch of the same": [{}, OK],
    "taken back": [{}, DROPPED, {}, OK],
    "taken back elsewhere": [{"origin": THERE}, DROPPED | {"origin": THERE}],
    "moved": [{}, {"origin": THERE}, {}],
    "gone elsewhere": [{}, OK | {"origin": THERE}],
    "answered and taken back": [OK, DROPPED],
    "put off": [{}, {"stage": Stage.DEFERRED, "failure": BUSY}, {}, OK],
    "not known yet": [{"stage": Stage.INTENT}, {}, AGAIN],
    "one by one": [{"so_far": True}, OK, {"so_far": True}, AGAIN],
}


@pytest.mark.parametrize("earlier", [None, OK, AGAIN, {}, {"so_far": True}], ids=str)
@pytest.mark.parametrize("what", WHAT_BECOMES.values(), ids=WHAT_BECOMES)
def test_what_else_is_said_of_its_rows(what: list[dict[str, Any]], earlier: dict[str, Any] | None) -> None:
    """One batch over all that may have been said of its rows before, beside equal rows, of the same job and another,
    and some of them asked again."""
    retry = RetryRows(1, keys_of(packed(LETTERS[:4])), True)
    for wanted, other, since in (
        (LETTERS, [], 9), ([*LETTERS, *LETTERS[:2]], [], 9), (LETTERS, LETTERS[:3], 9),
        (LETTERS, [], 0), (LETTERS, [], 1),
    ):  # fmt: skip
        before = [] if earlier is None else [as_it_is("before", LETTERS[2:5], 0, earlier)]
        at = len(before)
        histories = [
            ([*before, as_it_is("part", LETTERS[:8], at, one), as_it_is("rest", LETTERS[8:], at + 1, {})],
             [retry] if number >= since else [])
            for number, one in enumerate(what)
        ]  # fmt: skip
        distinct = keys_of(packed(wanted))
        jobs = [job("alpha", wanted, distinct=distinct), *([job("beta", other)] if other else [])]
        hold_to_the_fold_of_all(Folds(), jobs, histories)


def test_an_answered_batch_looks_nothing_up() -> None:
    """Not even a mark is written: that all rows of a batch are answered is one word."""
    jobs = [job("alpha", LETTERS, distinct=keys_of(packed(LETTERS)))]
    history = [batch(f"part {n}", LETTERS[n::3], n) for n in range(3)]
    folds = Folds()
    folds.fold(jobs, history, [], {})
    assert folds.last is not None
    marks = folds.last.said[0].marks
    for n in range(3):
        history[n] = batch(f"part {n}", dict.fromkeys(LETTERS[n::3], "ok"), n)
        (rows,) = folds.fold(jobs, list(history), [], {})
        assert folds.last is not None and folds.last.said[0].marks is marks
        assert rows.counts[Row.OK] == 8 * (n + 1) and rows.answers == dict.fromkeys(range(1, n + 2), 8)


def test_rows_of_which_nothing_is_answered_are_looked_up_alone() -> None:
    jobs = [job("alpha", LETTERS, distinct=keys_of(packed(LETTERS)))]
    history = [batch(f"part {n}", LETTERS[n::3], n) for n in range(3)]
    folds = Folds()
    folds.fold(jobs, history, [], {})
    history[1] = batch("part 1", {letter: "ok" if n else "retry" for n, letter in enumerate(LETTERS[1::3])}, 1)
    (rows,) = folds.fold(jobs, list(history), [], {})
    assert folds.last is not None and len(folds.last.said[0].states) > 4
    assert rows.counts[Row.AGAIN] == 1 and rows.counts[Row.OK] == 7 and rows.counts[Row.IN_FLIGHT] == 16


@pytest.mark.parametrize(
    "becomes", [[{}] * 3, [OK, {}, DROPPED], [{"so_far": True}, AGAIN, {"origin": THERE}]], ids=str
)
@pytest.mark.parametrize("cut", [[range(8), range(8, 16), range(16, 24)], [range(0, 24, 2), range(1, 23, 2)]], ids=str)
def test_what_was_sent_is_not_looked_up(cut: list[range], becomes: list[dict[str, Any]]) -> None:
    """The rows of a batch are known from sending it; where that does not fit what is recorded, they are looked up."""
    jobs = [job("alpha", LETTERS, distinct=keys_of(packed(LETTERS)))]
    for keys_then in (jobs[0].keys, packed([*LETTERS[1:], LETTERS[0]])):
        folds = Folds()
        hold_to_the_fold_of_all(folds, jobs, [([], [])])
        history = []
        for n, (rows, what) in enumerate(zip(cut, becomes, strict=False)):
            history.append(as_it_is(f"part {n}", [LETTERS[row] for row in rows], n, {"keys_sha256": str(n), **what}))
            at = (
                rows if keys_then is jobs[0].keys else [(row - 1) % 24 for row in rows]
            )  # of other rows of the job then
            folds.sent[str(n)] = keys_then, sorted(at)
        hold_to_the_fold_of_all(folds, jobs, [(list(history), []), (list(history), [])])
        history[0] = as_it_is("part 0", [LETTERS[row] for row in cut[0]], 0, OK)
        history.append(batch("again", LETTERS[3:5], 9, keys_sha256="again"))
        folds.sent["again"] = jobs[0].keys, range(3, 5)
        hold_to_the_fold_of_all(folds, jobs, [(list(history), [])])


def test_what_was_sent_is_known_from_sending_it() -> None:
    jobs = [job("alpha", LETTERS, distinct=keys_of(packed(LETTERS)))]
    folds = Folds()
    folds.fold(jobs, [], [], {})
    folds.sent["sha"] = jobs[0].keys, range(4, 12)
    asked = BatchRows(batch("part", LETTERS[4:12], keys_sha256="sha").batch, bytes(8 * KEY_BYTES))  # none of its keys
    (rows,) = folds.fold(jobs, [asked], [], {})
    assert rows.counts[Row.IN_FLIGHT] == 8 and rows.ordinals(Row.IN_FLIGHT).tolist() == [*range(4, 12)]
