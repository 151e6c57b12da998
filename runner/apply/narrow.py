"""A session brought down to the jobs that a command is about, where their states say which those are."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import closing, nullcontext

from msgspec.structs import replace

from runner.apply import chains, readback
from runner.apply.session import Session
from runner.job.address import matches, unknown
from runner.job.observed import Phase
from runner.job.selection import Selection, State, chosen, named
from runner.plan.change import JobPlan
from runner.plan.plan import Recorded, make
from runner.plan.remaining import UNDER_WAY, JobRows, Row

_ASKED_AGAIN = (Row.AGAIN, Row.STALLED, Row.LOST, Row.LATE)


def choose(session: Session, selection: Selection, *, writes: bool) -> None:
    """Leave the jobs alone that are not selected. What is recorded now decides, and what outputs hold; no remote is
    asked. writes: whether the session's memory is kept, so that nothing of this may be recorded in it.

    Raises UsageError as `chosen` does.
    """
    if not selection.asks_for_states:
        return
    addresses = frozenset(chosen(selection, session.project.jobs, states_of(session, writes=writes)))
    session.keep(addresses)


def meant(session: Session, address: str, selection: Selection, *, writes: bool) -> list[str]:
    """The addresses of the jobs that a user means, by one address or by a selection; `writes` as in `choose`.

    Raises UsageError when the one, or a word of the other, means none.
    """
    if not selection:
        return jobs_meant(session, address)
    states = states_of(session, writes=writes) if selection.asks_for_states else None
    return list(named(selection, session.project.jobs, states))


def jobs_meant(session: Session, address: str) -> list[str]:
    """The addresses of the jobs a user means. Raises UsageError when there are none."""
    known = [job.address for job in session.desired]
    meant = [one for one in known if matches(one, address)]
    if not meant:
        raise unknown(address, known)
    return meant


def states_of(session: Session, *, writes: bool) -> dict[str, frozenset[State]]:
    """Where every job stands, by address."""
    with closing(session.memory.fork()) if writes else nullcontext(session.memory) as memory:
        probe = replace(session, memory=memory)  # what is read back, the command itself records under its lock
        readback.remember(probe)
        chains.follow(probe)
        recorded = probe.recorded()
        plan = make(probe.desired, recorded, {}, scope=probe.project.scope)
        expired = {entry.batch.key for entry in recorded.batches if entry.batch.phase is Phase.EXPIRED}
        return {
            part.address: frozenset(_states(part, rows, recorded, expired))
            for part, rows in zip(plan.jobs, plan.rows, strict=True)
        }


def _states(part: JobPlan, rows: JobRows, recorded: Recorded, expired: Set[str]) -> Iterator[State]:
    """expired: keys of the batches that did."""
    counts = rows.counts
    if counts[Row.NEW]:
        was_asked = counts[Row.NEW] + counts[Row.EQUAL] < len(rows.states) or part.address in recorded.jobs
        yield State.MODIFIED if was_asked else State.NEW
    if counts[Row.ERROR] or rows.bad or any(counts[row] for row in _ASKED_AGAIN):
        yield State.FAILED
    if not rows.parents.isdisjoint(expired):
        yield State.EXPIRED
    if any(counts[row] for row in UNDER_WAY):
        yield State.RUNNING
    if part.is_blocked:
        yield State.BLOCKED
