"""The numbers of one check over all rows: how many ended how, the metric, and how far it can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from runner.checks.clusters import Clusters, Parts
from runner.checks.score import Scored, Status
from runner.job.scored import Figure
from runner.stats import intervals
from runner.stats.f1 import Cell, freedom, macro_f1
from runner.stats.influence import Sums, fixed, se_of_counts, se_of_rows
from runner.stats.intervals import Interval

_MOST_KINDS = 4096  # of rows, told apart by what they bring, before they are summed up


class Form(StrEnum):
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
    verdicts: tuple[tuple[str, float], ...] = ()  # of a judge that is held to a person: what each is worth


class Measured(NamedTuple):
    """A metric over the rows that were counted; with no row, there is no value."""

    value: float | None
    interval: Interval | None


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

    @property
    def figure(self) -> Figure:
        low, high = self.interval or (None, None)
        return Figure(self.value, low, high, self.n, self.clusters, self.se)


_COUNTED = frozenset((Status.RIGHT, Status.WRONG, Status.PARTLY, Status.MEASURED))
_UNCOUNTED = (Status.SKIPPED, Status.NO_REFERENCE)
_Kind = tuple[Status, float, float]  # of a row: its status, and what it brings
_Named = tuple[Status, str | None, str | None]  # its status, the class expected, the class read


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
        self._counts: Counter[Status] = Counter()
        self._by_cluster = Clusters()
        self._kinds: Counter[_Kind] = Counter()  # rows without a cluster, which `_alone` does not have yet
        self._alone: dict[Status, Sums] = {}

    def add(self, scored: Scored, cluster: str | None = None) -> None:
        """Take one row in. cluster: whose row it is; rows of one cluster are not independent."""
        if cluster is None:
            self._kinds[scored[:3]] += 1
            if len(self._kinds) > _MOST_KINDS:
                self._sum_up()
            return
        status = scored.status
        self._counts[status] += 1
        if status in _UNCOUNTED:
            return
        self._by_cluster.add(cluster, (status,), (fixed(scored.over), fixed(scored.under), fixed(1)))

    def add_alike(self, scored: Scored, rows: int) -> None:
        """Take so many rows in that are alike, and have no cluster."""
        if rows:
            self._kinds[scored[:3]] += rows

    def add_all(self, rows: Iterable[Scored], clusters: Sequence[str | None] = ()) -> None:
        """Take rows in. clusters: of each; empty where there are none."""
        if clusters:
            for scored, cluster in zip(rows, clusters, strict=True):
                self.add(scored, cluster)
            return
        self._kinds.update([scored[:3] for scored in rows])
        if len(self._kinds) > _MOST_KINDS:
            self._sum_up()

    @property
    def counts(self) -> Counter[Status]:
        """Rows by status."""
        self._sum_up()
        return self._counts

    def numbers(self, *, unanswered_is_wrong: bool | None = None) -> Numbers:
        """The metric, with rows without an answer left out or counted wrong; as the check says, where nothing is said.

        The two together decide a gate: see `gates`.
        """
        counting = self.counting
        if unanswered_is_wrong is not None:
            counting = counting._replace(unanswered_is_wrong=unanswered_is_wrong)
        return self._numbers(self._sums(counted_by(counting)), counting.form)

    def left_out(self) -> list[Status]:
        """The statuses that the number is not made of, of those that occur."""
        counted = counted_by(self.counting)
        return [status for status in self.accounting() if status not in counted]

    def unreadable(self, *, unanswered_too: bool = False) -> Numbers:
        """The share of the answers that nothing can be read from. unanswered_too: as if they were such answers."""
        missed = {Status.UNREADABLE} | ({Status.UNANSWERED} if unanswered_too else set())
        sums = self._sums(_COUNTED | missed, missed)
        return self._numbers(sums, Form.RATE)

    def units(self) -> float:
        """What the errors of a ratio are divided by: the words of the references of all counted rows."""
        return float(self._sums(_COUNTED).total(1))

    def _numbers(self, sums: Sums, form: Form) -> Numbers:
        n = int(sums.total(2))
        if sums.totals[1] == 0:
            return Numbers(None, None, n, sums.clusters)
        over, under = sums.total(0), sums.total(1)
        value = over / under
        se = sums.se([1 / under, -value / under, Fraction(0)])
        interval = self._interval(form, float(value), se, sums, n)
        return Numbers(float(value), interval, n, sums.clusters, se)

    def _sums(self, counted: frozenset[Status], missed: set[Status] | None = None) -> Sums:
        """What the clusters bring in rows of these statuses; a cluster with none of them is none.

        missed: count these among all of them instead.
        """
        self._sum_up()
        sums = Sums(3)
        for status, alone in self._alone.items():
            if status in counted:
                sums.join(alone if missed is None else _of_rows(alone.clusters, is_missed=status in missed))
        for mine in self._by_cluster:
            parts = {status: part for (status,), part in mine.items() if status in counted}
            if not parts:
                continue
            if missed is None:
                sums.add([sum(column) for column in zip(*parts.values(), strict=True)])
            else:
                rows = sum(part[2] for part in parts.values())
                sums.add([sum(part[2] for status, part in parts.items() if status in missed), rows, rows])
        return sums

    def _sum_up(self) -> None:
        for (status, over, under), rows in self._kinds.items():
            self._counts[status] += rows
            if status in _UNCOUNTED:
                continue
            if status not in self._alone:
                self._alone[status] = Sums(3)
            self._alone[status].add([fixed(over), fixed(under), fixed(1)], rows)
        self._kinds.clear()

    def _interval(self, form: Form, value: float, se: float, sums: Sums, n: int) -> Interval:
        match form:
            case Form.RATE if not self._by_cluster:
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
        counts = self.counts
        return {status: counts[status] for status in Status if counts[status]}


def _of_rows(rows: int, *, is_missed: bool) -> Sums:
    """So many rows of one kind, each of which is one."""
    sums = Sums(3)
    sums.add([fixed(int(is_missed)), fixed(1), fixed(1)], rows)
    return sums


class Confusion:
    """Which class was expected and which was read, by count: what macro F1 is made of."""

    def __init__(self, counting: Counting) -> None:
        self._counting = counting
        self._kinds: Counter[_Named] = Counter()
        self._by_cluster = Clusters()

    def add_all(self, rows: Sequence[Scored], clusters: Sequence[str | None] = ()) -> None:
        """Take rows in. clusters: of each; empty where there are none."""
        named: list[_Named] = [(one[0], one[4], one[3]) for one in rows]
        self._kinds.update(named)
        for one, cluster in zip(named, clusters, strict=bool(clusters)):
            self._by_cluster.add(cluster, one, (1,))

    def cells(self) -> dict[Cell, int]:
        """Of the rows that have an answer, sorted; a class of None could not be read."""
        found: Counter[Cell] = Counter()
        for (status, expected, got), rows in self._kinds.items():
            if status not in _UNCOUNTED and status is not Status.UNANSWERED and expected is not None:
                found[expected, got] += rows
        return dict(sorted(found.items(), key=lambda one: (one[0][0], one[0][1] is None, one[0][1] or "")))

    def numbers(self, *, unanswered_is_wrong: bool | None = None) -> Numbers:
        """Macro F1; see `Tally.numbers`."""
        counting = self._counting
        if unanswered_is_wrong is not None:
            counting = counting._replace(unanswered_is_wrong=unanswered_is_wrong)
        counts = _cells(self._kinds, counting)
        n = sum(counts.values())
        if not n:
            return Numbers(None, None, 0, 0)
        found = macro_f1(counts)
        clusters = n
        if self._by_cluster:
            parts = _Counted(filter(None, (_cells(_rows_of(kinds), counting) for kinds in self._by_cluster)))
            se = se_of_counts(found.influence, parts)
            clusters = parts.number
            again = (_cells(_rows_of(kinds), counting) for kinds in self._by_cluster)
            known = freedom({}, again, found.influence, _expected)
        else:
            se = se_of_rows(found.influence, counts)
            known = freedom(counts, (), found.influence, _expected)
        value = float(found.value)
        interval = intervals.within_unit(value, se, clusters, at_most=n, freedom=known)
        return Numbers(value, interval, n, clusters, se)


def _expected(cell: Cell) -> str:
    return cell[0]


class _Counted:
    """Goes through something once, and counts."""

    def __init__(self, some: Iterable[Counter[Cell]]) -> None:
        self._some = some
        self.number = 0

    def __iter__(self) -> Iterator[Counter[Cell]]:
        for one in self._some:
            self.number += 1
            yield one


def _rows_of(parts: Parts) -> dict[_Named, int]:
    return {(Status(str(status)), expected, got): rows for (status, expected, got), (rows,) in parts.items()}


def _cells(kinds: Mapping[_Named, int], counting: Counting) -> Counter[Cell]:
    """The rows that count, by the class expected and the class read."""
    counted, cells = counted_by(counting), Counter[Cell]()
    for (status, expected, got), rows in kinds.items():
        if status in counted and expected is not None:
            cells[expected, got] += rows
    return cells
