"""Rows and recordings that cannot become requests: the first ones in full, the rest as a number."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runner.errors import DataError, Mark, Problem

LISTED = 20


class RowsFailed(DataError):
    """Rows of a dataset cannot become requests: `problems` of the first ones, and `count` of all."""

    def __init__(self, problems: tuple[Problem, ...], count: int, dataset: str) -> None:
        self.problems = problems
        self.count = count
        first = problems[0]
        message = first.message
        if count > 1:
            lines = [f"{count:,} rows of dataset `{dataset}` cannot become requests"]
            lines += [f"  {problem.mark}: {problem.message}" for problem in problems]
            lines += [f"  and {count - len(problems):,} more"] if count > len(problems) else []
            message = "\n".join(lines)
        super().__init__(message, hint=first.hint, mark=first.mark)


class RecordingsFailed(DataError):
    """Recordings of a job cannot be sent: `problems` of the first ones, and `count` of all."""

    def __init__(self, problems: Sequence[Problem], job: str, mark: Mark) -> None:
        self.problems = tuple(problems[:LISTED])
        self.count = len(problems)
        first = self.problems[0]
        message = f"`{first.mark}` of job `{job}`: {first.message}"
        if self.count > 1:
            lines = [f"{self.count:,} recordings of job `{job}` cannot be sent"]
            lines += [f"  {problem.mark}: {problem.message}" for problem in self.problems]
            lines += [f"  and {self.count - LISTED:,} more"] if self.count > LISTED else []
            message = "\n".join(lines)
        super().__init__(message, hint=first.hint or "take them out with `exclude`, or repair them", mark=mark)


class Faults(msgspec.Struct):
    """Collects failing rows of one dataset."""

    dataset: str
    count: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list)

    def add(self, problem: Problem) -> None:
        self.count += 1
        if len(self.problems) < LISTED:
            self.problems.append(problem)

    def check(self) -> None:
        """Raise RowsFailed if there was any."""
        if self.count:
            raise RowsFailed(tuple(self.problems), self.count, self.dataset)
