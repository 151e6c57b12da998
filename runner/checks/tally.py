"""The numbers of one check over all rows: how many ended how, the metric, and how far it can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import Enum
from fractions import Fraction
from typing import NamedTuple

from runner.checks.gates import Measured
from runner.checks.score import Scored, Status
from runner.stats import intervals
from runner.stats.influence import Sums, fixed
from runner.stats.intervals import Interval


class Form(Enum):
    """What kind of number a metric is: its interval follows from it."""

    RATE = "rate"  # right or wrong
    SCORE = "score"  # graded, from 0 to 1
    RATIO = "ratio"  # of errors to words: above 0, without an upper end
    NUMBER = "number"


class Counting(NamedTuple):
    """What counts against an answer that is not there or cannot be read."""

    form: Form = Form.RATE
    unreadable_is_wrong: bool = True
    unanswered_is_wrong: bool = False


class Numbers(NamedTuple):
    """A metric. Without any counted row there is no value, and no interval."""

    value: float | None
    interval: Interval | None
    n: int  # rows counted
    clusters: int  # of which: rows, where there are none
    se: float | None = None

    @property
    def measured(self) -> Measured:
        return Measured(self.value, self.interval)


_COUNTED = frozenset((Status.RIGHT, Status.WRONG, Status.PARTLY, Status.MEASURED))


def counted_by(counting: Counting) -> frozenset[Status]:
    """The statuses that enter the metric. What is not there has no number, not even a bad one."""
    if counting.form is Form.NUMBER:
        return _COUNTED
    lacking = {Status.UNREADABLE: counting.unreadable_is_wrong, Status.UNANSWERED: counting.unanswered_is_wrong}
    return _COUNTED | {status for status, is_wrong in lacking.items() if is_wrong}


class Tally:
    """Adds up one check, row by row. With clusters, what each of them brings is kept until the end."""

    def __init__(self, counting: Counting) -> None:
        self.counting = counting
        self.counts: Counter[Status] = Counter()
        self._by_cluster: dict[str, dict[Status, list[int]]] = {}
        self._alone: dict[Status, Sums] = {}  # rows without a cluster

    def add(self, scored: Scored, cluster: str | None = None) -> None:
        """Take one row in. cluster: whose row it is; rows of one cluster are not independent."""
        status = scored.status
        self.counts[status] += 1
        if status in (Status.SKIPPED, Status.NO_REFERENCE):
            return
        brought = [fixed(scored.over), fixed(scored.under), fixed(1)]
        if cluster is None:
            if status not in self._alone:
                self._alone[status] = Sums(3)
            self._alone[status].add(brought)
            return
        mine = self._by_cluster.setdefault(cluster, {}).setdefault(status, [0, 0, 0])
        for column, value in enumerate(brought):
            mine[column] += value

    def numbers(self, *, unanswered_is_wrong: bool | None = None) -> Numbers:
        """The metric, with rows without an answer left out or counted wrong; as the check says, where nothing is said.

        The two together decide a gate: see `gates`.
        """
        counting = self.counting
        if unanswered_is_wrong is not None:
            counting = counting._replace(unanswered_is_wrong=unanswered_is_wrong)
        sums = self._sums(counted_by(counting))
        n = int(sums.total(2))
        if sums.totals[1] == 0:
            return Numbers(None, None, n, sums.clusters)
        over, under = sums.total(0), sums.total(1)
        value = over / under
        se = sums.se([1 / under, -value / under, Fraction(0)])
        is_clustered = bool(self._by_cluster)
        return Numbers(float(value), self._interval(float(value), se, sums, n, is_clustered), n, sums.clusters, se)

    def _sums(self, counted: frozenset[Status]) -> Sums:
        """What the clusters bring in rows of these statuses; a cluster with none of them is none."""
        sums = Sums(3)
        for status, alone in self._alone.items():
            if status in counted:
                sums.join(alone)
        for mine in self._by_cluster.values():
            parts = [part for status, part in mine.items() if status in counted]
            if parts:
                sums.add([sum(column) for column in zip(*parts, strict=True)])
        return sums

    def _interval(self, value: float, se: float, sums: Sums, n: int, is_clustered: bool) -> Interval:
        match self.counting.form:
            case Form.RATE if not is_clustered:
                return intervals.of_rate(int(sums.total(0)), n)
            case Form.RATE:
                return intervals.within_unit(value, se, sums.clusters, at_most=n)
            case Form.SCORE:
                return intervals.within_unit(value, se, sums.clusters)
            case Form.RATIO:
                return intervals.of_ratio(value, se, sums.clusters, float(sums.total(1)))
            case Form.NUMBER:
                return intervals.of_number(value, se, sums.clusters)

    def accounting(self) -> Mapping[Status, int]:
        """Every status that occurs, in the order in which it is told. They add up to the rows that were wanted."""
        return {status: self.counts[status] for status in Status if self.counts[status]}
