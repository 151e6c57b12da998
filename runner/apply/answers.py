"""A job's lines as they stand: one for every wanted row, with what became of it, from what the memory holds.

What is made of them, a results file or scores, is a `merge.Writer`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from runner.apply.session import Session
from runner.apply.tables import about_of, wanted_of
from runner.compile.compiled import RowView
from runner.job.desired import Desired
from runner.job.infile import Run, pieces
from runner.job.outcomes import Unsettled
from runner.job.packed import common
from runner.job.project import AnyJob, AudioJob
from runner.plan.plan import Recorded
from runner.plan.remaining import BatchRows, JobRows, Row
from runner.results import columns
from runner.results.locate import Chosen, OutcomeSource, locate
from runner.results.merge import Accounting, Unusual, Writer, blocks_of, merge_blocks

_STANDING: Mapping[int, Unsettled] = {
    Row.NEW: Unsettled.NOT_SENT,
    Row.AGAIN: Unsettled.NOT_SENT,
    Row.REPLACE: Unsettled.NOT_SENT,
    Row.INVALID: Unsettled.NOT_SENT,
    Row.LATE: Unsettled.NOT_SENT,
    Row.SHARED: Unsettled.NOT_SENT,
    Row.EQUAL: Unsettled.NOT_SENT,
    Row.QUEUED: Unsettled.NOT_SENT,
    Row.IN_FLIGHT: Unsettled.IN_FLIGHT,
    Row.OPEN: Unsettled.UNKNOWN,
    Row.UNKNOWN: Unsettled.UNKNOWN,
    Row.LOST: Unsettled.NEEDS_DECISION,
    Row.STALLED: Unsettled.NEEDS_DECISION,
    Row.ELSEWHERE: Unsettled.NEEDS_DECISION,
}
_UNSETTLED = bytes(_STANDING.get(state, 0) for state in range(256))  # of each `Row`; 0 where it is settled


def is_quiet(rows: JobRows) -> bool:
    """Whether nothing is in flight and nothing will be sent. Rows that were stopped are shown as they stand."""
    return not rows.pending


def is_folder(output: str) -> bool:
    """Whether results go to a folder of transcripts, rather than to one table."""
    return output.endswith("/")


def spec_of(session: Session, address: str) -> AnyJob:
    return next(spec for spec in session.project.jobs if spec.address == address)


def made_of(session: Session, job: Desired, rows: JobRows, recorded: Recorded) -> str:
    """Hex digest over everything an output is made of: its rows, in order, and the outcomes that may be shown."""
    spec = spec_of(session, job.address)
    total = hashlib.sha256(f"results/{columns.FORMAT} {session.compiled[job.address].made_of()}\n".encode())
    total.update(f"{_shape_of(spec, job)!r}\n".encode())
    if spec.retries_invalid:
        total.update(b"retries invalid answers\n")
    total.update("".join(f"step {step.made_of}\n" for step in session.steps(spec)).encode())
    for piece in pieces(job.keys):
        total.update(piece)
    for entry in sources_of(session, job, rows, recorded):
        index = entry.batch.index_sha256 or hashlib.sha256(entry.so_far).hexdigest()
        total.update(f"{entry.batch.key} {index} {entry.batch.generation}\n".encode())
    states = rows.states.translate(_UNSETTLED)
    if any(states):
        total.update(states)
    if is_folder(job.output):  # the patterns decide what transcripts are called
        total.update(repr(spec.patterns if isinstance(spec, AudioJob) else ()).encode())
    return total.hexdigest()


def _shape_of(spec: AnyJob, job: Desired) -> tuple[object, ...]:
    """What all lines of a job have in common, beside what its rows are asked."""
    return about_of(spec, job), wanted_of(spec), spec.columns, spec.strict_answers, spec.csv_guard


class Known(msgspec.Struct, frozen=True):
    """What became of every row of a job."""

    spec: AnyJob
    keys: Run  # of each row
    shape: str  # changes whenever lines of the same rows and outcomes may be others
    entries: Sequence[BatchRows]  # batches whose outcomes are shown
    sources: Sequence[OutcomeSource]  # the same
    states: bytes  # `Unsettled` of each row


def known_of(session: Session, job: Desired, rows: JobRows, recorded: Recorded) -> Known:
    """Raises StateError."""
    spec = spec_of(session, job.address)
    entries = sources_of(session, job, rows, recorded)
    sources = [source_of(session, entry) for entry in entries]
    shape = f"{_shape_of(spec, job)!r} {spec.retries_invalid}"
    return Known(spec, job.keys, shape, entries, sources, bytes(rows.states.translate(_UNSETTLED)))


def merge_known(
    writer: Writer,
    known: Known,
    blocks: Iterable[Sequence[RowView]],
    shown: Chosen,
    states: bytes,
    unusual: Unusual | None = None,
) -> Accounting:
    """Write the lines of these rows. shown, states: theirs. blocks, unusual: see `merge`. Raises as `lines_to` does."""
    return merge_blocks(
        blocks,
        shown,
        known.sources,
        writer,
        states=states,
        wanted=wanted_of(known.spec),
        is_strict=known.spec.strict_answers,
        retries_invalid=known.spec.retries_invalid,
        unusual=unusual,
    )


def lines_to(writer: Writer, session: Session, job: Desired, rows: JobRows, recorded: Recorded) -> Accounting:
    """Write every line of a job, in input order. Raises StateError where a raw file is damaged, DataError, OSError."""
    known = known_of(session, job, rows, recorded)
    views = session.compiled[job.address].rows()
    shown = locate(job.keys, known.sources)
    return merge_known(writer, known, blocks_of(views), shown, known.states).with_bad(job.bad)


def sources_of(session: Session, job: Desired, rows: JobRows, recorded: Recorded) -> list[BatchRows]:
    """The collected batches whose outcomes are shown for a job, in order of submission.

    Once requests were asked again on purpose, an older answer is shown until there is a newer one.
    """
    accepted = recorded.accepted_origins.get(job.provider, ())
    return [
        entry
        for number, entry in enumerate(recorded.batches, 1)
        if (entry.index or entry.so_far)
        and entry.batch.origin.provider == job.provider
        and (entry.batch.origin == job.origin or str(entry.batch.origin) in accepted)
        and (number in rows.shown or (recorded.retries and common(session.keys_of(job), entry.keys)))
    ]


def source_of(session: Session, entry: BatchRows) -> OutcomeSource:
    return session.source_of(entry.batch, entry.index or entry.so_far)
