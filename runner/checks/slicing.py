"""One check on a part of a run, against the rest of it."""

from __future__ import annotations

from typing import NamedTuple

from runner.checks.score import Scored, Status
from runner.checks.tally import Counting, Form, counted_by
from runner.stats import exact, paired
from runner.stats.influence import Estimate, Sums, estimate_of_difference, fixed


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
