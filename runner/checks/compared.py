"""One check over the rows that two runs were both asked: each by itself, the difference, and the rows that changed."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from typing import NamedTuple

from runner.checks.gates import is_not_worse
from runner.checks.paired import Difference, Paired
from runner.checks.paired_f1 import F1Difference, PairedF1
from runner.checks.program import Held, plain
from runner.checks.score import Scored
from runner.checks.tally import Tally, counted_by
from runner.job.checks import Kind
from runner.job.scored import Figure

MOST_SHOWN = 10  # rows that got worse, and as many that got better


class Changed(NamedTuple):
    """A row that came out otherwise. Sorts by how much, and then as it came."""

    by: float  # the larger the change, the smaller
    order: int
    custom_id: str
    first: Scored
    second: Scored


class Compared:
    """Adds up one check. The difference is the second minus the first, on rows that count in both."""

    def __init__(self, held: Held) -> None:
        self.held = held
        self.first, self.second = Tally(held.counting), Tally(held.counting)
        self.worse = self.better = 0  # rows
        self.worst: list[Changed] = []  # of those, the ones that changed most
        self.best: list[Changed] = []
        self._paired = Paired(held.counting)
        self._f1 = PairedF1() if held.kind is Kind.CHOICE else None
        self._counted = counted_by(held.counting)
        self._sign = 1 if held.better == "higher" else -1

    def add(self, custom_id: str, first: Scored, second: Scored, cluster: str | None = None) -> None:
        if not self.held.is_counted_by(custom_id):
            return
        self._paired.add(second, first, cluster)
        if first.status not in self._counted or second.status not in self._counted:
            return
        self.first.add(first, cluster)
        self.second.add(second, cluster)
        if self._f1 is not None:
            self._f1.add(second, first, cluster)
        change = self._sign * (_value(second) - _value(first))
        if change < 0:
            _keep(self.worst, Changed(change, self.worse, custom_id, first, second))
            self.worse += 1
        elif change > 0:
            _keep(self.best, Changed(-change, self.better, custom_id, first, second))
            self.better += 1

    @property
    def unanswered(self) -> int:
        """Rows that one of the two did not answer."""
        return self._paired.unanswered

    def difference(self) -> Difference:
        return self._paired.difference()

    def macro_f1(self) -> F1Difference | None:
        """Of a `choice`: its `first` is this second job."""
        return None if self._f1 is None else self._f1.difference()

    def both_ways(self) -> tuple[Figure, Figure]:
        """The difference without the rows that one of the two did not answer, and with them wrong.

        The same twice where the check itself says what becomes of them.
        """
        without = self._paired.difference().figure
        if self.held.check.unanswered is not None:
            return without, without
        return without, self._paired.difference(unanswered_is_wrong=True).figure

    def is_worse(self, difference: Figure) -> bool:
        """Whether the second is told to be worse: the interval lies on the worse side of 0."""
        low, high = difference.low, difference.high
        if low is None or high is None:
            return False
        return high < 0 if self._sign > 0 else low > 0

    def may_be_worse(self, margin: float, difference: Figure) -> bool:
        """Whether the interval leaves it open that the second is worse by `margin`."""
        return not is_not_worse(difference, margin, better=self.held.better)


def _value(scored: Scored) -> float:
    return scored.over / scored.under if scored.under else scored.over


def _keep(kept: list[Changed], one: Changed) -> None:
    if len(kept) < MOST_SHOWN or one[:2] < kept[-1][:2]:
        insort(kept, one, key=lambda changed: changed[:2])
        del kept[MOST_SHOWN:]


def comparable(first: Mapping[str, Held], second: Mapping[str, Held]) -> tuple[list[str], list[str]]:
    """The checks that two jobs share, by name, and those of either that the other has not, or has otherwise."""
    shared = [name for name, held in first.items() if name in second and _is_same(held, second[name])]
    return shared, [name for name in dict.fromkeys([*first, *second]) if name not in shared]


def _is_same(first: Held, second: Held) -> bool:
    return bool(plain(first.check) == plain(second.check))
