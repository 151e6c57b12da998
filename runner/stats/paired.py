"""Differences: of two numbers on the same rows, and of a part against the rest."""

from __future__ import annotations

import math
from typing import NamedTuple

from runner.stats.influence import Estimate
from runner.stats.intervals import Interval, of_number, wilson
from runner.stats.quantiles import Z, t_two_sided


class Pairs(NamedTuple):
    """Rows that two runs answered, by who got them right."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def n(self) -> int:
        return sum(self)

    @property
    def first(self) -> int:
        return self.both + self.only_first

    @property
    def second(self) -> int:
        return self.both + self.only_second

    @property
    def difference(self) -> float:
        """The first rate minus the second."""
        return (self.only_first - self.only_second) / self.n


def of_pairs(pairs: Pairs) -> Interval:
    """The interval of the difference of two right/wrong rates on the same independent rows.

    Newcombe's method 10: the limits of both Wilson intervals, squared and added, less what the rates share.
    Source: Newcombe 1998, Statistics in Medicine 17:2635-2650.
    """
    return _added(pairs.first / pairs.n, pairs.n, pairs.second / pairs.n, pairs.n, _phi(pairs))


def of_independent(right: int, n: int, other_right: int, other_n: int) -> Interval:
    """The interval of the difference of two independent rates. Both n > 0.

    Source: Newcombe 1998, Statistics in Medicine 17:873-890, method 10.
    """
    return _added(right / n, n, other_right / other_n, other_n, 0.0)


def _added(first: float, n: int, second: float, other_n: int, phi: float) -> Interval:
    a, b, difference = wilson(first, n, Z), wilson(second, other_n, Z), first - second
    down, up = (first - a.low, b.high - second), (a.high - first, second - b.low)
    return Interval(max(-1.0, difference - _hypotenuse(*down, phi)), min(1.0, difference + _hypotenuse(*up, phi)))


def _hypotenuse(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))


def _phi(pairs: Pairs) -> float:
    """How much the two go together, from -1 to 1; shrunk where that is positive, as method 10 wants."""
    both, only_first, only_second, neither = pairs
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    together = both * neither - only_first * only_second
    shrunk = max(together - pairs.n / 2, 0.0) if together > 0 else together
    return shrunk / math.sqrt(margins)


def of_difference(difference: Estimate) -> Interval:
    """The interval of any other difference: d ± t·se."""
    return of_number(difference.value, difference.se, difference.clusters)


def p_of_difference(difference: Estimate) -> float:
    """p that there is none, from t; 1 where one cluster can say nothing, and where nothing differs at all."""
    if difference.clusters < 2 or difference.value == 0:
        return 1.0
    return t_two_sided(difference.value / difference.se, difference.clusters - 1) if difference.se > 0 else 0.0
