"""Rows and recordings that cannot become requests: the first ones in full, the rest as a number."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from runner.data.block import Block
from runner.errors import DataError, Mark, Problem

LISTED = 20
NOTED = 3
_LEFT_OUT = " left out (`skip_bad`): "


def left_out(count: int, noun: str, problems: Sequence[Problem]) -> str:
    """`3 rows are left out (skip_bad): a.csv:7: ...`, with the first ones."""
    some = "; ".join(f"{problem.mark}: {problem.message}" for problem in problems[:NOTED])
    more = f"; and {count - NOTED:,} more" if count > NOTED else ""
    return f"{count:,} {noun}{' is' if count == 1 else 's are'}{_LEFT_OUT}{some}{more}"


def first_left_out(notes: Sequence[str]) -> str:
    """`a.csv:7: ...`: what the notes of a compiled job say of the first ones; empty where none is left out."""
    return next((note.partition(_LEFT_OUT)[2] for note in notes if _LEFT_OUT in note), "")


class RowsFailed(DataError):
    """Rows of a dataset cannot become requests: `problems` of the first ones, and `count` of all."""

    def __init__(self, problems: tuple[Problem, ...], count: int, dataset: str, *, offers: bool) -> None:
        """offers: `skip_bad` is not said yet, and would send the other rows."""
        self.problems = problems
        self.count = count
        first = problems[0]
        message = first.message
        if count > 1:
            lines = [f"{count:,} rows of dataset `{dataset}` cannot become requests"]
            lines += [f"  {problem.mark}: {problem.message}" for problem in problems]
            lines += [f"  and {count - len(problems):,} more"] if count > len(problems) else []
            message = "\n".join(lines)
        offer = f"`skip_bad: true` in dataset `{dataset}` sends the other rows" if offers else ""
        super().__init__(message, hint="; ".join(filter(None, (first.hint, offer))), mark=first.mark)
        self.message = message  # each of its lines is printable already


class RecordingsFailed(DataError):
    """Recordings of a job cannot be sent: `problems` of the first ones, and `count` of all."""

    def __init__(self, problems: Sequence[Problem], job: str, mark: Mark, *, offers: bool) -> None:
        """offers: `skip_bad` is not said yet, and would send the others."""
        self.problems = tuple(problems[:LISTED])
        self.count = len(problems)
        first = self.problems[0]
        message = f"`{first.mark}` of job `{job}`: {first.message}"
        if self.count > 1:
            lines = [f"{self.count:,} recordings of job `{job}` cannot be sent"]
            lines += [f"  {problem.mark}: {problem.message}" for problem in self.problems]
            lines += [f"  and {self.count - LISTED:,} more"] if self.count > LISTED else []
            message = "\n".join(lines)
        hint = first.hint or "take them out with `exclude`, or repair them"
        offer = "; `skip_bad: true` in the job sends the others" if offers else ""
        super().__init__(message, hint=hint + offer, mark=mark)
        self.message = message  # each of its lines is printable already


class Faults(msgspec.Struct):
    """Collects failing rows of one dataset: the first ones by their places."""

    dataset: str
    count: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list)
    nulled: Counter[str] = msgspec.field(default_factory=Counter)  # by column, values that are no JSON number

    def add(self, problem: Problem) -> None:
        self.count += 1
        self._list(problem)

    def take(self, count: int, problems: Iterable[Problem], nulled: Mapping[str, int]) -> None:
        """Go on behind those that were collected elsewhere."""
        self.count += count
        for problem in problems:
            self._list(problem)
        self.nulled.update(nulled)

    def _list(self, problem: Problem) -> None:
        # rows that cannot be read are told of before rows of the same run that cannot be rendered
        if len(self.problems) < LISTED or problem.mark < self.problems[-1].mark:
            insort(self.problems, problem, key=lambda one: one.mark)
            del self.problems[LISTED:]

    def watched(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The same blocks; what is NaN or infinite in them is counted."""
        for block in blocks:
            if block.nulled:
                of_block = set(block.numbers)
                for number, columns in block.nulled.items():
                    self.nulled.update(columns if number in of_block else ())
            yield block

    def check(self, *, offers: bool) -> None:
        """Raise RowsFailed if there was any. offers: `skip_bad` would send the other rows."""
        if self.count:
            raise RowsFailed(tuple(self.problems), self.count, self.dataset, offers=offers)

    def notes(self) -> tuple[str, ...]:
        """What was left out or read otherwise, in words."""
        found = []
        if self.count:
            found.append(f"dataset `{self.dataset}`: {left_out(self.count, 'row', self.problems)}")
        for column, count in sorted(self.nulled.items()):
            values = "1 value" if count == 1 else f"{count:,} values"
            found.append(f"dataset `{self.dataset}`: {values} of `{column}` NaN or infinite, taken as null")
        return tuple(found)
