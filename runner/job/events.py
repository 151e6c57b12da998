"""What happened, as one line of an append-only log: who did what, when, by which command, why, and for how much.

The words are those of the log (`runner history`) and of `--events`. What befell a batch or a job is told by the
difference between two records of it, so it is never told of what was not recorded, and never recorded untold.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum

import msgspec

from runner.job.observed import Failure
from runner.job.recorded import Batch, JobRecord, ProjectRecord, Retry, Stage
from runner.job.stored import Stored

VERSION = 1
MOST_OF_WHY = 200  # characters


class What(StrEnum):
    """What an event is about, and what became of it."""

    SUBMITTED = "batch.submitted"  # the remote gave a receipt for it; of single calls: it was begun
    ADOPTED = "batch.adopted"  # found at its remote, or taken for ours by a person's word
    DEFERRED = "batch.deferred"  # turned away for now; the same upload goes again later
    HELD = "batch.held"  # nobody can tell whether its create took effect
    RELEASED = "batch.released"  # what was taken for it is somebody else's; it is looked for again
    DROPPED = "batch.dropped"  # nothing of it exists at the remote, as far as anybody can see
    DUPLICATED = "batch.duplicated"  # a duplicate of it was found, and stopped
    CANCELLED = "batch.cancelled"  # it was told to stop: by a person, or since it took too long
    ENDED = "batch.ended"  # it was first seen to have ended
    COLLECTED = "batch.collected"  # its outcomes are here
    READ_BACK = "batch.read_back"  # its answers were read back from a results file
    REOPENED = "batch.reopened"  # in flight again: it was found again, or a person decided about its calls
    WRITTEN = "job.written"  # its results file was written
    RETRIED = "job.retried"  # a person had it asked again
    MOVED = "job.moved"  # it goes by another address
    IMPORTED = "batch.imported"  # a person had it taken in by its remote id
    FORGOTTEN = "batch.forgotten"  # a person had its record removed
    PRUNED = "remote.pruned"  # files or batches of ours at the remote were deleted
    ACCEPTED = "origin.accepted"  # answers of other origins of a provider count as its own
    STATE = "state.replaced"  # the recorded state was pushed, pulled or rebuilt as a whole

    # Told by `--events` while a command runs, and in no log
    BEGAN = "command.began"
    FINISHED = "command.ended"  # with its exit code
    STEP = "command.step"  # something was done, in words
    WARNED = "command.warned"
    PROGRESS = "job.progress"  # how far a job is
    SILENT = "remote.silent"  # it keeps a call waiting
    AGAIN = "remote.again"  # a call to it failed, and is tried again
    MOVING = "remote.moving"  # much is sent to it, or received from it


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One thing that happened. What does not apply is left out; no row's content, no key and no path of a machine."""

    event: What
    at: datetime | None = None  # UTC
    serial: int = 0  # of the write of the record that it is told of
    part: int = 0  # its place among the events of that write
    who: str = ""
    command: str = ""
    revision: str = ""  # the commit that is checked out
    job: str = ""
    batch: str = ""
    remote_id: str = ""
    provider: str = ""
    model: str = ""
    rows: int | None = None
    ok: int | None = None
    failed: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: float | None = None  # None: not known, or nothing to pay
    unpriced: int | None = None  # answers whose cost is not known
    estimated_usd: float | None = None  # at most
    state: str = ""  # in the words of `Phase`
    path: str = ""  # below the project root
    why: str = ""


def told_by(before: object, after: object) -> Iterator[Event]:
    """What a record tells that takes the place of another. before: None where there was none."""
    match after:
        case Batch():
            yield from _of_batch(before if isinstance(before, Batch) else None, after)
        case JobRecord():
            yield from _of_job(before if isinstance(before, JobRecord) else None, after)
        case Retry() if before is None:
            answered = "what was answered too" if after.replaces else "what failed"
            yield Event(event=What.RETRIED, job=after.address, rows=after.rows, why=answered)
        case ProjectRecord():
            yield from _of_project(before if isinstance(before, ProjectRecord) else None, after)


def _of_batch(before: Batch | None, after: Batch) -> Iterator[Event]:
    stood = before.stage if before else Stage.DROPPED  # a record is begun anew where nothing of it exists
    if before is not None and (found := [one for one in after.duplicates if one not in before.duplicates]):
        yield _about(after, What.DUPLICATED, why=", ".join(found))
    if after.stage is stood:
        is_ended = before is not None and before.end_seen_at is None and after.end_seen_at is not None
        if is_ended and stood is Stage.SUBMITTED:
            yield _about(after, What.ENDED, state=after.phase.value)
        return
    match after.stage:
        case Stage.SUBMITTED if stood is Stage.COLLECTED:
            yield _about(after, What.REOPENED)
        case Stage.SUBMITTED if stood is Stage.HELD or after.is_adopted:
            yield _about(after, What.ADOPTED, estimated_usd=after.estimated_usd)
        case Stage.SUBMITTED:
            yield _about(after, What.SUBMITTED, estimated_usd=after.estimated_usd, why=after.reason)
        case Stage.DEFERRED:
            yield _about(after, What.DEFERRED, why=_words(after.failure))
        case Stage.HELD:
            yield _about(after, What.HELD, estimated_usd=after.estimated_usd, why=after.why)
        case Stage.DROPPED:
            yield _about(after, What.DROPPED, why=after.why)
        case Stage.INTENT if stood is Stage.SUBMITTED:
            yield _about(after, What.RELEASED, why=after.why)
        case Stage.COLLECTED:
            yield _collected(after)
        case _:
            pass


def _collected(batch: Batch) -> Event:
    used, what = batch.used, What.READ_BACK if batch.is_read_back else What.COLLECTED
    usd, unpriced = batch.price.of(used) if used is not None else (0.0, batch.tally.ok)
    is_priced = batch.price.is_known and used is not None
    return _about(
        batch,
        what,
        ok=batch.tally.ok,
        failed=batch.rows - batch.tally.ok,
        input_tokens=used.input_tokens if used else None,
        output_tokens=used.output_tokens if used else None,
        usd=usd if is_priced else None,
        unpriced=unpriced or None,
        estimated_usd=batch.estimated_usd,
        state=batch.phase.value,
        why=_words(batch.failure),
        path=batch.found_in if batch.is_read_back else "",
    )


def _words(failure: Failure | None) -> str:
    """The kind of a failure. The remote's own words may quote rows, and stay with the batch."""
    return f"{failure.kind.value}{f' ({failure.code})' if failure.code else ''}" if failure else ""


def _about(batch: Batch, what: What, *, why: str = "", **more: object) -> Event:
    told = Event(
        event=what,
        job=batch.owner,
        batch=batch.key,
        remote_id=batch.remote_id,
        provider=batch.origin.provider,
        model=batch.model,
        rows=batch.rows,
        why=shortened(why),
    )
    return msgspec.structs.replace(told, **more)


def cancelled(batch: Batch, why: str) -> Event:
    """A batch was told to stop; what has finished of it is still to be collected."""
    return _about(batch, What.CANCELLED, state=batch.phase.value, why=why)


def pruned(stored: Stored, provider: str, batch: Batch | None) -> Event:
    """An object at a remote is gone, as a person or `retention` asked. batch: whose it was, where that is on record."""
    why = shortened(f"{stored.kind.value} {stored.name or stored.ref}")
    if batch is not None:
        return msgspec.structs.replace(_about(batch, What.PRUNED, why=why), rows=None)
    remote_id = stored.batches[0] if stored.batches else ""
    return Event(event=What.PRUNED, provider=provider, remote_id=remote_id, why=why)


def _of_job(before: JobRecord | None, after: JobRecord) -> Iterator[Event]:
    if after.written_sha256 and (before is None or before.written_at != after.written_at):
        yield Event(
            event=What.WRITTEN,
            job=after.address,
            provider=after.provider,
            rows=after.rows,
            ok=after.ok,
            failed=after.error,
            path=after.output,
        )


def _of_project(before: ProjectRecord | None, after: ProjectRecord) -> Iterator[Event]:
    accepted = before.accepted_origins if before else {}
    for provider, origins in after.accepted_origins.items():
        if origins != accepted.get(provider):
            yield Event(event=What.ACCEPTED, provider=provider, why=shortened(", ".join(origins)))


def shortened(words: str) -> str:
    """In one line, and no longer than an event may say why."""
    line = " ".join(words.split())
    return line if len(line) <= MOST_OF_WHY else f"{line[: MOST_OF_WHY - 1]}…"
