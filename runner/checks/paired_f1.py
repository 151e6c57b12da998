"""Macro F1 of two jobs on the same rows, and how far their difference can be trusted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from runner.checks.clusters import Clusters
from runner.checks.score import Scored
from runner.checks.tally import Numbers
from runner.job.scored import Figure
from runner.stats import intervals
from runner.stats.f1 import Cell, freedom, macro_f1
from runner.stats.influence import Estimate
from runner.stats.paired import of_difference, p_of_difference

_Kind = tuple[str | None, ...]  # of a row: expected and read by the first, expected and read by the second


class F1Difference(NamedTuple):
    """The difference is the first minus the second; p from t."""

    first: Figure
    second: Figure
    difference: Figure
    p: float


class PairedF1:
    """Adds up the classes of rows that count in both, and have one to be compared with."""

    def __init__(self) -> None:
        self._rows: Counter[_Kind] = Counter()
        self._alone: Counter[_Kind] = Counter()  # of them, those without a cluster
        self._by_cluster = Clusters()

    def add(self, first: Scored, second: Scored, cluster: str | None = None) -> None:
        if first.expected is None or second.expected is None:
            return
        kind = (first.expected, first.got, second.expected, second.got)
        self._rows[kind] += 1
        if cluster is None:
            self._alone[kind] += 1
        else:
            self._by_cluster.add(cluster, kind, (1,))

    def difference(self) -> F1Difference:
        """Without any row no figure has a value."""
        n = sum(self._rows.values())
        if not n:
            return F1Difference(Figure(), Figure(), Figure(), 1.0)
        first, second = (macro_f1(_cells(self._rows, at)) for at in (0, 2))
        of_first = {kind: first.influence[_cell(kind, 0)] for kind in self._rows}
        of_second = {kind: second.influence[_cell(kind, 2)] for kind in self._rows}
        of_both = {kind: of_first[kind] - of_second[kind] for kind in self._rows}
        found = self._estimate(first.value - second.value, of_both)
        return F1Difference(
            self._of_one(first.value, of_first, n, 0),
            self._of_one(second.value, of_second, n, 2),
            Figure(found.value, *of_difference(found), n, found.clusters, found.se),
            p_of_difference(found),
        )

    def _of_one(self, value: Fraction, influence: Mapping[_Kind, Fraction], n: int, at: int) -> Figure:
        found = self._estimate(value, influence)
        clusters = ({kind: rows for kind, (rows,) in parts.items()} for parts in self._by_cluster)
        known = freedom(self._alone, clusters, influence, lambda kind: str(kind[at]))
        interval = intervals.within_unit(found.value, found.se, found.clusters, at_most=n, freedom=known)
        return Numbers(found.value, interval, n, found.clusters, found.se).figure

    def _estimate(self, value: Fraction, influence: Mapping[_Kind, Fraction]) -> Estimate:
        clusters = sum(self._alone.values())
        squares = sum((influence[kind] ** 2 * rows for kind, rows in self._alone.items()), Fraction(0))
        for parts in self._by_cluster:
            clusters += 1
            squares += sum((influence[kind] * rows for kind, (rows,) in parts.items()), Fraction(0)) ** 2
        se = math.sqrt(squares * Fraction(clusters, clusters - 1)) if clusters > 1 else math.inf
        return Estimate(float(value), se, clusters)


def _cells(rows: Mapping[_Kind, int], at: int) -> Counter[Cell]:
    cells: Counter[Cell] = Counter()
    for kind, count in rows.items():
        cells[_cell(kind, at)] += count
    return cells


def _cell(kind: _Kind, at: int) -> Cell:
    return str(kind[at]), kind[at + 1]
