"""All numbers of one job, added up row by row: every check over all rows, and over the slices that gates ask about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from runner.checks.agreed import Agreed
from runner.checks.preference import Duels, stands_for_item
from runner.checks.score import Scored, Status
from runner.checks.tally import Confusion, Counting, Form, Numbers, Tally
from runner.job.checks import Kind
from runner.job.pairs import Orders
from runner.job.scored import CheckSummary, Duel, Sides

_ANSWERED, _MISSING = Scored(Status.RIGHT, 1, 1), Scored(Status.WRONG, 0, 1)
Part = tuple[str, str]  # a slice: its name and a value of it


class Column:
    """One check over some rows."""

    def __init__(self, kind: Kind, counting: Counting) -> None:
        self.kind = kind
        self.tally = Tally(counting)
        self.confusion = Confusion(counting) if kind is Kind.CHOICE else None
        self.agreed = Agreed(counting) if counting.verdicts else None

        self.rows = 0

    def add(self, rows: Sequence[Scored], clusters: Sequence[str | None], ids: Sequence[str] = ()) -> None:
        """Take rows in. clusters: of each; empty where there are none. ids: of each, where the kind needs them."""
        self.rows += len(rows)
        self.tally.add_all(rows, clusters)
        if self.confusion is not None:
            self.confusion.add_all(rows, clusters)
        if self.agreed is not None:
            self.agreed.add_all(rows, clusters)

    def add_bad(self, rows: int) -> None:
        """Rows that became no requests."""
        self.rows += rows
        units = 0 if self.tally.counting.form is Form.RATIO else 1
        self.tally.add_alike(Scored(Status.UNANSWERED, 0, units), rows)

    def duel(self) -> Duel | None:
        """Of a preference."""
        return None


class DuelColumn(Column):
    """A preference over some rows: counted by item, each from the row that stands for it."""

    def __init__(self, counting: Counting, orders: Orders) -> None:
        super().__init__(Kind.PREFERENCE, counting)
        self._orders = orders
        self._duels = Duels(orders)

    def add(self, rows: Sequence[Scored], clusters: Sequence[str | None], ids: Sequence[str] = ()) -> None:
        self.rows += len(rows)
        at = [n for n, custom_id in enumerate(ids) if stands_for_item(custom_id, self._orders)]
        items, whose = [rows[n] for n in at], [clusters[n] for n in at] if clusters else ()
        self.tally.add_all(items, whose)
        self._duels.add_all(items, whose)

    def add_tied(self, rows: Sequence[Scored], clusters: Sequence[str | None]) -> None:
        """Take in items whose answers are the same, each as a tie."""
        self.tally.add_all(rows, clusters)
        self._duels.add_tied(sum(one.status is Status.PARTLY for one in rows))

    def duel(self) -> Duel | None:
        return self._duels.duel(self.tally)


class Sheet:
    """The numbers of some rows of a job."""

    def __init__(self, checks: Mapping[str, Callable[[], Column]], parts: Iterable[Part] = ()) -> None:
        """checks: by name, what makes an empty column. parts: slices that are counted by themselves as well."""
        self.columns = {name: column() for name, column in checks.items()}
        self.answered = Tally(Counting())
        self.parts = {part: Sheet(checks) for part in parts}
        self.wanted = 0
        self.sides = Sides()  # of preferences

    def add(
        self,
        scored: Mapping[str, Sequence[Scored]],
        is_answered: Sequence[bool],
        clusters: Sequence[str | None] = (),
        slices: Mapping[str, Sequence[str | None]] | None = None,
        ids: Sequence[str] = (),
    ) -> None:
        """Take rows in: what each check made of them, and which have an answer.

        clusters: whose each is; empty where there are none. slices: by name, the value of each. ids: of each; they may
        be left out where no check is a preference.
        """
        self.wanted += len(is_answered)
        for name, rows in scored.items():
            self.columns[name].add(rows, clusters, ids)
        if clusters:
            self.answered.add_all([_ANSWERED if one else _MISSING for one in is_answered], clusters)
        else:
            answered = sum(is_answered)
            self.answered.add_alike(_ANSWERED, answered)
            self.answered.add_alike(_MISSING, len(is_answered) - answered)
        for sheet, at in self._parts_in(slices):
            some = {check: [rows[n] for n in at] for check, rows in scored.items()}
            whose = [clusters[n] for n in at] if clusters else ()
            sheet.add(some, [is_answered[n] for n in at], whose, ids=[ids[n] for n in at] if ids else ())

    def _parts_in(self, slices: Mapping[str, Sequence[str | None]] | None) -> Iterator[tuple[Sheet, list[int]]]:
        """The slices that have some of these rows, and which."""
        for (name, value), sheet in self.parts.items():
            if at := [n for n, one in enumerate((slices or {})[name]) if one == value]:
                yield sheet, at

    def add_tied(
        self,
        scored: Mapping[str, Sequence[Scored]],
        clusters: Sequence[str | None] = (),
        slices: Mapping[str, Sequence[str | None]] | None = None,
    ) -> None:
        """Take in items that nobody was asked about, since both answers are the same: only preferences count them.

        scored: what those make of them. clusters, slices: as of `add`.
        """
        for name, rows in scored.items():
            column = self.columns[name]
            assert isinstance(column, DuelColumn), f"{name} is no preference"
            column.add_tied(rows, clusters)
        for sheet, at in self._parts_in(slices):
            some = {check: [rows[n] for n in at] for check, rows in scored.items()}
            sheet.add_tied(some, [clusters[n] for n in at] if clusters else ())

    def add_bad(self, rows: int) -> None:
        """Rows that became no requests: wanted, and unanswered. Nothing is known of them but that."""
        self.wanted += rows
        for column in self.columns.values():
            column.add_bad(rows)
        self.answered.add_alike(_MISSING, rows)

    def summary(self, name: str, *, better: str, signature: str) -> CheckSummary:
        """One check. Raises AssertionError unless its rows add up to those that were wanted.

        Of a preference `counts` are of items, those with equal answers among them.
        """
        column = self.columns[name]
        tally, confusion = column.tally, column.confusion
        counts = {status.value: rows for status, rows in tally.accounting().items()}
        duel = column.duel()
        assert column.rows == self.wanted, f"{name}: {column.rows} are not {self.wanted}"
        assert sum(counts.values()) == self.wanted or duel, f"{name}: {counts} are not {self.wanted}"
        f1 = confusion.numbers() if confusion else None
        return CheckSummary(
            name=name,
            kind=column.kind.value,
            form=tally.counting.form.value,
            better=better,
            signature=signature,
            counts=counts,
            figure=tally.numbers().figure,
            left_out=tuple(status.value for status in tally.left_out()),
            units=tally.units() if tally.counting.form is Form.RATIO else 0.0,
            macro_f1=f1.figure if f1 is not None else None,
            confusion=tuple((*cell, rows) for cell, rows in confusion.cells().items()) if confusion else (),
            duel=replace(duel, sides=self.sides) if duel else None,
            agreement=column.agreed.agreement() if column.agreed is not None else None,
        )

    def unanswered(self, check: str) -> int:
        """Rows without an answer that a check would count; of none: all of them."""
        if not check:
            return self.answered.counts[Status.WRONG]
        return self.columns[check].tally.counts[Status.UNANSWERED]

    def numbers_of(self, check: str, part: str, *, unanswered_is_wrong: bool) -> Numbers:
        """The metric `check.part`, or how many are answered where no check is named."""
        if not check:
            return self.answered.numbers()
        column = self.columns[check]
        if part == "unreadable":
            return column.tally.unreadable(unanswered_too=unanswered_is_wrong)
        if part == "macro_f1":
            assert column.confusion is not None, "the specs ask for it of a choice only"
            return column.confusion.numbers(unanswered_is_wrong=unanswered_is_wrong)
        return column.tally.numbers(unanswered_is_wrong=unanswered_is_wrong)
