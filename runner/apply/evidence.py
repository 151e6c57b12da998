"""What one job has to show: its results and its scores, read side by side, line by line, from files alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from runner.apply.tables import about_of
from runner.checks.score import Status
from runner.checks.verdict import reason_in
from runner.job.checks import Kind
from runner.job.project import AnyJob, AudioJob
from runner.job.scored import scores_path, verdicts_path
from runner.results.reread import Line, lines_in, own_names
from runner.results.scores import ScoredRow, read
from runner.results.splice import OK

MOST_VALUES = 50  # of one slice; the rest are one
_MOST_SEEN = 100_000  # values of a slice that are told apart while they are counted

Folds = Mapping[str, Mapping[str, str]]  # a slice -> its values, and what each is shown as


class Shown(NamedTuple):
    """One row. scored: None where the job is held to nothing, or its scores are not of these results."""

    line: Line
    scored: ScoredRow | None
    reasons: Mapping[str, str] = {}  # by check with a judge, what that said


class _Reasons:
    """What a judge said, of rows as they come by: it was asked of some of them, in the same order."""

    def __init__(self, output: Path) -> None:
        self._lines = lines_in(output)
        self._next = next(self._lines, None)

    def of(self, custom_id: str) -> str:
        """Its answer, of one in JSON the `reason`; empty where there is none."""
        line = self._next
        if line is None or line.custom_id != custom_id:
            return ""
        self._next = next(self._lines, None)
        return reason_in(line.text or "")


class Evidence:
    """The files of one job. `is_scored` tells whether there are scores; `rows` finds out whether they fit."""

    def __init__(self, root: Path, spec: AnyJob) -> None:
        self.spec, self.root = spec, root
        self.output = root / spec.output
        self.scores = root / scores_path(spec.output)
        self.own = own_names(
            spec.output,
            about_of(spec),
            chosen=spec.columns,
            picked=[pick.name for pick in spec.picks],
            is_of_recordings=isinstance(spec, AudioJob),
        )
        self.has_output = self.output.exists()
        self.waiting = self._waiting() if self.has_output else ()
        self.checks = tuple(check.name for check in spec.evals.checks if check.name not in self.waiting)
        self.is_scored = bool(self.checks) and self.has_output and self.scores.is_file()

    def _waiting(self) -> tuple[str, ...]:
        """The checks whose judge had not answered when the scores were made: they are in none of their lines.

        Raises StateError, OSError.
        """
        judged = [check.name for check in self.spec.evals.checks if check.judge is not None]
        if not judged or not self.scores.is_file():
            return tuple(judged)
        with closing(read(self.scores)) as lines:
            first = next(lines, None)
        return tuple(name for name in judged if first is not None and name not in first.checks)

    def rows(self, *, has_reasons: bool = False) -> Iterator[Shown]:
        """Every row, in the order of the results. Scores end with the first line that is not of these results.

        has_reasons: with what judges said.
        Raises DataError, StateError, OSError.
        """
        if not self.has_output:
            return
        scores = read(self.scores) if self.is_scored else iter(())
        judges = self._judges() if has_reasons else {}
        for line in lines_in(self.output, self.own):
            scored = next(scores, None) if self.is_scored else None
            if self.is_scored and not self._fits(line, scored):
                self.is_scored, scored = False, None
            said = {name: judge.of(line.custom_id) for name, judge in judges.items()}
            yield Shown(line, scored, {name: text for name, text in said.items() if text})
        if self.is_scored and next(scores, None) is not None:
            self.is_scored = False

    def _judges(self) -> dict[str, _Reasons]:
        checks = [check.name for check in self.spec.evals.checks if check.judge and check.name in self.checks]
        paths = {name: self.root / verdicts_path(self.spec.output, name) for name in checks}
        return {name: _Reasons(path) for name, path in paths.items() if path.is_file()}

    def _fits(self, line: Line, scored: ScoredRow | None) -> bool:
        """Whether scores are of this very line: results may have been written again since, or checks added."""
        if scored is None or (scored.custom_id, scored.digest) != (line.custom_id, line.digest):
            return False
        return all(
            check.name in scored.checks and _agrees(line, scored.checks[check.name].status, check.kind)
            for check in self.spec.evals.checks
            if check.name not in self.waiting
        )


def _agrees(line: Line, status: Status, kind: Kind) -> bool:
    if status in (Status.SKIPPED, Status.NO_REFERENCE):
        return True
    if kind is Kind.PREFERENCE and line.status == OK:  # the other order of the item may have no answer
        return True
    return (status is Status.UNANSWERED) is (line.status != OK)


def folds_of(evidences: Sequence[Evidence]) -> Folds:
    """The values of each slice of a group: the commonest by their names, all others as one."""
    counts: dict[str, Counter[str]] = {}
    for evidence in evidences:
        if not (evidence.spec.evals.slices and evidence.is_scored):
            continue
        for row in read(evidence.scores):
            for name, value in row.slices.items():
                seen = counts.setdefault(name, Counter())
                if value is not None and (value in seen or len(seen) < _MOST_SEEN):
                    seen[value] += 1
    return {name: _folded(seen) for name, seen in counts.items()}


def _folded(seen: Counter[str]) -> dict[str, str]:
    ranked = sorted(seen, key=lambda value: (-seen[value], value))
    other = f"other ({len(ranked) - MOST_VALUES:,} values)"
    return {value: value if at < MOST_VALUES else other for at, value in enumerate(ranked)}
