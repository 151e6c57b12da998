"""What a run has to reach, and whether it does.

A gate is decided only where it comes out the same both without the rows that have no answer and with them counted
wrong. Elsewhere errors vanish from the denominator, and a run that failed for half its rows passes (inspect_ai#3707:
80 of 100 shown as 88.9 %). Here such a gate is undecided, and says which rows decide it.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from runner.job.expect import Bound, By
from runner.stats.intervals import Interval


class Measured(NamedTuple):
    """A metric over the rows that were counted; with no row, there is no value."""

    value: float | None
    interval: Interval | None


class Verdict(Enum):
    MET = "met"
    UNMET = "unmet"
    UNDECIDED = "undecided"  # rows without an answer decide


def verdict(expected: Bound, by: By, without: Measured, counted_wrong: Measured) -> Verdict:
    """Whether a metric is as expected.

    without: leaving out the rows without an answer. counted_wrong: the same rows and those, wrong. Where the spec
    itself leaves them out, or counts them wrong, both are the same.
    """
    ends = {_meets(expected, by, without), _meets(expected, by, counted_wrong)}
    if len(ends) > 1:
        return Verdict.UNDECIDED
    return Verdict.MET if ends.pop() else Verdict.UNMET


def _meets(expected: Bound, by: By, measured: Measured) -> bool:
    """A metric of no rows meets nothing."""
    if by is By.INTERVAL:
        return measured.interval is not None and all(
            map(expected.holds, (measured.interval.low, measured.interval.high))
        )
    return measured.value is not None and expected.holds(measured.value)
