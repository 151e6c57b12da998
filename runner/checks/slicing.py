"""One check on a part of a run, against the rest of it.

A report looks at every slice, and most are small. So p has to hold where a slice has five rows, all of them right: what
such a slice says of its own spread is no measure of it.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

from runner.checks.clusters import Clusters
from runner.checks.score import Scored, Status
from runner.checks.tally import Counting, Form, counted_by
from runner.stats import exact, paired
from runner.stats.influence import Estimate, Sums, estimate_of_difference, estimate_of_ratio, fixed

_MANY = 1000  # rows of the rarer kind, in the smaller part, if both are alike


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
        self._by_cluster = Clusters()  # by value: over, under

    def add(self, scored: Scored, value: str, cluster: str | None = None) -> None:
        if scored.status not in self._counted:
            return
        mine = self._right.setdefault(value, [0, 0])
        mine[0] += scored.status is Status.RIGHT
        mine[1] += 1
        brought = fixed(scored.over), fixed(scored.under)
        if cluster is None:
            self._alone.setdefault(value, Sums(2)).add(brought)
        else:
            self._by_cluster.add(cluster, (value,), brought)

    def part(self, value: str) -> Part | None:
        """A value against the rest; None where one of them has no row that counts."""
        right, n = self._right.get(value, (0, 0))
        all_right, all_n = (sum(mine[at] for mine in self._right.values()) for at in (0, 1))
        if not n or n == all_n:
            return None
        if self._form is Form.RATE and not self._by_cluster:
            counts = right, n, all_right - right, all_n - n
            p = exact.score_test(*counts) if _are_many(*counts) else exact.of_two_rates(*counts)
            return Part(p, right / n - (all_right - right) / (all_n - n))
        found = self._estimate(value)
        return None if found is None else Part(paired.p_of_difference(found), found.value)

    def _estimate(self, value: str) -> Estimate | None:
        """d ± t·se over both parts. A cluster with rows in both brings what it has to each.

        If the part is like the rest, its rows are spread as all rows are: the standard error is never less than that
        says. Degrees of freedom are those of both parts together, by Welch: few clusters in a part leave few.
        """
        part, rest, both, pieces = Sums(2), Sums(2), Sums(4), Sums(2)
        for one, alone in self._alone.items():
            (part if one == value else rest).join(alone)
            both.join(alone, at=0 if one == value else 2)
            pieces.join(alone)
        for parts in self._by_cluster:
            mine = parts.get((value,), [0, 0])
            others = [sum(piece[at] for one, piece in parts.items() if one != (value,)) for at in (0, 1)]
            both.add([*mine, *others])
            if (value,) in parts:
                part.add(mine)
            if len(parts) > ((value,) in parts):
                rest.add(others)
            for piece in parts.values():
                pieces.add(piece)
        if not (part.totals[1] and rest.totals[1]):
            return None
        found = estimate_of_difference(both, (0, 1), (2, 3))
        if part.clusters < 2 or rest.clusters < 2:
            return found._replace(clusters=1)  # nothing can be told
        alike = _spread_of(pieces)
        spread = [max(estimate_of_ratio(one).se ** 2, alike / float(one.total(1))) for one in (part, rest)]
        freedom = (
            sum(spread) ** 2 / sum(one**2 / (sums.clusters - 1) for one, sums in zip(spread, (part, rest), strict=True))
            if any(spread)
            else both.clusters - 1
        )
        se = max(found.se, math.sqrt(sum(alike / float(one.total(1)) for one in (part, rest))))
        return Estimate(found.value, se, int(freedom) + 1)


def _are_many(right: int, n: int, other_right: int, other_n: int) -> bool:
    """Whether counts are so large that the bell curve holds far out, where corrected p are looked for."""
    share = (right + other_right) / (n + other_n)
    return min(n, other_n) * min(share, 1 - share) >= _MANY


def _spread_of(pieces: Sums) -> float:
    """The variance of all pieces about their common number, for each unit that it is divided by."""
    value = Fraction(pieces.totals[0], pieces.totals[1])
    return pieces.se([Fraction(1), -value]) ** 2 / float(pieces.total(1))
