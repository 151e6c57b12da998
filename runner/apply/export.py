"""Results and scores of jobs as one table with stable columns: a line for each job and row, from files alone."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import msgspec

from runner.apply.evidence import Evidence, Shown
from runner.apply.sides import costing_of
from runner.apply.usage import Spent
from runner.errors import DataError, UsageError
from runner.files import whole
from runner.job.project import AnyJob, AudioJob, Project
from runner.job.scored import scores_path
from runner.mending import NOT_SO
from runner.remotes.reading.verdict import NULL
from runner.results import kinds
from runner.results.columns import Column, Table
from runner.results.export import SUFFIXES, writer_on
from runner.results.kinds import Kind
from runner.results.parquet import pyarrow_of
from runner.results.reread import Line, holds_rows, merged_in
from runner.results.scores import score_of
from runner.results.splice import OK, Merged

JOB = "job"
OF_ROWS: dict[str, Kind] = {
    "custom_id": kinds.TEXT,
    "row": kinds.JSON,
    "answer": kinds.TEXT,
    "status": kinds.TEXT,
    "error_code": kinds.TEXT,
    "finish_reason": kinds.TEXT,
    "input_tokens": kinds.WHOLE,
    "cached_tokens": kinds.WHOLE,
    "output_tokens": kinds.WHOLE,
    "usd": kinds.NUMBER,
    "batch": kinds.TEXT,
    "digest": kinds.TEXT,
    "origin": kinds.TEXT,
}
_encode = msgspec.json.Encoder().encode


class Exported(NamedTuple):
    jobs: int
    rows: int
    notes: Sequence[str]  # what is left out, and why


class _Layout(NamedTuple):
    """The columns of a table."""

    axes: Sequence[str]
    checks: Sequence[str]

    def columns(self) -> tuple[Column, ...]:
        taken = {JOB, *OF_ROWS}
        found: list[tuple[str, Kind]] = [(JOB, kinds.TEXT)]
        found += [(_free("axis", axis, taken), kinds.TEXT) for axis in self.axes]
        found += OF_ROWS.items()
        for check in self.checks:
            name = _free("check", check, taken)
            found += [(name, kinds.NUMBER), (_free("check", f"{name}_status", taken), kinds.TEXT)]
        return tuple(Column(name, kind, at, attrgetter("more")) for at, (name, kind) in enumerate(found))


def _free(prefix: str, name: str, taken: set[str]) -> str:
    """A name that no other column has."""
    while name in taken:
        name = f"{prefix}_{name}"
    taken.add(name)
    return name


def export(project: Project, specs: Sequence[AnyJob], target: Path) -> Exported:
    """Write the table; the file appears whole or not at all.

    Raises UsageError for a file of another suffix, or one that is there and no table of ours; DataError where no job
    has results, and with StateError for files that are none of ours; RunnerError without pyarrow, OSError.
    """
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"`{target.name}` has an unknown suffix", hint=f"use one of {', '.join(SUFFIXES)}")
    if suffix == ".parquet":
        pyarrow_of()
    refuse_others(project, target)
    there, notes = with_results(project, specs)
    written = write(project, there, target)
    return Exported(len(there), written.rows, [*notes, *written.notes])


def with_results(project: Project, specs: Sequence[AnyJob]) -> tuple[list[Evidence], list[str]]:
    """The jobs that have results, and a note of each other one. Raises DataError where none has."""
    found = [Evidence(project.root, spec) for spec in specs]
    there = [one for one in found if one.has_output]
    if not there:
        raise DataError("no job has results yet", hint="`runner apply` makes them")
    return there, [f"{one.spec.address} has no results yet" for one in found if not one.has_output]


class Written(NamedTuple):
    rows: int
    ok: int
    notes: Sequence[str]


def write(project: Project, there: Sequence[Evidence], target: Path) -> Written:
    """Write one table of some jobs; it appears whole or not at all. Raises as `export` does of their files."""
    layout = _Layout(
        list(dict.fromkeys(axis for one in there for axis in one.spec.cell)),
        list(dict.fromkeys(check for one in there for check in one.checks)),
    )
    rows = ok = 0
    notes = []
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole(target) as out, writer_on(out, target.suffix.lower(), Table(layout.columns())) as writer:
        for one in there:
            for _ in one.rows() if one.is_scored else ():
                pass  # what a pass finds out about scores holds for all rows of the next
            spent = Spent(one, costing_of(project, one.spec))
            for merged in _lines(one, layout, spent):
                writer.write(merged)
                rows += 1
                ok += merged.status == OK
            if one.checks and not one.is_scored:
                notes.append(
                    f"{one.spec.address}: its scores belong to other results, and are left out; `runner apply` scores"
                    " these at no cost"
                )
            if spent.note:
                notes.append(spent.note)
    return Written(rows, ok, notes)


def _lines(one: Evidence, layout: _Layout, spent: Spent) -> Iterator[Merged]:
    """Each row with its columns, as JSON, in `more`."""
    spec = one.spec
    whose = [_encode(spec.address), *(_encode(spec.cell.get(axis)) for axis in layout.axes)]
    as_read = merged_in(one.output) if holds_rows(one.output) else None
    rows: Iterable[Merged | None] = repeat(None) if as_read is None else as_read
    for shown, merged in zip(one.rows(), rows, strict=False):
        line = shown.line
        row = _row_of(line, spec) if merged is None else merged.row
        cost = spent.add(line)
        of_row = (
            _encode(line.custom_id),
            row,
            _encode(line.text),
            _encode(line.status),
            _encode(line.error_code or None),
            _encode(line.finish),
            *(_encode(value) for value in cost),
            _encode(line.batch),
            _encode(line.digest),
            _encode(line.origin or None),
        )
        more = (*whose, *of_row, *_scores(shown, layout.checks))
        yield Merged(line.custom_id, row, of_row[2], NULL, NULL, line.batch, line.digest, None, None, line.status, more)


def _row_of(line: Line, spec: AnyJob) -> bytes:
    """The input's columns of a table, which knows them as text alone."""
    if isinstance(spec, AudioJob):
        return _encode({"file": line.columns.get("file", line.custom_id)})
    return _encode(line.columns)


def _scores(shown: Shown, checks: Sequence[str]) -> Iterator[bytes]:
    """The score and the status of each check; null where there is none."""
    known = shown.scored.checks if shown.scored is not None else {}
    for name in checks:
        scored = known.get(name)
        yield NULL if scored is None else _encode(score_of(scored))
        yield NULL if scored is None else _encode(scored.status.value)


# --- the file that is there already -------------------------------------------------------------------------------


def refuse_others(project: Project, target: Path) -> None:
    """Raise UsageError for a file of a job, and for one that is there and no table that was exported."""
    taken = {project.root / path for job in project.jobs for path in (job.output, scores_path(job.output))}
    if any(target.resolve() == path.resolve() for path in taken):
        raise UsageError(f"`{target.name}` is a file of a job", hint="name another one")
    if os.path.lexists(target) and not _is_ours(target):
        raise UsageError(
            f"`{target.name}` is there already, and `runner export` did not write it", hint="name another one"
        )


def _is_ours(path: Path) -> bool:
    """Whether a file begins with the columns of an exported table; an empty one does."""
    if not path.is_file():
        return False
    if not path.stat().st_size:
        return True
    try:
        names = _names_in(path)
    except (OSError, ValueError, AttributeError, csv.Error, *NOT_SO):
        return False
    return names[:1] == [JOB] and set(OF_ROWS) <= set(names)


def _names_in(path: Path) -> list[str]:
    match path.suffix.lower():
        case ".parquet":
            arrow = pyarrow_of()
            try:
                return list(arrow.parquet.read_schema(path).names)
            except arrow.ArrowException:
                return []
        case ".csv":
            with path.open(encoding="utf-8", newline="") as lines:
                return next(csv.reader(lines), [])
        case _:
            with path.open("rb") as lines:
                return list(json.loads(lines.readline()))
