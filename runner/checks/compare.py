"""One check on two runs over the same rows: which is better, and whether that can be told from chance.

Only rows that count in both are compared: a row that one of them never answered says nothing about the difference.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from runner.checks.score import Scored, Status
from runner.checks.tally import Counting, Form, counted_by
from runner.stats import exact, paired
from runner.stats.influence import Estimate, Sums, estimate_of_difference, fixed
from runner.stats.intervals import Interval
from runner.stats.paired import Pairs
from runner.stats.power import detectable


class Compared(NamedTuple):
    """The first minus the second. Without a row that counts in both there is no difference."""

    difference: float | None
    interval: Interval | None
    p: float | None
    n: int  # rows that count in both
    clusters: int
    pairs: Pairs | None  # by who is right; None where answers are not simply right or wrong
    detectable: float | None  # the smallest true difference that four of five such runs would find


class Pairing:
    """Adds up two runs of one check, row by row."""

    def __init__(self, counting: Counting) -> None:
        self._form = counting.form
        self._counted = counted_by(counting)
        self._alone = Sums(4)  # what the first brings over and under, then what the second does
        self._by_cluster: dict[str, list[int]] = {}
        self._right = [[0, 0], [0, 0]]  # [first][second]
        self._n = 0

    def add(self, first: Scored, second: Scored, cluster: str | None = None) -> None:
        """Take in one row of both. cluster: whose row it is, as for a tally."""
        if first.status not in self._counted or second.status not in self._counted:
            return
        self._n += 1
        self._right[first.status is Status.RIGHT][second.status is Status.RIGHT] += 1
        brought = [fixed(value) for one in (first, second) for value in (one.over, one.under)]
        if cluster is None:
            self._alone.add(brought)
        else:
            mine = self._by_cluster.setdefault(cluster, [0, 0, 0, 0])
            for column, value in enumerate(brought):
                mine[column] += value

    def compared(self) -> Compared:
        """What all rows come to. Wilson's and McNemar's ways for right or wrong without clusters, else t."""
        sums = Sums(4)
        sums.join(self._alone)
        for mine in self._by_cluster.values():
            sums.add(mine)
        pairs = self._pairs() if self._form is Form.RATE else None
        if not (sums.totals[1] and sums.totals[3]):
            return Compared(None, None, None, self._n, sums.clusters, pairs, None)
        found = estimate_of_difference(sums, (0, 1), (2, 3))
        shows = detectable(found.se) if math.isfinite(found.se) else None
        if pairs is not None and not self._by_cluster:
            interval, p = paired.of_pairs(pairs), exact.two_sided(pairs.only_first, pairs.only_second)
        else:
            interval, p = paired.of_difference(found), paired.p_of_difference(found)
        return Compared(found.value, interval, p, self._n, sums.clusters, pairs, shows)

    def _pairs(self) -> Pairs:
        (neither, only_second), (only_first, both) = self._right
        return Pairs(both, only_first, only_second, neither)


class Part(NamedTuple):
    """A slice against all other rows of the same run: p before any correction for how many slices there are."""

    p: float
    difference: float


class Slicing:
    """Adds up one check by the values of one slice, and tells each value from the rest."""

    def __init__(self, counting: Counting) -> None:
        self._form = counting.form
        self._counted = counted_by(counting)
        self._right: dict[str, list[int]] = {}  # value -> right, counted
        self._alone: dict[str, Sums] = {}
        self._by_cluster: dict[str, dict[str, list[int]]] = {}  # cluster -> value -> over, under

    def add(self, scored: Scored, value: str, cluster: str | None = None) -> None:
        if scored.status not in self._counted:
            return
        mine = self._right.setdefault(value, [0, 0])
        mine[0] += scored.status is Status.RIGHT
        mine[1] += 1
        brought = [fixed(scored.over), fixed(scored.under)]
        if cluster is None:
            self._alone.setdefault(value, Sums(2)).add(brought)
        else:
            part = self._by_cluster.setdefault(cluster, {}).setdefault(value, [0, 0])
            part[0] += brought[0]
            part[1] += brought[1]

    def part(self, value: str) -> Part | None:
        """A value against the rest; None where one of them has no row that counts."""
        right, n = self._right.get(value, (0, 0))
        all_right, all_n = (sum(mine[at] for mine in self._right.values()) for at in (0, 1))
        if not n or n == all_n:
            return None
        if self._form is Form.RATE and not self._by_cluster:
            p = exact.score_test(right, n, all_right - right, all_n - n)
            return Part(p, right / n - (all_right - right) / (all_n - n))
        found = self._estimate(value)
        return None if found is None else Part(paired.p_of_difference(found), found.value)

    def _estimate(self, value: str) -> Estimate | None:
        """d ± t·se over both parts. A cluster with rows in both brings what it has to each."""
        sums = Sums(4)
        for one, alone in self._alone.items():
            sums.join(alone, at=0 if one == value else 2)
        for parts in self._by_cluster.values():
            mine = parts.get(value, [0, 0])
            rest = [sum(part[at] for one, part in parts.items() if one != value) for at in (0, 1)]
            sums.add([*mine, *rest])
        if not (sums.totals[1] and sums.totals[3]):
            return None
        return estimate_of_difference(sums, (0, 1), (2, 3))
