"""Every row ends in one status; the statuses add up; what is missing stays in observation."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.checks import score as kinds
from runner.checks.choice import Classes
from runner.checks.gates import Verdict, verdict
from runner.checks.score import BadReference, Given, Judge, Scored, Status, score
from runner.checks.tally import Counting, Form, Tally
from runner.job.checks import Ignore, Normalize
from runner.job.expect import By, bound
from runner.stats import intervals

METALS = Classes(["metal", "nonmetal"], [Ignore.CASE, Ignore.SPACE])


def judged(judge: Judge, text: str | None, *references: str, **more: bool) -> Scored:
    return score(Given(text is not None, text, references), judge, takes_references=True, **more)


@pytest.mark.parametrize(
    ("judge", "text", "references", "is_"),
    [
        (kinds.equals([Ignore.CASE]), "PARIS ", ["paris"], Status.RIGHT),
        (kinds.equals([]), "Paris", ["paris"], Status.WRONG),
        (kinds.equals([]), "b", ["a", "b"], Status.RIGHT),
        (kinds.contains([]), "It is Paris.", ["Paris"], Status.RIGHT),
        (kinds.contains([], whole_words=True), "It is Parisian.", ["Paris"], Status.WRONG),
        (kinds.contains([], whole_words=True), "Parisian? Paris!", ["Paris"], Status.RIGHT),
        (kinds.contains([], whole_words=True), "a (c) b", ["(c)"], Status.RIGHT),
        (kinds.contains([], every=True), "a b", ["a", "c"], Status.WRONG),
        (kinds.contains([], every=False), "a b", ["a", "c"], Status.RIGHT),
        (kinds.number(), "It is 42.0", ["42"], Status.RIGHT),
        (kinds.number(), "It is 0.30", ["0.3"], Status.RIGHT),
        (kinds.number(Decimal("0.5")), "42.5", ["42"], Status.RIGHT),
        (kinds.number(Decimal("0.01"), is_share=True), "-101", ["-100"], Status.RIGHT),
        (kinds.number(Decimal("0.01"), is_share=True), "101.5", ["100"], Status.WRONG),
        (kinds.number(), "on 11/29/2026", ["29"], Status.UNREADABLE),
        (kinds.choice(METALS), "It is a Nonmetal", ["nonmetal"], Status.RIGHT),
        (kinds.choice(METALS), "metal or nonmetal", ["metal"], Status.UNREADABLE),
        (kinds.words(Normalize.BASIC), "a b", ["a c"], Status.MEASURED),
        (kinds.turned(kinds.equals([])), "a", ["a"], Status.WRONG),
        (kinds.turned(kinds.number()), "none", ["1"], Status.UNREADABLE),
        (kinds.equals([]), "a", ["", " "], Status.NO_REFERENCE),
    ],
)
def test_each_kind(judge: Judge, text: str, references: Sequence[str], is_: Status) -> None:
    assert judged(judge, text, *references).status is is_


@pytest.mark.parametrize(
    ("text", "is_"),
    [('{"a": 1}', Status.RIGHT), ("[]", Status.WRONG), ("{", Status.WRONG), ('{"a": NaN}', Status.WRONG)],
)
def test_json_is_parsed_and_held_to_a_schema(text: str, is_: Status) -> None:
    judge = kinds.parses(lambda value: isinstance(value, dict))
    assert score(Given(True, text), judge, takes_references=False).status is is_


@pytest.mark.parametrize(("text", "value"), [("1.5", 1.5), (" 2 ", 2.0), ("nan", None), ("inf", None), ("much", None)])
def test_a_measure_is_a_number(text: str, value: float | None) -> None:
    found = score(Given(True, text), kinds.measure(), takes_references=False)
    assert (found.status is Status.MEASURED and found.over == value) or (
        found.status is Status.UNREADABLE and value is None
    )


@pytest.mark.parametrize(("judge", "reference"), [(kinds.number(), "many"), (kinds.choice(METALS), "gas")])
def test_a_reference_that_cannot_be_used_is_no_wrong_answer(judge: Judge, reference: str) -> None:
    with pytest.raises(BadReference):
        judged(judge, "metal 1", reference)


def test_what_is_missing_is_told_in_its_place() -> None:
    skipped = score(Given(True, "a", ["a"], applies=False), kinds.equals([]), takes_references=True)
    assert skipped.status is Status.SKIPPED
    assert judged(kinds.equals([]), None, "a").status is Status.UNANSWERED
    assert judged(kinds.equals([]), None, "").status is Status.NO_REFERENCE
    taken = score(Given(True, None, ["a"]), kinds.equals([]), takes_references=True)
    assert taken == Scored(Status.UNREADABLE, 0, 1, None, "a")


def test_a_transcript_that_is_not_there_misses_all_its_words() -> None:
    missed = judged(kinds.words(Normalize.BASIC), None, "one two three")
    assert missed == Scored(Status.UNANSWERED, 3, 3, None, "one two three")
    silence = judged(kinds.words(Normalize.BASIC), "noise", "", empty_counts=True)
    assert (silence.over, silence.under) == (1, 0)


STATUSES = st.lists(st.sampled_from(Status), max_size=60)


def tally(statuses: Sequence[Status], counting: Counting, clusters: int = 0) -> Tally:
    made = Tally(counting)
    for number, status in enumerate(statuses):
        made.add(Scored(status, int(status is Status.RIGHT), 1), str(number % clusters) if clusters else None)
    return made


@given(STATUSES, st.booleans(), st.booleans(), st.integers(0, 5))
def test_the_statuses_add_up_and_the_denominator_is_what_is_said(
    statuses: list[Status], unreadable: bool, unanswered: bool, clusters: int
) -> None:
    made = tally(statuses, Counting(Form.RATE, unreadable, unanswered), clusters)
    assert sum(made.accounting().values()) == len(statuses)
    counts = made.counts
    counted = sum(counts[one] for one in (Status.RIGHT, Status.WRONG, Status.PARTLY, Status.MEASURED))
    counted += counts[Status.UNREADABLE] * unreadable + counts[Status.UNANSWERED] * unanswered
    found = made.numbers()
    assert found.n == counted
    if counted:
        assert found.value == counts[Status.RIGHT] / counted
        assert found.interval is not None
        assert found.interval.low <= found.value <= found.interval.high
        if not clusters:
            assert found.interval == intervals.of_rate(counts[Status.RIGHT], counted)
    else:
        assert found.value is found.interval is None


@given(STATUSES)
def test_a_cluster_for_each_row_is_as_good_as_none(statuses: list[Status]) -> None:
    alone = tally(statuses, Counting()).numbers()
    apart = tally(statuses, Counting(), len(statuses)).numbers() if statuses else alone
    assert (alone.value, alone.n, alone.clusters, alone.se) == (apart.value, apart.n, apart.clusters, apart.se)


def test_the_case_that_others_show_as_passed() -> None:
    """80 right, 10 wrong, 10 without an answer: 88.9 % without those, 80 % with them."""
    statuses = [Status.RIGHT] * 80 + [Status.WRONG] * 10 + [Status.UNANSWERED] * 10
    made = tally(statuses, Counting())
    without, wrong = made.numbers(), made.numbers(unanswered_is_wrong=True)
    assert (round(without.value or 0, 3), wrong.value) == (0.889, 0.8)
    assert verdict(bound(">= 0.85"), By.ESTIMATE, without.measured, wrong.measured) is Verdict.UNDECIDED
    assert verdict(bound(">= 0.80"), By.ESTIMATE, without.measured, wrong.measured) is Verdict.MET


def test_clusters_widen_an_interval() -> None:
    statuses = [Status.RIGHT if number % 5 < 3 else Status.WRONG for number in range(50)]
    made, alone = tally(statuses, Counting(), 5).numbers(), tally(statuses, Counting()).numbers()
    assert made.value == alone.value
    assert made.clusters == 5
    assert made.interval is not None
    assert alone.interval is not None
    assert made.interval.low < alone.interval.low < alone.interval.high < made.interval.high


def test_a_corpus_is_summed_errors_over_summed_words() -> None:
    made = Tally(Counting(Form.RATIO))
    for said, heard in (("i", "i am"), ("am i good", "i good")):
        made.add(judged(kinds.words(Normalize.NONE), heard, said))
    assert made.numbers().value == 0.5
