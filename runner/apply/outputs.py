"""The outputs: one line for every wanted request, written when a job is settled and rewritten when they drift.

Whenever an apply ends, each job that has an outcome has its file, settled or not: rows that have none say where they
stand. In between, only settled jobs are written, so that a million rows are not rewritten at each poll.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from runner.apply import keep
from runner.apply.answers import TO_SEND, is_folder, is_quiet, lines_to, made_of, source_of, sources_of, spec_of
from runner.apply.session import Session
from runner.apply.tables import table_of
from runner.job.desired import Desired
from runner.job.outcomes import Outcome
from runner.job.project import AnyJob, AudioJob
from runner.job.recorded import JobRecord
from runner.plan.plan import Plan, Recorded
from runner.plan.remaining import JobRows, Row
from runner.results import export, fingerprint, folder
from runner.results.columns import Step
from runner.results.locate import locate
from runner.results.merge import Accounting, Writer
from runner.results.names import RESULTS, Names
from runner.results.transcript import suffix_of

_SHOWN = (Row.OK, Row.ERROR, Row.REPLACE, Row.LOST, Row.UNKNOWN, Row.STALLED)


class Drift(StrEnum):
    """Why a results file has to be written."""

    NEW = "first results"
    THERE = "not written from here before"
    ANSWERS = "outcomes, rows or columns changed"
    MOVED = "output path or format changed"
    MISSING = "output file missing"
    EDITED = "output file changed since it was written"


@dataclass(frozen=True, slots=True)
class Rewrite:
    address: str
    output: str
    drift: Drift
    keeps: str = ""  # what is left as it is, in words


def rewrites(session: Session, plan: Plan, recorded: Recorded, *, is_last: bool = False) -> list[Rewrite]:
    """The results files to write now, where the file is not what it should be: those of settled jobs.

    is_last: the apply ends here, so those of all jobs that have an outcome.
    """
    found = []
    for job, part, rows in zip(session.desired, plan.jobs, plan.rows, strict=True):
        if not is_quiet(rows) or part.is_held_back:
            known = session, job, rows, recorded
            if not is_last or not _has_outcome(*known) or _would_forget(*known):
                continue
        record = recorded.jobs.get(job.address)
        drift = _drift(session, job, rows, record[0] if record else None, recorded)
        if drift is not None:
            keeps = keep.foretold(session, job, record[0] if record else None)
            found.append(Rewrite(job.address, job.output, drift, keeps))
    return found


def changed_since(session: Session, plan: Plan, recorded: Recorded) -> list[Rewrite]:
    """The results files that somebody changed, of jobs that are not settled: they are written once those are."""
    found = []
    for job, part, rows in zip(session.desired, plan.jobs, plan.rows, strict=True):
        record = recorded.jobs.get(job.address)
        if record is None or is_quiet(rows) or part.is_held_back:
            continue
        if keeps := keep.foretold(session, job, record[0]):
            found.append(Rewrite(job.address, job.output, Drift.ANSWERS, keeps))
    return found


def _has_outcome(session: Session, job: Desired, rows: JobRows, recorded: Recorded) -> bool:
    if any(rows.counts[row] for row in _SHOWN):
        return True
    return bool(recorded.retries) and _answers_shown(session, job, rows, recorded) > 0


def _would_forget(session: Session, job: Desired, rows: JobRows, recorded: Recorded) -> bool:
    """Whether the file there shows more answers than are known to what is wanted now, and the rest was not sent.

    An edited prompt, or a provider that moved, waits for a person or for the remote: until it is sent, the file stays.
    """
    if not any(rows.counts[row] for row in (*TO_SEND, Row.ELSEWHERE)) or not session.output_file(job.output).exists():
        return False
    record = recorded.jobs.get(job.address)
    if record is not None and record[0].output == job.output:
        before = record[0].ok
    else:
        read_back = (entry.batch for entry in recorded.batches if entry.batch.found_in == job.output)
        before = sum(batch.rows for batch in read_back)
    if before <= rows.counts[Row.OK] + rows.counts[Row.REPLACE]:
        return False
    return before > _answers_shown(session, job, rows, recorded)


def _answers_shown(session: Session, job: Desired, rows: JobRows, recorded: Recorded) -> int:
    """How many rows show an answer: of what is asked again on purpose, the older one until there is a newer."""
    sources = [source_of(session, entry) for entry in sources_of(session, job, rows, recorded)]
    return sum(value >> 60 == Outcome.OK for value in locate(job.keys, sources).places)


def _drift(session: Session, job: Desired, rows: JobRows, record: JobRecord | None, recorded: Recorded) -> Drift | None:
    if record is None or not record.written_sha256:
        return Drift.THERE if os.path.lexists(session.output_file(job.output)) else Drift.NEW
    if record.output != job.output:
        return Drift.MOVED
    path = session.output_file(job.output)
    if not (path / RESULTS if is_folder(job.output) else path).is_file():
        return Drift.MISSING
    if record.written_sha256 != made_of(session, job, rows, recorded):
        return Drift.ANSWERS
    if is_as_left(session, path, record):
        return None
    has_less = is_folder(job.output) and _files_in(session, path) < fingerprint.files_in(record.output_fingerprint)
    return Drift.MISSING if has_less else Drift.EDITED


def _files_in(session: Session, folder: Path) -> int:
    return fingerprint.files_in(fingerprint.of_folder(folder, session.digests.of))


def is_as_left(session: Session, path: Path, record: JobRecord) -> bool:
    """Whether the output of a job is there, and holds what this state wrote last, whenever it was touched."""
    if not record.written_sha256:
        return False
    if is_folder(record.output):
        return fingerprint.of_folder(path, session.digests.of) == record.output_fingerprint
    return path.is_file() and not keep.is_changed(session, path, record)


def write(session: Session, plan: Plan, recorded: Recorded, rewrite: Rewrite) -> Accounting:
    """Write one output and record what it is made of. A file appears whole or not at all, a folder file by file."""
    number = next(n for n, job in enumerate(session.desired) if job.address == rewrite.address)
    job, rows = session.desired[number], plan.rows[number]
    spec = spec_of(session, job.address)
    path = session.outputs_root / job.output
    before = recorded.jobs[job.address][0] if job.address in recorded.jobs else None
    if before is not None and before.output != job.output:
        before = None
    steps = session.steps(spec)
    with keep.keeping(session, path, before) as kept, _writer(session, spec, job, steps) as writer:
        accounting = lines_to(writer, session, job, rows, recorded)
    accounting = replace(accounting, told=tuple(filter(None, (step.summary() for step in steps))))
    if kept:
        session.reporter.warn(f"{job.address}: `{job.output}` was changed since it was written: kept as `{kept[0]}`")
    if isinstance(writer, folder.FolderWriter) and writer.told:
        session.reporter.warn(f"{job.address}: `{job.output}`: {writer.told}")
    session.records.save(_record(session, job, rows, recorded, accounting, path))
    return accounting


def _writer(session: Session, spec: AnyJob, job: Desired, steps: Sequence[Step]) -> AbstractContextManager[Writer]:
    """Where the lines of a job go: rows to a table, recordings to a table of their own or to a folder."""
    root, compiled = session.outputs_root, session.compiled[spec.address]
    path = root / spec.output
    match spec:
        case AudioJob() if is_folder(spec.output):
            suffix = suffix_of(dict(spec.fields))
            names = Names(spec.patterns, suffix, lambda: (row.custom_id for row in compiled.rows()))
            return folder.writer_for(path, root, names, steps)
        case _:
            table = table_of(spec, compiled.rows, session.project.root, job, steps)
            return export.writer_for(path, root, table, is_guarded=spec.csv_guard)


def _record(
    session: Session, job: Desired, rows: JobRows, recorded: Recorded, accounting: Accounting, path: Path
) -> JobRecord:
    wrote = partial(session.digests.of, is_ours=True)
    before = recorded.jobs.get(job.address)
    return JobRecord(
        address=job.address,
        declared_in=job.declared_at.file,
        provider=job.provider,
        wanted_sha256=hashlib.sha256(job.keys).hexdigest(),
        keys_object=session.objects.write_set(session.keys_of(job)),
        rows=job.rows,
        output=job.output,
        output_sha256="" if is_folder(job.output) else session.digests.of(path, is_ours=True).hex(),
        output_fingerprint=fingerprint.of_folder(path, wrote) if is_folder(job.output) else "",
        written_sha256=made_of(session, job, rows, recorded),
        ok=accounting.ok,
        error=accounting.error,
        not_sent=accounting.not_sent,
        in_flight=accounting.in_flight,
        unknown=accounting.unknown,
        needs_decision=accounting.needs_decision,
        missing=accounting.missing,
        flaws=dict(accounting.flaws),
        flawed_object=session.objects.write_set(accounting.flawed) if accounting.flawed else "",
        written_at=session.clock.now(),
        scores=before[0].scores if before else None,
    )
