"""Poll what is in flight, and do what follows: take what has ended, keep what was seen, give up what is gone."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from runner.apply import calls, late, lost, overlaps, submit
from runner.apply.cancel import stop_straggler
from runner.apply.collect import collect, failure_of, lose, release
from runner.apply.errors import StepError
from runner.apply.refresh import look, sweep_duplicates
from runner.apply.result import Refusal
from runner.apply.session import Session
from runner.clock import is_over
from runner.errors import PASSING, NotFound, OutcomeUnknown, RemoteError
from runner.job import lifecycle
from runner.job.observed import Observed
from runner.job.recorded import Batch, Stage
from runner.plan.change import Action, Reason
from runner.plan.decide import NotShown, Observation, decide
from runner.plan.stragglers import STOP_OF, Limit, limits_of


class Polled(NamedTuple):
    """What a look at every batch in flight came to, and at those that were given up."""

    observations: dict[str, Observation]
    errors: list[StepError]
    collected: int  # batches brought home
    unsure: set[str]  # jobs of which nothing is sent, since a batch that was given up could not be looked for


def poll(session: Session, refusal: Refusal) -> Polled:
    """Look at every batch in flight and take what has ended, after those that were given up."""
    # The order is the rule. What was given up comes first: where it shows itself again, its rows are no longer missing.
    # Late creates are listed before duplicates are swept, so that both are judged by one list. And duplicates are swept
    # before anything is collected, since an older one takes the place of ours, and outcomes are of the one that stays.
    again = lost.look_again(session)
    active = [batch for batch in session.records.batches() if batch.is_active]
    carried = [carry_on(session, batch, refusal) for batch in active if batch.is_run_here]
    collected = sum(one.batch.stage is Stage.COLLECTED for one in carried)
    batches = [batch for batch in active if not batch.is_run_here]
    limits = limits_of(session.desired)
    polls = look(session, batches)
    errors = [StepError(one.error, one.batch.owner, one.batch.key) for one in carried if one.error] + polls.errors
    errors += again.errors
    late.list_anew(session, polls)
    sweep_duplicates(session, session.records.batches(), polls)
    late.stop(session, polls)
    overlaps.count(session, polls)
    for batch in batches:
        if (observation := polls.observations.get(batch.key)) is not None:
            if isinstance(observation, Observed):
                session.seen_at[batch.key] = session.clock.now()
            current = session.records.batch(batch.key) or batch
            # An older duplicate may have taken its place just now: then this is not what was looked at
            if current.is_active and getattr(observation, "remote_id", current.remote_id) == current.remote_id:
                try:
                    collected += _act(session, current, observation, limits.get(current.owner))
                except RemoteError as error:
                    errors.append(StepError(error, batch.owner, batch.key))
    return Polled(polls.observations, errors, collected + again.collected, again.unsure)


def carry_on(session: Session, batch: Batch, refusal: Refusal) -> calls.Carried:
    """Go on with a calls batch; an embedded server that is gone is no error, the next pass starts another."""
    try:
        carried = calls.carry_on(session, batch, refusal)
    except RemoteError as error:
        carried = calls.Carried(batch, error)
    # a call that could not be made is put off, with a word why; by a server that is gone it would be for ever
    is_awry = isinstance(carried.error, RemoteError) or (carried.error is None and carried.batch.why)
    if is_awry and session.remotes.lost_sight(batch.origin.provider):
        return calls.Carried(carried.batch, None)
    return carried


def _act(session: Session, batch: Batch, observation: Observation, limit: Limit | None) -> bool:
    """Do what was decided about one batch; whether its outcomes are here now. limit: how long its job waits for it.

    Raises RemoteError where waiting is of no use.
    """
    change = decide(batch, observation, limit)
    # What is not seen may be of specs that were not read, and of nobody known here
    is_seen = isinstance(observation, Observed)
    now = session.time_at(session.remote_of(batch)) if is_seen else session.clock.now()  # of the look, not of its files
    try:
        match change.action:
            case Action.FETCH:
                assert isinstance(observation, Observed)
                return _is_collected(session, batch, observation, change.reason)
            case Action.LOSE:
                if not _came_of_a_duplicate(session, batch):
                    lose(session, batch)
                return True
            case Action.DROP:
                session.records.save(lifecycle.dropped(batch, str(change.reason), is_given_up=True))
                return False
            case Action.DEFER if batch.is_unproven:  # whose it was will never be known, and nothing of it was asked
                release(session, batch)
                return False
            case Action.DEFER:
                assert isinstance(observation, Observed) and observation.failure is not None
                submit.defer(session, batch, observation.failure)
                return False
            case Action.STOP:
                assert limit is not None, "only a job says how long it waits"
                _note(session, batch, observation)
                current = session.records.batch(batch.key) or batch
                stop_straggler(session, current, STOP_OF[limit.then], change.detail)
                return False
            case _:
                _note(session, batch, observation)
                return False
    except RemoteError as error:
        if error.is_out_of_time:
            return False
        assert isinstance(observation, Observed), "only what was seen to end is fetched"
        return _not_fetched(session, batch, observation, now, error)


def _is_collected(session: Session, batch: Batch, seen: Observed, reason: Reason) -> bool:
    """Fetch its results; False where it turned out to be somebody else's."""
    done = collect(session, batch, seen)
    if done.stage is not Stage.COLLECTED:
        return False
    session.reporter.step(
        f"{done.owner}: collected `{done.remote_id}` ({reason}): {done.tally.ok:,} of {done.rows:,} ok"
    )
    return True


def _not_fetched(session: Session, batch: Batch, seen: Observed, now: datetime, error: RemoteError) -> bool:
    """Keep why the files of an ended batch cannot be had now; whether what is left of them was brought home instead.

    now: when it was looked at. Raises the error where waiting is of no use.
    """
    # Mostly it is for a minute. A file that answers 404 is counted as a batch that is not there is, and by the same
    # rule no single answer is believed. That the batch itself was seen says nothing of its file, so that looks at the
    # one do not begin the count of the other anew.
    batch = session.records.batch(batch.key) or batch  # it may say since when its files are short
    why = failure_of(error)
    noted = lifecycle.seen(batch, seen, now, why)
    if isinstance(error, NotFound):
        noted = lifecycle.missed(noted.but(missed_at=batch.missed_at, misses=batch.misses), now, why)
        if lifecycle.is_absent(noted, now, session.remote_of(batch).card.absence_seconds):
            session.warn_once(f"a file of {batch.remote_id}", f"{batch.owner}: `{batch.remote_id}`: {why}")
            return _take_what_is_left(session, noted, seen)
    if noted.but(seen_at=batch.seen_at) != batch:
        session.records.save(noted)
    if batch.why != why:
        session.reporter.warn(f"{batch.owner}: `{batch.remote_id}` cannot be fetched now: {why}")
    if not isinstance(error, (*PASSING, NotFound)):
        raise error
    return False


def _take_what_is_left(session: Session, batch: Batch, seen: Observed) -> bool:
    """Bring home a batch some of whose files are gone for good, as far as anybody can tell; whether it is home.

    What is left may be short, and is waited for like any file.
    """
    try:
        collect(session, batch, seen, takes_what_is_left=True)
    except NotFound:
        if not _came_of_a_duplicate(session, batch):
            lose(session, batch)
    except OutcomeUnknown as short:
        current = session.records.batch(batch.key) or batch  # it may say since when its files are short
        kept = current.but(missed_at=batch.missed_at, misses=batch.misses, why=failure_of(short))
        session.records.save(kept)
        return False
    return True


def _came_of_a_duplicate(session: Session, batch: Batch) -> bool:
    """Whether a batch whose files are gone was brought home from a duplicate of it, which holds the same requests.

    Of two clones that sent the same, one may have the older batch home and its files deleted, and the other keeps to
    the older one as everybody does.
    """
    for remote_id in reversed(batch.duplicates):
        others = tuple(one for one in batch.duplicates if one != remote_id)
        rows = {name: rows for name, rows in batch.duplicate_rows.items() if name != remote_id}
        rows[batch.remote_id] = batch.duplicate_rows.get(remote_id, batch.rows)
        instead = lifecycle.came_of(batch, remote_id)
        instead = instead.but(duplicates=(*others, batch.remote_id), duplicate_rows=rows)
        try:
            seen = session.remote_of(batch).look(remote_id)
            if not seen.phase.has_ended or not seen.result_files:
                continue
            done = collect(session, instead.but(missed_at=None, misses=0), seen)
        except RemoteError:
            continue
        session.reporter.step(
            f"{done.owner}: collected `{remote_id}`, a duplicate of `{batch.remote_id}`, whose files are gone: "
            f"{done.tally.ok:,} of {done.rows:,} ok"
        )
        return True
    return False


def _note(session: Session, batch: Batch, observation: Observation) -> None:
    """Keep what a look showed. Phases are durable; counts only travel along with them."""
    if isinstance(observation, Observed):
        seen = lifecycle.seen(batch, observation, session.time_at(session.remote_of(batch)), observation.stall)
        if observation.stall and not batch.why:
            session.reporter.warn(f"{batch.owner}: `{batch.remote_id}`: {observation.stall}")
        if not observation.results_are_final and observation.phase.has_ended:
            seen = seen.but(why="the remote has not named its result files yet")
            if batch.why != seen.why:
                session.reporter.step(f"{batch.owner}: `{batch.remote_id}` has ended; {seen.why}")
        if seen.but(seen_at=batch.seen_at, counts=batch.counts) != batch:
            session.records.save(seen)
        session.live[batch.key] = seen.but(
            input_tokens=observation.input_tokens, output_tokens=observation.output_tokens
        )
    elif isinstance(observation, NotShown):
        why = f"the remote says that `{batch.remote_id}` is not there; it is asked again before that is believed"
        session.records.save(lifecycle.missed(batch, session.time_at(session.remote_of(batch)), why))
        if batch.why != why:
            session.reporter.warn(f"{batch.owner}: {why}")
    elif not is_over(session.clock):  # else it may just not have been asked
        why = getattr(observation, "why", "")
        if why != batch.why:
            session.records.save(batch.but(why=why))
            session.reporter.warn(f"{batch.owner}: `{batch.remote_id}` cannot be seen: {why}")


def seen_in(session: Session, polled: Polled) -> dict[str, Observation]:
    """What is known of every batch in flight: as it was just seen, else as its record says (a receipt is a look)."""
    found: dict[str, Observation] = {}
    for batch in session.records.batches():
        if batch.is_active:
            observation = polled.observations.get(batch.key)
            if observation is None or (isinstance(observation, Observed) and observation.remote_id != batch.remote_id):
                observation = lifecycle.as_recorded(session.live.get(batch.key, batch))
            found[batch.key] = observation
    return found
