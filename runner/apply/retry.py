"""Ask again on purpose: a new generation for some requests, in which what happened before does not count."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from runner.apply.lost import look_again
from runner.apply.session import Session
from runner.errors import UsageError
from runner.job.address import name_of
from runner.job.calls import RAW
from runner.job.desired import Desired
from runner.job.outcomes import invalid, refused
from runner.job.packed import KEY_BYTES, common, keys_at, keys_of, union, unpack, without
from runner.job.recorded import Retry
from runner.plan.plan import Recorded, make
from runner.plan.remaining import JobRows, Row
from runner.remotes.reading.lines import COMMON
from runner.remotes.transport.atonce import UNANSWERED
from runner.results.lines import RawLines

FAILED = (Row.ERROR, Row.LOST, Row.UNKNOWN, Row.STALLED)
SETTLED = (*FAILED, Row.OK, Row.ELSEWHERE, Row.AGAIN, Row.REPLACE)


def retry(session: Session, addresses: Collection[str], rows: Collection[str], *, replaces: bool) -> list[Retry]:
    """Open a new generation for the failed requests of these jobs; what was recorded.

    rows: only those with these ids of the user's. replaces: answered requests too.
    What was given up since its remote did not show it is looked for first: what is there again is not asked again.
    Raises UsageError when no row is meant.
    """
    look_again(session)
    recorded = session.recorded()
    plan = make(session.desired, recorded, {}, scope=session.project.scope)
    _check_rows(session, addresses, rows)
    meant = [(job, states) for job, states in zip(session.desired, plan.rows, strict=True) if job.address in addresses]
    decisions = []
    for job, states in meant:
        keys = _keys(session, job, states, rows, SETTLED if replaces else FAILED)
        # An answer that is none was answered all the same: only to replace it is it asked for again
        flawed = b"" if replaces else _flawed(recorded, job)
        failed = without(keys, flawed)
        for some, is_answered in ((failed, replaces), (without(keys, failed), True)):
            if some:
                doubtful = common(some, _doubtful(session, job, states))
                decisions.append(_decide(session, job, some, is_answered, doubtful))
    if rows and not decisions:
        raise UsageError(
            f"none of the rows {', '.join(f'`{row}`' for row in rows)} of {_told(addresses)} has failed",
            hint="add `--replace` to ask answered requests again",
        )
    return decisions


def in_flight(session: Session, addresses: Collection[str]) -> int:
    """Requests of these jobs that were sent and have not come to an end."""
    plan = make(session.desired, session.recorded(), {}, scope=session.project.scope)
    return sum(part.counts.in_flight for part in plan.jobs if part.address in addresses)


def _flawed(recorded: Recorded, job: Desired) -> bytes:
    """Sorted keys of answers that are none, and are errors of this job."""
    known = recorded.flawed.get(job.address, b"") if job.is_strict or job.retries_invalid else b""
    if job.retries_invalid:
        known = union([known, *(invalid(entry.index) for entry in recorded.batches)])
    return known


def _check_rows(session: Session, addresses: Collection[str], rows: Collection[str]) -> None:
    """Raise UsageError for an id that no row of these jobs has."""
    unknown = set(rows)
    for address in addresses if unknown else ():
        unknown.difference_update(row.custom_id for row in session.compiled[address].rows())
    if unknown and addresses:
        raise UsageError(f"{_told(addresses)} has no row {', '.join(f'`{row}`' for row in sorted(unknown))}")


def _told(addresses: Collection[str]) -> str:
    first = next(iter(addresses), "")
    return f"`{first}`" if len(addresses) == 1 else f"`{name_of(first)}`" if _is_of_one(addresses) else "these jobs"


def _is_of_one(addresses: Collection[str]) -> bool:
    return len({name_of(address) for address in addresses}) == 1


def _keys(session: Session, job: Desired, states: JobRows, rows: Collection[str], wanted: Sequence[Row]) -> bytes:
    ordinals = set(states.ordinals(*wanted))
    if rows:
        named = (n for n, row in enumerate(session.compiled[job.address].rows()) if row.custom_id in rows)
        ordinals &= set(named)
    return keys_of(keys_at(job.keys, sorted(ordinals)))


def _doubtful(session: Session, job: Desired, states: JobRows) -> bytes:
    """Keys of rows that the remote may have answered: it may have a create, has a batch it does not show any more,
    counts rows that are in no file of it, or gave no reply to a call however often it was made.
    """
    lost = b"".join(
        session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
        for batch in session.records.batches()
        if batch.is_lost or batch.short_since is not None
    )
    gone = without(_of(job, states, Row.LOST), without(_of(job, states, Row.LOST), keys_of(lost)))
    return union([_of(job, states, Row.UNKNOWN), gone, _unheard(session, _of(job, states, Row.ERROR))])


def _unheard(session: Session, keys: bytes) -> bytes:
    """Which of these requests, that ended as errors, may have been answered by a reply that nobody heard."""
    found: list[bytes] = []
    with RawLines() as raw:
        for entry in session.recorded().batches:
            batch = entry.batch
            if not batch.has_journal or not common(entry.keys, keys):
                continue
            file, mine = session.objects.path(f"{batch.key}/{RAW}"), frozenset(unpack(keys))
            for one in refused(entry.index or entry.so_far):  # also of one that goes on
                fault = COMMON.parse(raw.at(file, one.offset)).fault if one.key in mine else None
                found += [one.key] if fault is not None and fault.code == UNANSWERED else []
    return keys_of(b"".join(found))


def _of(job: Desired, states: JobRows, row: Row) -> bytes:
    return keys_of(keys_at(job.keys, states.ordinals(row)))


def _decide(session: Session, job: Desired, keys: bytes, replaces: bool, doubtful: int) -> Retry:
    project = session.records.project()
    assert project is not None  # there are outcomes, so something was recorded
    decision = Retry(
        generation=project.generation + 1,
        address=job.address,
        keys_object=session.objects.write_set(keys),
        rows=len(keys) // KEY_BYTES,
        replaces=replaces,
        decided_at=session.clock.now(),
        possible_duplicates=doubtful,
    )
    session.records.save(decision, replace(project, generation=decision.generation))
    return decision
