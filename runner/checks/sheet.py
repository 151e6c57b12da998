"""All numbers of one job, added up row by row: every check over all rows, and over the slices that gates ask about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from runner.checks.score import Scored, Status
from runner.checks.tally import Confusion, Counting, Form, Numbers, Tally
from runner.job.checks import Kind
from runner.job.scored import CheckSummary

_ANSWERED, _MISSING = Scored(Status.RIGHT, 1, 1), Scored(Status.WRONG, 0, 1)
Part = tuple[str, str]  # a slice: its name and a value of it


class Column:
    """One check over some rows."""

    def __init__(self, kind: Kind, counting: Counting) -> None:
        self.kind = kind
        self.tally = Tally(counting)
        self.confusion = Confusion(counting) if kind is Kind.CHOICE else None

    def add(self, rows: Sequence[Scored], clusters: Sequence[str | None]) -> None:
        self.tally.add_all(rows, clusters)
        if self.confusion is not None:
            self.confusion.add_all(rows, clusters)


class Sheet:
    """The numbers of some rows of a job."""

    def __init__(self, checks: Mapping[str, tuple[Kind, Counting]], parts: Iterable[Part] = ()) -> None:
        """checks: by name. parts: slices that are counted by themselves as well."""
        self.columns = {name: Column(kind, counting) for name, (kind, counting) in checks.items()}
        self.answered = Tally(Counting())
        self.parts = {part: Sheet(checks) for part in parts}
        self.wanted = 0

    def add(
        self,
        scored: Mapping[str, Sequence[Scored]],
        is_answered: Sequence[bool],
        clusters: Sequence[str | None] = (),
        slices: Mapping[str, Sequence[str | None]] | None = None,
    ) -> None:
        """Take rows in: what each check made of them, and which have an answer.

        clusters: whose each is; empty where there are none. slices: by name, the value of each.
        """
        self.wanted += len(is_answered)
        for name, rows in scored.items():
            self.columns[name].add(rows, clusters)
        if clusters:
            self.answered.add_all([_ANSWERED if one else _MISSING for one in is_answered], clusters)
        else:
            answered = sum(is_answered)
            self.answered.add_alike(_ANSWERED, answered)
            self.answered.add_alike(_MISSING, len(is_answered) - answered)
        for (name, value), sheet in self.parts.items():
            at = [n for n, one in enumerate((slices or {})[name]) if one == value]
            if at:
                some = {check: [rows[n] for n in at] for check, rows in scored.items()}
                sheet.add(some, [is_answered[n] for n in at], [clusters[n] for n in at] if clusters else ())

    def add_bad(self, rows: int) -> None:
        """Rows that became no requests: wanted, and unanswered. Nothing is known of them but that."""
        self.wanted += rows
        for column in self.columns.values():
            units = 0 if column.tally.counting.form is Form.RATIO else 1
            column.tally.add_alike(Scored(Status.UNANSWERED, 0, units), rows)
        self.answered.add_alike(_MISSING, rows)

    def summary(self, name: str, *, better: str, signature: str) -> CheckSummary:
        """One check. Raises AssertionError unless its rows add up to those that were wanted."""
        column = self.columns[name]
        tally, confusion = column.tally, column.confusion
        counts = {status.value: rows for status, rows in tally.accounting().items()}
        assert sum(counts.values()) == self.wanted, f"{name}: {counts} are not {self.wanted}"
        f1 = confusion.numbers() if confusion else None
        return CheckSummary(
            name=name,
            kind=column.kind.value,
            form=tally.counting.form.value,
            better=better,
            signature=signature,
            counts=counts,
            figure=tally.numbers().figure,
            if_wrong=tally.numbers(unanswered_is_wrong=True).figure,
            left_out=tuple(status.value for status in tally.left_out()),
            units=tally.units() if tally.counting.form is Form.RATIO else 0.0,
            macro_f1=f1.figure if f1 is not None else None,
            confusion=tuple((*cell, rows) for cell, rows in confusion.cells().items()) if confusion else (),
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
