"""The results files: one line for every wanted request, written when a job is settled and rewritten when they drift."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from runner.apply.session import Session
from runner.job.desired import Desired
from runner.job.packed import keys_of
from runner.job.recorded import REMOTE, Batch, JobRecord, Stage
from runner.plan.change import JobPlan
from runner.plan.plan import Plan, Recorded
from runner.plan.remaining import BatchRows, JobRows, Row
from runner.results import export
from runner.results.locate import Source, locate
from runner.results.merge import Accounting, merge
from runner.spec.project import Job


class Drift(StrEnum):
    """Why a results file has to be written."""

    NEW = "first results"
    ANSWERS = "new outcomes or rows"
    MOVED = "output path or format changed"
    MISSING = "output file missing"
    EDITED = "output file changed since it was written"


@dataclass(frozen=True, slots=True)
class Rewrite:
    address: str
    output: str
    drift: Drift


def rewrites(session: Session, plan: Plan, recorded: Recorded) -> list[Rewrite]:
    """The results files to write now: of jobs nothing is under way for, where the file is not what it should be."""
    found = []
    for job, part, rows in zip(session.desired, plan.jobs, plan.rows, strict=True):
        if not _is_quiet(part):
            continue
        record = recorded.jobs.get(job.address)
        drift = _drift(session, job, rows, record[0] if record else None, recorded)
        if drift is not None:
            found.append(Rewrite(job.address, job.output, drift))
    return found


def _is_quiet(part: JobPlan) -> bool:
    """Nothing is in flight, nothing will be sent, and no decision is open that could change what is asked.

    Rows that were stopped are shown as they stand; a job that is held back keeps the file it has.
    """
    counts = part.counts
    return not counts.in_flight and not counts.shared and not counts.to_submit and not part.is_held_back


def _drift(session: Session, job: Desired, rows: JobRows, record: JobRecord | None, recorded: Recorded) -> Drift | None:
    if record is None or not record.written_sha256:
        return Drift.NEW
    if record.output != job.output:
        return Drift.MOVED
    path = session.project.root / job.output
    if not path.is_file():
        return Drift.MISSING
    if record.written_sha256 != made_of(session, job, rows, recorded):
        return Drift.ANSWERS
    return None if record.output_stamp == stamp_of(path) else Drift.EDITED


def made_of(session: Session, job: Desired, rows: JobRows, recorded: Recorded) -> str:
    """Hex digest over everything a results file is made of: its rows, in order, and the outcomes that may be shown."""
    total = hashlib.sha256(f"results/1 {session.compiled[job.address].made_of()}\n".encode())
    total.update(job.keys)
    for entry in _sources(job, rows, recorded):
        total.update(f"{entry.batch.key} {entry.batch.index_sha256} {entry.batch.generation}\n".encode())
    return total.hexdigest()


def stamp_of(path: Path) -> str:
    """What tells whether somebody touched a file: size, time of change, inode."""
    about = path.stat()
    return f"{about.st_size} {about.st_mtime_ns} {about.st_ino}"


def write(session: Session, plan: Plan, recorded: Recorded, rewrite: Rewrite) -> Accounting:
    """Write one results file, whole or not at all, and record what it is made of."""
    number = next(n for n, job in enumerate(session.desired) if job.address == rewrite.address)
    job, rows = session.desired[number], plan.rows[number]
    entries = _sources(job, rows, recorded)
    sources = [_source(session, entry) for entry in entries]
    spec = next(spec for spec in session.project.jobs if spec.address == job.address)
    path = session.project.root / job.output
    compiled = session.compiled[job.address]
    columns = export.columns_of(compiled.rows()) if path.suffix == ".csv" else ()
    with export.writer_for(path, session.project.root, columns=columns) as writer:
        accounting = merge(
            compiled.rows(),
            locate(job.keys, sources),
            sources,
            writer,
            held=_held(job, rows),
            parse_json=_wants_json(spec),
        )
    session.records.save(_record(session, job, rows, recorded, accounting, path))
    return accounting


def _sources(job: Desired, rows: JobRows, recorded: Recorded) -> list[BatchRows]:
    """The collected batches whose outcomes are shown for a job, in order of submission.

    Once requests were asked again on purpose, an older answer is shown until there is a newer one.
    """
    accepted = recorded.accepted_origins.get(job.provider, ())
    return [
        entry
        for number, entry in enumerate(recorded.batches, 1)
        if entry.index
        and (number in rows.shown or recorded.retries)
        and entry.batch.origin.provider == job.provider
        and (entry.batch.origin == job.origin or str(entry.batch.origin) in accepted)
    ]


def _source(session: Session, entry: BatchRows) -> Source:
    batch = entry.batch
    folder = session.objects.path(batch.key)
    return Source(
        index=entry.index,
        generation=batch.generation,
        batch=batch.remote_id or batch.key,
        origin=str(batch.origin),
        files=tuple(folder / result.name for result in batch.results),
        fallback_error=_whole_failure(batch),
        is_adopted=bool(batch.adopted_from) and batch.adopted_from != REMOTE,
    )


def _whole_failure(batch: Batch) -> dict[str, object] | None:
    if batch.stage is not Stage.COLLECTED or batch.failure is None:
        return None
    return {"code": batch.failure.code, "message": batch.failure.message, "status": None, "retryable": False}


def _held(job: Desired, rows: JobRows) -> bytes:
    """Sorted keys of the rows that wait for a person."""
    ordinals = rows.ordinals(Row.LOST, Row.STALLED, Row.ELSEWHERE)
    return keys_of(b"".join(job.keys[16 * ordinal : 16 * ordinal + 16] for ordinal in ordinals))


def _wants_json(spec: Job) -> bool:
    wanted = spec.prompt.response_format
    return wanted is not None and wanted.get("type") in ("json_object", "json_schema")


def _record(
    session: Session, job: Desired, rows: JobRows, recorded: Recorded, accounting: Accounting, path: Path
) -> JobRecord:
    return JobRecord(
        address=job.address,
        declared_in=job.declared_at.file,
        provider=job.provider,
        wanted_sha256=hashlib.sha256(job.keys).hexdigest(),
        keys_object=session.objects.write_set(session.keys_of(job)),
        rows=job.rows,
        output=job.output,
        output_stamp=stamp_of(path),
        written_sha256=made_of(session, job, rows, recorded),
        ok=accounting.ok,
        error=accounting.error,
        held=accounting.held,
        missing=accounting.missing,
        written_at=session.clock.now(),
    )
