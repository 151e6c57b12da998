"""Standard errors of every metric by one rule.

Each row has one influence ψ on a metric: by how much the metric would move if the row weighed a little more. With C
clusters of rows (without clusters every row is one)

    se² = C/(C-1) · Σ_clusters (Σ_rows ψ)²

A metric of sums, such as a mean or a ratio, has ψ = g·x, where x is what the row brings to the sums and g follows from
the totals alone. So one pass that keeps the totals and the second moments of x is enough, and the influences need not
be kept: `Sums`. A metric of counts, such as F1, has the same ψ for all rows of one cell of the table: `se_of_counts`.

Sums are whole numbers. Values are taken as multiples of 2^-60 (8.7e-19), so that no sum depends on the order of the
rows and nothing cancels; only the last square root is rounded.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple, TypeVar

_ONE = 1 << 60

Cell = TypeVar("Cell", bound=Hashable)  # of a table of counts, such as (expected, got)


class Estimate(NamedTuple):
    """A metric and its standard error, over so many clusters (rows, where there are none)."""

    value: float
    se: float
    clusters: int


def fixed(value: float) -> int:
    """A value as a multiple of 2^-60: what `Sums` adds up. Exact for whole numbers and for floats down to 2^-8.

    Raises OverflowError and ValueError for what is not finite.
    """
    return value << 60 if isinstance(value, int) else int(value * _ONE)


class Sums:
    """Totals and second moments of what each cluster brings, in `width` columns."""

    __slots__ = ("_seconds", "clusters", "totals")

    def __init__(self, width: int) -> None:
        self.totals = [0] * width
        self.clusters = 0
        self._seconds = [[0] * (column + 1) for column in range(width)]  # the lower triangle; the rest mirrors it

    def add(self, brought: Sequence[int], times: int = 1) -> None:
        """Take one cluster in, or several that are alike: the sums of its rows, each `fixed`."""
        self.clusters += times
        for column, value in enumerate(brought):
            if value:
                self.totals[column] += times * value
                row = self._seconds[column]
                for other in range(column + 1):
                    row[other] += times * value * brought[other]

    def join(self, others: Sums, at: int = 0) -> None:
        """Take in all clusters of others, which share none with these. at: their first column is this one of ours."""
        self.clusters += others.clusters
        for column, value in enumerate(others.totals, at):
            self.totals[column] += value
            for other, second in enumerate(others._seconds[column - at], at):
                self._seconds[column][other] += second

    def total(self, column: int) -> Fraction:
        return Fraction(self.totals[column], _ONE)

    def se(self, gradient: Sequence[Fraction]) -> float:
        """The standard error of a metric with influence `gradient` · (what is brought); infinite for one cluster."""
        if self.clusters < 2:
            return math.inf
        squares = Fraction(0)
        for column, row in enumerate(self._seconds):
            for other, second in enumerate(row):
                twice = 1 if other == column else 2
                squares += twice * gradient[column] * gradient[other] * second
        return math.sqrt(squares / (_ONE * _ONE) * Fraction(self.clusters, self.clusters - 1))


def ratio(sums: Sums, over: int = 0, under: int = 1) -> tuple[Fraction, list[Fraction]]:
    """Column `over` summed, divided by column `under` summed (above 0), and its gradient.

    A mean is the ratio of values to ones.
    """
    value = Fraction(sums.totals[over], sums.totals[under])
    gradient = [Fraction(0)] * len(sums.totals)
    whole = sums.total(under)
    gradient[over], gradient[under] = 1 / whole, -value / whole
    return value, gradient


def estimate_of_ratio(sums: Sums, over: int = 0, under: int = 1) -> Estimate:
    value, gradient = ratio(sums, over, under)
    return Estimate(float(value), sums.se(gradient), sums.clusters)


def estimate_of_difference(sums: Sums, first: tuple[int, int], second: tuple[int, int]) -> Estimate:
    """The ratio of columns `first` minus that of columns `second`, on the same rows."""
    a, gradient_a = ratio(sums, *first)
    b, gradient_b = ratio(sums, *second)
    gradient = [one - other for one, other in zip(gradient_a, gradient_b, strict=True)]
    return Estimate(float(a - b), sums.se(gradient), sums.clusters)


def estimate_corrected(sums: Sums) -> Estimate:
    """A judge's mean over all rows, put right by the rows that a person has judged too.

    Columns: the judge's score, 1, the person's score minus the judge's, and 1 (the last two are 0 for rows that nobody
    labelled). It assumes that the labelled rows were picked at random.
    """
    judged, gradient_j = ratio(sums, 0, 1)
    correction, gradient_c = ratio(sums, 2, 3)
    gradient = [one + other for one, other in zip(gradient_j, gradient_c, strict=True)]
    return Estimate(float(judged + correction), sums.se(gradient), sums.clusters)


def se_of_counts(influence: Mapping[Cell, Fraction], clusters: Iterable[Mapping[Cell, int]]) -> float:
    """The standard error of a metric of counts: the influence of each cell, and each cluster's rows by cell."""
    number, squares = 0, Fraction(0)
    for counts in clusters:
        number += 1
        squares += sum((influence[cell] * count for cell, count in counts.items()), Fraction(0)) ** 2
    return math.sqrt(squares * Fraction(number, number - 1)) if number > 1 else math.inf


def se_of_rows(influence: Mapping[Cell, Fraction], counts: Mapping[Cell, int]) -> float:
    """The same where every row is a cluster: the counts of all rows are enough."""
    number = sum(counts.values())
    squares = sum((influence[cell] ** 2 * count for cell, count in counts.items()), Fraction(0))
    return math.sqrt(squares * Fraction(number, number - 1)) if number > 1 else math.inf
