"""What a run has to reach, and whether it does.

A gate is decided only where it comes out the same both without the rows that have no answer and with them counted
wrong. Elsewhere errors vanish from the denominator, and a run that failed for half its rows passes (inspect_ai#3707:
80 of 100 shown as 88.9 %). Here such a gate is undecided, and says which rows decide it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from runner.stats.intervals import Interval

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}
_WRITTEN = re.compile(r"(>=|<=|>|<)\s*(-?(?:\d+(?:\.\d*)?|\.\d+))\s*(%?)")


class Bound(NamedTuple):
    """`>= 0.85`, or `<= 12 %`, which is 0.12."""

    comparison: str
    number: float
    written: str

    def holds(self, value: float) -> bool:
        return _COMPARISONS[self.comparison](value, self.number)

    def holds_throughout(self, interval: Interval) -> bool:
        """Whether every value of the interval meets it."""
        return self.holds(interval.low) and self.holds(interval.high)


def bound(written: str) -> Bound:
    """What an expectation says. Raises ValueError for what is no comparison with a number."""
    found = _WRITTEN.fullmatch(written.strip())
    if found is None:
        raise ValueError(f"`{written}` is no comparison with a number, such as `>= 0.85` or `<= 12 %`")
    comparison, number, percent = found.groups()
    value = float(number)
    return Bound(comparison, value / 100 if percent else value, f"{comparison} {number}{' %' if percent else ''}")


class By(Enum):
    """What has to meet the bound."""

    ESTIMATE = "estimate"
    INTERVAL = "interval"  # all of it


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
        return measured.interval is not None and expected.holds_throughout(measured.interval)
    return measured.value is not None and expected.holds(measured.value)
