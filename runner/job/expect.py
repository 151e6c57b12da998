"""What a job has to reach, as the specs want it."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from enum import StrEnum

import msgspec

from runner.errors import Mark

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}
_WRITTEN = re.compile(r"(>=|<=|>|<)\s*(-?(?:\d+(?:\.\d*)?|\.\d+))\s*(%?)")


class Bound(msgspec.Struct, frozen=True):
    """`>= 0.85`, or `<= 12 %`, which is 0.12."""

    comparison: str
    number: float
    written: str

    def holds(self, value: float) -> bool:
        return _COMPARISONS[self.comparison](value, self.number)


def bound(written: str) -> Bound:
    """What an expectation says. Raises ValueError for what is no comparison with a number."""
    found = _WRITTEN.fullmatch(written.strip())
    if found is None:
        raise ValueError(f"`{written}` is not a comparison with a number, such as `>= 0.85` or `<= 12 %`")
    comparison, number, percent = found.groups()
    value = float(number)
    return Bound(comparison, value / 100 if percent else value, f"{comparison} {number}{' %' if percent else ''}")


class By(StrEnum):
    """What has to meet the bound."""

    ESTIMATE = "estimate"
    INTERVAL = "interval"  # all of it


ANSWERED = "answered"  # the share of the wanted rows that have an answer


class Part(StrEnum):
    """Which number of a check is meant."""

    VALUE = ""
    MACRO_F1 = "macro_f1"  # of choice
    UNREADABLE = "unreadable"  # the share of the answers that nothing can be read from


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """One expectation of one cell: `only` has been applied. Either `bound` or `not_worse_than` is there."""

    metric: str  # as written: `answered`, `intent`, `intent.macro_f1`
    check: str = ""  # empty: of ANSWERED
    part: Part = Part.VALUE
    bound: Bound | None = None
    by: By = By.ESTIMATE
    slice: tuple[str, str] | None = None  # of these rows alone: name and value
    not_worse_than: str = ""  # the address of the cell that differs in one axis alone
    margin: float = 0.0  # the lower end of the paired difference has to be above -margin
    mark: Mark = Mark("")
