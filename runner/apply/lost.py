"""Batches that may say more than is on record of them: looked for again before anything is sent.

Their remote did not show them any more, or their files held less than was counted. They had a receipt; creates that
were given up without one are in `late`. A remote may answer 404, or give a file that was cut, for longer than anybody
would wait. What it shows again holds paid answers, or will.
"""

from __future__ import annotations

import os
from collections.abc import Collection

import msgspec

from runner.apply.collect import collect, mend
from runner.apply.errors import StepError
from runner.apply.refresh import look_at
from runner.apply.session import Session
from runner.errors import (
    OF_OUR_MEMORY,
    PASSING,
    AuthFailed,
    NotFound,
    RateLimited,
    Refused,
    RemoteError,
    RunnerError,
)
from runner.job import lifecycle
from runner.job.observed import Observed, Phase
from runner.job.outcomes import with_a_line
from runner.job.packed import KEY_BYTES, common, restricted, union, without
from runner.job.recorded import Batch, Stage
from runner.plan.change import Action
from runner.plan.decide import decide, judged
from runner.plan.plan import Recorded
from runner.remotes.vendor import Provider


class Again(msgspec.Struct):
    """What came of looking for them."""

    found: int = 0  # batches in flight again
    collected: int = 0  # batches brought home
    errors: list[StepError] = msgspec.field(default_factory=list)
    unsure: set[str] = msgspec.field(default_factory=set)  # jobs that want rows of one that could not be looked for now


def look_again(session: Session) -> Again:
    """Poll every batch that was given up, and fetch files once more that were short; what came of it."""
    again = Again()
    _look_for_all(session, again)
    _fetch_all(session, again)
    return again


def _look_for_all(session: Session, again: Again) -> None:
    """Poll every batch that was given up, unless all of it was answered since.

    An answer that is to be replaced is none: what replaces it may be in the very batch that was given up.
    """
    lost = [batch for batch in session.records.batches() if batch.is_lost]
    if not lost:
        return
    recorded = session.recorded()
    known = union([recorded.answers_of(entry) for entry in recorded.batches if entry.index])
    for batch in lost:
        keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
        # Only while something of it is unanswered: what a person had sent again since is answered by the other, and
        # asking after each batch that was ever given up would make every pass as long as the history of the project.
        left = without(keys, known)
        wants = {job.address for job in session.desired if common(session.keys_of(job), left)}
        if not left or batch.key in session.written_off:
            continue
        try:
            provider = session.remote_of(batch)
        except RunnerError:
            continue  # it is of another origin, which the specs do not name: a person has decided so
        try:
            _look_for(session, provider, batch, again)
            session.is_over(f"look for {batch.key}")
        except NotFound:
            pass  # it is there, and its files are not
        except RunnerError as error:
            text = f"{batch.owner}: `{batch.remote_id}` cannot be looked for now: {error.message}"
            _not_now(session, again, batch, error, wants, text)


def _not_now(
    session: Session, again: Again, batch: Batch, error: RunnerError, wants: Collection[str], text: str
) -> None:
    """Note that nobody can tell now what a batch holds: nothing is sent of the jobs that want it. text: says so.

    Unless a person goes on without it: then it was looked for once in this command, and that is all.
    """
    session.remotes.lost_sight(batch.origin.provider)
    session.warn_once(f"look for {batch.key}", text)
    if batch.is_written_off:
        session.written_off.add(batch.key)
        return
    again.unsure.update(wants)
    if not isinstance(error, PASSING):
        again.errors += [StepError(error, address, batch.key) for address in sorted(wants)]


def _fetch_all(session: Session, again: Again) -> None:
    """Fetch files that were short when a person was asked to decide, until that was answered once in this command."""
    short = [batch for batch in session.records.batches() if batch.short_since and batch.stage is Stage.COLLECTED]
    for batch in short:
        if batch.key in session.fetched_again:
            continue
        try:
            session.remote_of(batch)
        except RunnerError:
            continue  # as above
        try:
            again.collected += mend(session, batch)
        except OF_OUR_MEMORY:
            raise
        except RunnerError as error:
            # A file that is gone says no more. One that cannot be had now may hold what a person has asked again, and
            # is fetched by the next pass; for the sake of others it is not, since it may be large
            left = b"" if _is_for_good(error) else _asked_again(session.recorded(), batch)
            wants = [job.address for job in session.desired if common(session.keys_of(job), left)]
            if batch.is_written_off:
                session.warn_once(f"look for {batch.key}", f"{batch.owner}: `{batch.remote_id}`: {error.message}")
            elif wants:
                what = f"{len(left) // KEY_BYTES:,} of its rows are not asked again before its files are read"
                text = f"{batch.owner}: `{batch.remote_id}` cannot be fetched now: {error.message}; {what}"
                _not_now(session, again, batch, error, wants, text)
                continue
        session.fetched_again.add(batch.key)
        session.is_over(f"look for {batch.key}")


def _is_for_good(error: RunnerError) -> bool:
    return not isinstance(error, RemoteError) or (
        isinstance(error, Refused) and not isinstance(error, (AuthFailed, RateLimited))
    )


def _asked_again(recorded: Recorded, batch: Batch) -> bytes:
    """Keys of a batch without a line, that a person has asked again since and that are to be sent yet."""
    entry = next(entry for entry in recorded.batches if entry.batch.key == batch.key)
    since = [retry.keys for retry in recorded.retries if retry.generation > batch.generation]
    left = restricted(without(entry.keys, with_a_line(entry.index)), union(since))
    return without(left, union([recorded.held_by(one) for one in recorded.batches]))


def _look_for(session: Session, provider: Provider, batch: Batch, again: Again) -> None:
    """Take up a batch that is there again. Raises RemoteError where nobody can tell, or its files cannot be had."""
    seen = look_at(session, provider, batch)
    if seen is None:
        return
    now = session.time_at(provider)
    there = lifecycle.found_again(batch, seen, now)
    observation = judged(there, seen, now, provider.card)
    action = decide(there, observation).action
    assert isinstance(observation, Observed), "it was seen just now"
    if action is Action.FETCH:
        if len(seen.result_files) <= len(batch.results) and seen.phase in (batch.phase, Phase.CANCELLED):
            return  # as it was when it was given up
        _check_files(session, provider, seen)
        # First of all it is in flight again: what its record says of an index is true of none that is written now
        session.records.save(there)
        again.found += 1
        done = collect(session, there, observation)
        again.collected += 1
        session.reporter.step(f"{done.owner}: `{done.remote_id}` is there again: {done.tally.ok:,} of {done.rows:,} ok")
    elif action in (Action.DEFER, Action.DROP):
        # Nothing of it was asked, so its rows are free. What was decided about them meanwhile holds: it is not sent
        # again as the batch it was
        session.records.save(there)
        session.records.save(lifecycle.dropped(there, "it was refused, and nothing of it was asked"))
        again.found += 1
        session.reporter.step(
            f"{batch.owner}: `{batch.remote_id}` is there again: it was refused, and nothing of it was asked"
        )
    elif not seen.phase.has_ended:
        session.records.save(there)
        again.found += 1
        session.reporter.step(f"{batch.owner}: `{batch.remote_id}` is there again, {seen.phase}")


def _check_files(session: Session, provider: Provider, seen: Observed) -> None:
    """Raise NotFound unless each of its files can be had: it is not in flight again for names alone."""
    for file in seen.result_files:
        there = session.memory.scratch / f"{os.getpid()}-there"
        try:
            provider.download(file, there)
        finally:
            there.unlink(missing_ok=True)
