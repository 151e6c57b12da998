"""How one output is written: its lines, in the order of its rows, and the record of what they are made of.

A file that is there already and that no record speaks of, as in a fresh clone, is compared first: where it holds what
would be written, byte for byte, only its record is.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from runner import files
from runner.apply import keep, noted
from runner.apply.answers import is_folder, known_of, lines_to, made_of, spec_of
from runner.apply.session import Session
from runner.apply.splicing import Splicing
from runner.apply.tables import table_of
from runner.compile.job import CompiledJob
from runner.errors import RunnerError
from runner.job.desired import Desired
from runner.job.project import AnyJob, AudioJob, Job
from runner.job.recorded import JobRecord
from runner.job.written import Written
from runner.plan import answered
from runner.plan.plan import Recorded
from runner.plan.remaining import JobRows
from runner.results import alike, export, fingerprint, folder
from runner.results.alike import Differs
from runner.results.columns import Step, Table
from runner.results.merge import Accounting, Writer
from runner.results.names import Names
from runner.results.transcript import suffix_of
from runner.results.wholefile import target_of


def write(session: Session, job: Desired, rows: JobRows, recorded: Recorded) -> Accounting:
    """Write one output and record what it is made of. A file appears whole or not at all, a folder file by file."""
    spec = spec_of(session, job.address)
    path = session.outputs_root / job.output
    before = recorded.jobs[job.address][0].written if job.address in recorded.jobs else None
    steps = session.steps(spec)
    proves = keep.proves_itself(session, job)
    history = recorded.batches, recorded.retries, recorded.accepted_origins
    splicing: Splicing | None = None
    of_folder = ""
    with keep.keeping(session, job.output, before, proves) as kept:
        if isinstance(spec, Job) and (table := _spliceable(session, spec, job, steps)) is not None:
            known = known_of(session, job, rows, recorded)
            splicing = Splicing(session, spec, table, known, rows.looked_up)
            accounting = _spliced(session, spec, job, table, splicing, before)
        else:
            with _writer(session, spec, job, steps) as writer:
                accounting = lines_to(writer, session, job, rows, recorded)
            of_folder = writer.told if isinstance(writer, folder.FolderWriter) else ""
    accounting = replace(accounting, told=tuple(filter(None, (step.summary() for step in steps))))
    for told in kept:
        session.reporter.warn(f"{job.address}: {told}")
    if of_folder:
        session.reporter.warn(f"{job.address}: `{job.output}`: {of_folder}")
    pieces = ""
    if splicing is not None and splicing.pieces:
        splicing.note(path)
        pieces = session.objects.write_set(splicing.pieces)
    record = _record(session, job, rows, recorded, accounting, path, is_ours=True, pieces=pieces)
    session.records.save(record)
    if splicing is not None and record.written is not None:
        splicing.leave(record.written)
    if session.sandbox is None:
        note = None if accounting.missing else answered.noted(job, rows, session.desired, *history)
        noted.write(session.memory.caches, record, note)  # of what is not all there everything is looked up again
    return accounting


def _spliceable(session: Session, spec: Job, job: Desired, steps: Sequence[Step]) -> Table | None:
    """The columns of an output whose lines may be copied from an earlier one; None where each is to be written."""
    compiled = session.compiled[spec.address]
    is_known = isinstance(compiled, CompiledJob) and compiled.parts.pieces is not None
    if steps or not is_known or Path(spec.output).suffix.lower() not in (".jsonl", ".csv"):
        return None
    return table_of(spec, compiled.rows, session.project.root, job, steps)


def _spliced(
    session: Session, spec: Job, job: Desired, table: Table, splicing: Splicing, before: Written | None
) -> Accounting:
    """Write such an output."""
    path = session.outputs_root / spec.output
    there = before if before is not None and before.output == job.output else None
    with (
        files.whole(target_of(path, session.outputs_root), keeps_equal=True) as out,
        export.writer_on(out, path.suffix.lower(), table, is_guarded=spec.csv_guard) as writer,
    ):
        return splicing.lines(out, writer, path, there).with_bad(job.bad)


def as_it_is(session: Session, job: Desired, rows: JobRows, recorded: Recorded) -> JobRecord | str:
    """What is to be recorded of an output that is there as it would be written; else how it differs, in words."""
    spec = spec_of(session, job.address)
    path = session.output_file(job.output)
    try:
        with _against(session, spec, job, path) as writer:
            accounting = lines_to(writer, session, job, rows, recorded)
        return _record(session, job, rows, recorded, accounting, path, is_ours=False)
    except Differs as differs:
        return str(differs)
    except (RunnerError, OSError):  # writing it says so
        return "it cannot be compared"


def _writer(session: Session, spec: AnyJob, job: Desired, steps: Sequence[Step]) -> AbstractContextManager[Writer]:
    """Where the lines of a job go: rows to a table, recordings to a table of their own or to a folder."""
    root, path = session.outputs_root, session.outputs_root / spec.output
    if isinstance(spec, AudioJob) and is_folder(spec.output):
        return folder.writer_for(path, root, _names(session, spec), steps)
    table = table_of(spec, session.compiled[spec.address].rows, session.project.root, job, steps)
    return export.writer_for(path, root, table, is_guarded=spec.csv_guard)


def _against(session: Session, spec: AnyJob, job: Desired, path: Path) -> AbstractContextManager[Writer]:
    """The same, where lines are only compared with what is there."""
    steps = session.steps(spec)
    if isinstance(spec, AudioJob) and is_folder(spec.output):
        return alike.folder_against(path, _names(session, spec), steps)
    table = table_of(spec, session.compiled[spec.address].rows, session.project.root, job, steps)
    return alike.table_against(path, table, is_guarded=spec.csv_guard)


def _names(session: Session, spec: AudioJob) -> Names:
    compiled = session.compiled[spec.address]
    return Names(spec.patterns, suffix_of(dict(spec.fields)), lambda: (row.custom_id for row in compiled.rows()))


def _record(
    session: Session,
    job: Desired,
    rows: JobRows,
    recorded: Recorded,
    accounting: Accounting,
    path: Path,
    *,
    is_ours: bool,
    pieces: str = "",
) -> JobRecord:
    """is_ours: the output was written just now. pieces: name of the set of those of a large one."""
    digest_of = partial(session.digests.of, is_ours=is_ours)
    before = recorded.jobs.get(job.address)
    return JobRecord(
        address=job.address,
        declared_in=job.declared_at.file,
        provider=job.provider,
        keys_object=session.objects.write_set(session.keys_of(job)),
        rows=job.rows,
        output=job.output,
        output_sha256="" if pieces or is_folder(job.output) else digest_of(path).hex(),
        output_pieces=pieces,
        output_fingerprint=fingerprint.of_folder(path, digest_of) if is_folder(job.output) else "",
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
        asked=session.declared(),
    )
