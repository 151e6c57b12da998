"""Two jobs held to one check on the same rows: the difference, and how far it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from runner.checks.clusters import Clusters
from runner.checks.score import Scored, Status
from runner.checks.tally import Counting, Form, counted_by
from runner.job.scored import Figure
from runner.stats.exact import two_sided
from runner.stats.influence import Estimate, Sums, estimate_of_difference, fixed
from runner.stats.intervals import Interval
from runner.stats.paired import Pairs, of_difference, of_pairs, p_of_difference


class Difference(NamedTuple):
    """The first minus the second. pairs: of right and wrong, by who got them right."""

    figure: Figure
    p: float
    pairs: Pairs | None = None


class Paired:
    """Adds up one check over rows that two jobs were asked."""

    def __init__(self, counting: Counting) -> None:
        with_them = counting._replace(unanswered_is_wrong=True)
        self._sums = tuple((counted_by(one), _Sums(counting.form)) for one in (counting, with_them))
        self.unanswered = 0  # rows that one of the two did not answer

    def add(self, first: Scored, second: Scored, cluster: str | None = None) -> None:
        is_missing = Status.UNANSWERED in (first.status, second.status)
        self.unanswered += is_missing
        for counted, sums in self._sums:
            if first.status in counted and second.status in counted:
                sums.add(first, second, cluster)

    def add_all(self, rows: Iterable[tuple[Scored, Scored, str | None]]) -> None:
        for row in rows:
            self.add(*row)

    def difference(self, *, unanswered_is_wrong: bool = False) -> Difference:
        """Without the rows that one of the two did not answer, unless the check counts those; or with them, wrong."""
        _, sums = self._sums[unanswered_is_wrong]
        return sums.difference()


class _Sums:
    def __init__(self, form: Form) -> None:
        self._form = form
        self._rows = 0
        self._pairs = [0, 0, 0, 0]
        self._lone_pairs = [0, 0, 0, 0]  # of rows without a cluster
        self._alone = Sums(4)
        self._by_cluster = Clusters()

    def add(self, first: Scored, second: Scored, cluster: str | None) -> None:
        self._rows += 1
        if self._form is Form.RATE:
            kind = 2 * (not first.over) + (not second.over)
            self._pairs[kind] += 1
            if cluster is None:
                self._lone_pairs[kind] += 1
                return  # the four counts are all that is needed
        brought = fixed(first.over), fixed(first.under), fixed(second.over), fixed(second.under)
        if cluster is None:
            self._alone.add(brought)
            return
        self._by_cluster.add(cluster, (), brought)

    def difference(self) -> Difference:
        pairs = Pairs(*self._pairs) if self._form is Form.RATE else None
        if pairs is not None and not self._by_cluster:
            if not pairs.n:
                return Difference(Figure(), 1.0, pairs)
            figure = _figure(pairs.difference, of_pairs(pairs), pairs.n, pairs.n, _se_of(pairs))
            return Difference(figure, two_sided(pairs.only_first, pairs.only_second), pairs)
        sums = Sums(4)
        sums.join(self._alone)
        for kind, rows in enumerate(self._lone_pairs):
            if rows:
                sums.add([fixed(int(kind < 2)), fixed(1), fixed(int(kind % 2 == 0)), fixed(1)], rows)
        for parts in self._by_cluster:
            sums.add(parts[()])
        if not (sums.totals[1] and sums.totals[3]):
            return Difference(Figure(), 1.0, pairs)
        found: Estimate = estimate_of_difference(sums, (0, 1), (2, 3))
        return Difference(
            _figure(found.value, of_difference(found), self._rows, found.clusters, found.se),
            p_of_difference(found),
            pairs,
        )


def _se_of(pairs: Pairs) -> float:
    """The standard error of the difference, every row by itself: each brings 1, -1 or 0."""
    n, d = pairs.n, pairs.difference
    return math.sqrt((pairs.only_first + pairs.only_second - n * d * d) / (n * (n - 1))) if n > 1 else math.inf


def _figure(value: float, interval: Interval, n: int, clusters: int, se: float | None = None) -> Figure:
    return Figure(value, interval.low, interval.high, n, clusters, se)
