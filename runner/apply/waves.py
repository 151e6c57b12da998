"""Waves of recordings in an apply: begun, carried on in every pass, brought home when each has an outcome."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from itertools import repeat
from typing import NamedTuple

from runner.apply.collect import record, tally_of
from runner.apply.purse import Rest
from runner.apply.recordings import NOT_SENT, Round
from runner.apply.schedule import Rules, Schedule
from runner.apply.session import Session
from runner.apply.wave import SENDING, Wave, counts_of
from runner.errors import BlockedError, RunnerError
from runner.job import lifecycle
from runner.job.observed import Observed, Phase
from runner.job.outcomes import Outcome
from runner.job.recorded import Batch
from runner.remotes.audio import error_line
from runner.results import index
from runner.state.wave import FREE, RAW, Entry, Step

MOST_TOLD = 20  # held recordings that are named one by one
TOGETHER = 64  # threads that write outcomes, which are durable by the group


def begin(session: Session, intent: Batch) -> Batch:
    """A wave on record, nothing of it sent yet."""
    wave = lifecycle.begun(intent, SENDING, session.clock.now())
    session.records.save(wave)
    session.reporter.step(f"{wave.owner}: sending {wave.rows:,} recording{'s' if wave.rows != 1 else ''}")
    return wave


class Carried(NamedTuple):
    """A wave after a round: as recorded, and what a person has to put right before the rest of it can be sent."""

    batch: Batch
    error: RunnerError | None


def carry_on(
    session: Session, batch: Batch, refusal: Callable[[Rest], BlockedError | None] = lambda rest: None
) -> Carried:
    """Send and look at what can be now; the batch is COLLECTED once every recording has an outcome.

    refusal: why the rest of a wave that an earlier command began may not be sent; then it is only looked at.
    Raises RemoteError where the remote cannot be spoken to, StateError where the journal cannot be read or written.
    """
    wave = Wave(session, batch)
    try:
        rules, schedule = _rules(session, batch), _schedule(session, wave)
        held = _decide_open(wave, rules)
        provider = session.audio_of(batch)
        now = Round(session, wave, provider, schedule, rules)
        if unsent := sum(wave.states.count(step) for step in FREE):
            now.halt = now.trouble = refusal(Rest(batch, unsent))
        if _has_work(wave, schedule, session.clock.monotonic()):
            now.run(session.parallelism or provider.parallelism)
        _tell_held(session, wave, held + now.held, now.unseen)
        return Carried(_after(session, wave, now), now.trouble)
    finally:
        wave.close()


def abandon(session: Session, batch: Batch) -> Batch:
    """Wait for nothing more of a wave: what was not sent is free again, what was sent and not answered is held."""
    wave = Wave(session, batch)
    try:
        open_calls = [*wave.states.at(Step.INTENT), *wave.states.at(Step.RECEIPT)]
        wave.journal.append(*(Entry(number, Step.HELD) for number in open_calls))
        unsent = [number for step in FREE for number in wave.states.at(step)]
        lines = [error_line(wave.custom_id(number), NOT_SENT, "cancelled before it was sent") for number in unsent]
        with session.pool(TOGETHER) as pool:  # many share a commit
            list(pool.map(wave.journal.answer, unsent, repeat(Outcome.RETRY), lines))
        return _bring_home(session, wave, Phase.CANCELLED)
    finally:
        wave.close()


def reopen(session: Session, batch: Batch) -> Batch:
    """A wave that was brought home with recordings held, in flight again after a person has decided about some."""
    again = lifecycle.reopened(batch)
    session.records.save(again)
    return again


def _rules(session: Session, batch: Batch) -> Rules:
    job = next((job for job in session.desired if job.address == batch.owner), None)
    card = session.remotes.card(batch.origin.provider, batch.content)
    low, high = card.min_poll_seconds, card.max_poll_seconds
    if session.poll_seconds is not None:
        low = high = session.poll_seconds
    return Rules(
        resubmits=job is not None and job.on_unknown == "resubmit",
        max_attempts=job.max_attempts if job else 1,
        low_seconds=low,
        high_seconds=high,
    )


def _schedule(session: Session, wave: Wave) -> Schedule:
    """When to look at what is in flight: as planned in the pass before, else at once."""
    known = session.schedules.get(wave.batch.key)
    in_flight = set(wave.states.at(Step.RECEIPT))
    if known is None or {number for _, number in known.due} != in_flight:
        known = session.schedules[wave.batch.key] = Schedule()
        for number in sorted(in_flight):
            known.add(number, 0.0)
    return known


def _decide_open(wave: Wave, rules: Rules) -> list[int]:
    """Calls that an earlier command left without a receipt: nobody knows what became of them. Those that are held."""
    held: list[int] = []
    again: list[int] = []
    for number in wave.states.at(Step.INTENT):
        can_repeat = rules.resubmits and wave.states[number].intents < rules.max_attempts
        (again if can_repeat else held).append(number)
    if held or again:
        wave.journal.append(
            *(Entry(number, Step.HELD) for number in held), *(Entry(number, Step.REPEATED) for number in again)
        )
    return held


def _has_work(wave: Wave, schedule: Schedule, now: float) -> bool:
    is_due = bool(schedule.due) and schedule.due[0][0] <= now
    return is_due or any(wave.states.count(step) for step in FREE)


def _tell_held(session: Session, wave: Wave, held: list[int], why: str) -> None:
    """Each held recording by name, with its way out."""
    owner, why = wave.batch.owner, why.rstrip(".") or "it is not known whether it was accepted"
    for number in held[:MOST_TOLD]:
        name = wave.name(number)
        row = shlex.quote(name)
        session.reporter.warn(
            f"{owner}: `{name}` is held: {why}; "
            f"`runner state resolve {owner} --row {row}` with `--adopt ID`, `--look`, `--clear` or `--resubmit`"
        )
    if len(held) > MOST_TOLD:
        session.reporter.warn(
            f"{owner}: {len(held) - MOST_TOLD:,} more are held; `runner state resolve {owner}` lists them"
        )


def _after(session: Session, wave: Wave, now: Round) -> Batch:
    batch, states = wave.batch, wave.states
    if states.count(Step.ANSWERED) + states.count(Step.HELD) == batch.rows:
        return _bring_home(session, wave, Phase.COMPLETED)
    is_out = states.repeated or states.count(Step.NONE) + states.count(Step.CLEARED) < batch.rows
    if now.halt is not None and not is_out:
        dropped = lifecycle.dropped(batch, now.halt.message)  # nothing is out, nothing is lost
        session.records.save(dropped)
        return dropped
    if now.unseen and now.unseen != batch.trouble:
        session.reporter.warn(f"{batch.owner}: some recordings cannot be seen or sent now: {now.unseen}")
    seen = wave.as_seen().but(seen_at=now.time(), trouble=now.unseen)
    if (seen.raw_status, seen.trouble, seen.possible_duplicates) != (
        batch.raw_status,
        batch.trouble,
        batch.possible_duplicates,
    ):
        session.records.save(seen)
    session.live[batch.key] = seen
    return seen


def _bring_home(session: Session, wave: Wave, ended: Phase) -> Batch:
    """The wave as COLLECTED: every recording has an outcome, those that are held wait for a person."""
    batch, states = wave.batch, wave.states
    keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    silent = Phase.CANCELLED if states.count(Step.HELD) else Phase.COMPLETED
    report = index.build_index([wave.raw()], keys, ended=silent)
    seen = Observed("", ended, ended.value, counts_of(states))
    results = (session.objects.keep(batch.key, RAW),)
    done = batch.but(possible_duplicates=states.repeated)
    done = record(session, done, seen, results, report.index, tally_of(report))
    words = f"{done.tally.ok:,} ok, {done.rows - done.tally.ok:,} not"
    if done.possible_duplicates:
        words += f", {done.possible_duplicates:,} possible duplicate{'s' * (done.possible_duplicates != 1)}"
    session.reporter.step(f"{done.owner}: every recording has an outcome: {words}")
    return done
