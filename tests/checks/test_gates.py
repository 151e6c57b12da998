"""A gate is met, unmet, or undecided while rows without an answer decide it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.checks.gates import verdict
from runner.checks.tally import Measured
from runner.job.expect import By, bound
from runner.job.scored import Verdict
from runner.stats.intervals import Interval, of_rate


def rate(right: int, n: int) -> Measured:
    return Measured(right / n, of_rate(right, n)) if n else Measured(None, None)


@pytest.mark.parametrize(
    ("written", "value", "holds"),
    [
        (">= 0.85", 0.85, True),
        ("> 0.85", 0.85, False),
        ("<= 12 %", 0.12, True),
        ("<12%", 0.1199, True),
        (">= .5", 0.5, True),
        ("> -1", 0.0, True),
    ],
)
def test_a_bound_is_read(written: str, value: float, holds: bool) -> None:
    assert bound(written).holds(value) is holds


@pytest.mark.parametrize("written", ["0.85", "= 1", ">= ", ">= high", ">= 1 % more", "=> 1", ">= nan"])
def test_what_is_no_bound(written: str) -> None:
    with pytest.raises(ValueError, match="not a comparison with a number"):
        bound(written)


@pytest.mark.parametrize(
    ("right", "wrong", "unanswered", "is_"),
    [
        (90, 10, 0, Verdict.MET),
        (80, 20, 0, Verdict.UNMET),
        (90, 10, 3, Verdict.MET),  # 87.4 % with them wrong
        (80, 10, 10, Verdict.UNDECIDED),  # 88.9 % without, 80 % with: the case that others show as passed
        (80, 20, 10, Verdict.UNMET),  # no answer could help
        (0, 0, 10, Verdict.UNMET),  # nothing was answered at all
    ],
)
def test_what_rows_without_an_answer_do(right: int, wrong: int, unanswered: int, is_: Verdict) -> None:
    n = right + wrong
    assert verdict(bound(">= 0.85"), By.ESTIMATE, rate(right, n), rate(right, n + unanswered)) is is_


def test_an_interval_meets_a_bound_with_all_of_it() -> None:
    measured = Measured(0.9, Interval(0.84, 0.94))
    assert verdict(bound(">= 0.85"), By.INTERVAL, measured, measured) is Verdict.UNMET
    assert verdict(bound(">= 0.84"), By.INTERVAL, measured, measured) is Verdict.MET
    assert verdict(bound("<= 0.94"), By.INTERVAL, measured, measured) is Verdict.MET
    assert verdict(bound("< 0.94"), By.INTERVAL, measured, measured) is Verdict.UNMET


@given(*[st.integers(0, 60)] * 3, st.floats(0, 1))
def test_a_decided_gate_outlasts_the_missing_answers(right: int, wrong: int, unanswered: int, least: float) -> None:
    """As long as these are right no more often than the others."""
    n = right + wrong
    expected = bound(f">= {least:.6f}")
    found = verdict(expected, By.ESTIMATE, rate(right, n), rate(right, n + unanswered))
    if found is Verdict.UNDECIDED or not n:
        return
    for more in range(unanswered + 1):
        if more * n <= unanswered * right:
            assert expected.holds((right + more) / (n + unanswered)) is (found is Verdict.MET)
