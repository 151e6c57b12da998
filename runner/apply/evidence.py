"""What one job has to show: its results and its scores, read side by side, line by line, from files alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from runner.checks.score import Status
from runner.job.project import AnyJob
from runner.job.scored import scores_path
from runner.results.reread import Line, lines_in
from runner.results.scores import ScoredRow, read
from runner.results.splice import OK


class Shown(NamedTuple):
    """One row. scored: None where the job is held to nothing, or its scores are not of these results."""

    line: Line
    scored: ScoredRow | None


class Evidence:
    """The files of one job. `is_scored` tells whether there are scores; `rows` finds out whether they fit."""

    def __init__(self, root: Path, spec: AnyJob) -> None:
        self.spec = spec
        self.output = root / spec.output
        self.scores = root / scores_path(spec.output)
        self.checks = tuple(check.name for check in spec.evals.checks)
        self.has_output = self.output.exists()
        self.is_scored = bool(self.checks) and self.has_output and self.scores.is_file()

    def rows(self) -> Iterator[Shown]:
        """Every row, in the order of the results. Scores end with the first line that is not of these results.

        Raises DataError, StateError, OSError.
        """
        if not self.has_output:
            return
        scores = read(self.scores) if self.is_scored else iter(())
        for line in lines_in(self.output):
            scored = next(scores, None) if self.is_scored else None
            if self.is_scored and not self._fits(line, scored):
                self.is_scored, scored = False, None
            yield Shown(line, scored)
        if self.is_scored and next(scores, None) is not None:
            self.is_scored = False

    def _fits(self, line: Line, scored: ScoredRow | None) -> bool:
        """Whether scores are of this very line: results may have been written again since, or checks added."""
        if scored is None or (scored.custom_id, scored.digest) != (line.custom_id, line.digest):
            return False
        return all(name in scored.checks and _agrees(line, scored.checks[name].status) for name in self.checks)


def _agrees(line: Line, status: Status) -> bool:
    if status in (Status.SKIPPED, Status.NO_REFERENCE):
        return True
    return (status is Status.UNANSWERED) is (line.status != OK)
