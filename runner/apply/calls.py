"""Batches of single calls in an apply: begun, carried on in every pass, brought home when each has an outcome."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from runner.apply import requests
from runner.apply.collect import record, tally_of
from runner.apply.purse import Rest
from runner.apply.session import Session
from runner.apply.work import Work, as_seen, budget_of
from runner.errors import BlockedError, RunnerError
from runner.job import lifecycle
from runner.job.calls import RAW, CallStep
from runner.job.capabilities import Content
from runner.job.observed import Observed, Phase
from runner.job.recorded import Batch
from runner.remotes.reading.lines import COMMON
from runner.remotes.transport.shown import SENDING, counts_of
from runner.remotes.vendor import Advanced
from runner.results import index
from runner.results.used import used_in

MOST_TOLD = 20  # held requests that are named one by one


def begin(session: Session, intent: Batch, lines: Path | None = None) -> Batch:
    """A batch of calls on record, nothing of it sent yet.

    lines: the file of its request lines, which is taken; None for recordings, which stay where they are.
    """
    if lines is not None:
        keys = session.objects.read(f"{intent.key}/keys", intent.keys_sha256)
        requests.keep(session.objects, intent, keys, lines)
    begun = lifecycle.begun(intent, SENDING, session.clock.now())
    session.records.save(begun)
    session.reporter.step(f"{begun.owner}: sending {begun.rows:,} {noun(begun, begun.rows)}")
    return begun


def noun(batch: Batch, count: int) -> str:
    """What its requests are called, so many of them."""
    return batch.content.noun + "s" * (count != 1)


class Carried(NamedTuple):
    """A batch that was carried on: as recorded, and what a person has to put right before the rest can be sent."""

    batch: Batch
    error: RunnerError | None


def carry_on(
    session: Session, batch: Batch, refusal: Callable[[Rest], BlockedError | None] = lambda rest: None
) -> Carried:
    """Send and look at what can be now; the batch is COLLECTED once every request has an outcome.

    refusal: why the rest of a batch that an earlier command began may not be sent; then it is only looked at.
    Raises RemoteError where the remote cannot be spoken to, StateError where the journal cannot be read or written.
    """
    provider = session.remote_of(batch)
    with Work(session, batch) as work:
        advanced = provider.advance(work, budget_of(session, batch, refusal))
        _tell_unknown(session, work, advanced)
        return Carried(_after(session, work, advanced), advanced.error)


def abandon(session: Session, batch: Batch) -> Batch:
    """Wait for nothing more of a batch: what was not sent is free again, what was sent and not answered is held."""
    with Work(session, batch) as work:
        from runner.remotes.transport import calls  # most batches are one call

        calls.abandon(work, session.pool)
        return _bring_home(session, work, Phase.CANCELLED)


def reopen(session: Session, batch: Batch) -> Batch:
    """A batch that was brought home with calls held, in flight again after a person has decided about some."""
    again = lifecycle.reopened(batch)
    session.records.save(again)
    return again


def _tell_unknown(session: Session, work: Work, advanced: Advanced) -> None:
    """Each request in doubt by name, with its way out."""
    owner, unknown = work.batch.owner, advanced.unknown
    why = advanced.seen.stall.rstrip(".") or "it is not known whether it was accepted"
    for number in unknown[:MOST_TOLD]:
        name = work.name(number)
        row = shlex.quote(name)
        session.reporter.warn(
            f"{owner}: `{name}` is held: {why}; `runner state resolve {owner} --row {row}` with {ways_out(work.batch)}"
        )
    if len(unknown) > MOST_TOLD:
        session.reporter.warn(
            f"{owner}: {len(unknown) - MOST_TOLD:,} more are held; `runner state resolve {owner}` lists them"
        )


def ways_out(batch: Batch) -> str:
    """What a person can say of a call of unknown outcome. Only a remote that gives receipts has an id for one."""
    at_remote = "`--adopt ID`, `--look`, " if batch.content is Content.RECORDING else ""
    return f"{at_remote}`--clear` or `--resubmit`"


def _after(session: Session, work: Work, advanced: Advanced) -> Batch:
    batch, why = work.batch, advanced.seen.stall
    if advanced.seen.phase.has_ended:
        return _bring_home(session, work, advanced.seen.phase)
    if advanced.refused:
        dropped = lifecycle.dropped(batch, advanced.refused)  # nothing is out, nothing is lost
        session.records.save(dropped)
        return dropped
    if why and why != batch.why:
        verb = "seen or sent" if batch.content is Content.RECORDING else "sent"
        session.reporter.warn(f"{batch.owner}: some {noun(batch, 2)} cannot be {verb} now: {why}")
    seen = as_seen(batch, advanced.seen).but(
        possible_duplicates=work.journal.states.repeated,
        seen_at=session.time_at(session.remote_of(batch)),
        why=why,
    )
    if (seen.raw_status, seen.why, seen.possible_duplicates) != (
        batch.raw_status,
        batch.why,
        batch.possible_duplicates,
    ):
        session.records.save(seen)
    session.live[batch.key] = seen
    return seen


def _bring_home(session: Session, work: Work, ended: Phase) -> Batch:
    """The batch as COLLECTED: every request has an outcome, those that are held wait for a person."""
    states = work.journal.states
    silent = Phase.CANCELLED if states.count(CallStep.HELD) else Phase.COMPLETED
    raw = work.raw()
    report = index.build_index([raw], work.keys, ended=silent)
    used = used_in(report, [raw], COMMON, work.batch.content)
    seen = Observed("", ended, ended.value, counts_of(states))
    results = (session.objects.keep(work.batch.key, RAW),)
    done = work.batch.but(possible_duplicates=states.repeated)
    done = record(session, done, seen, results, report.index, tally_of(report), used)
    words = f"{done.tally.ok:,} of {done.rows:,} ok"
    if done.possible_duplicates:
        words += f", {done.possible_duplicates:,} possible duplicate{'s' * (done.possible_duplicates != 1)}"
    session.reporter.step(f"{done.owner}: every {noun(done, 1)} has an outcome: {words}")
    if not done.tally.lost:  # else a person may have them sent again
        requests.forget(session.objects, done)
    return done
