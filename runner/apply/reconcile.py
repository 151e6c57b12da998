"""One pass: settle what is open, see what is there, bring what is done, send what is missing, write what changed.

A pass holds the project's lock; waiting between passes does not. Each pass reads the state anew.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from msgspec.structs import replace

from runner.apply import late, lost, outputs, recover, submit, waves
from runner.apply.collect import collect, failure_of, lose, mend_all
from runner.apply.errors import StepError, jobs_in
from runner.apply.purse import Confirm, Purse, Rest
from runner.apply.readback import remember
from runner.apply.refresh import look, sweep_twins
from runner.apply.reporter import progress_of
from runner.apply.session import Session
from runner.apply.settle import settle_all
from runner.apply.submission import as_met
from runner.clock import LONGEST_LOOK
from runner.errors import (
    OF_OUR_MEMORY,
    BlockedError,
    Conflict,
    LockedError,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    RemoteError,
    RunnerError,
)
from runner.job import lifecycle
from runner.job.capabilities import Capabilities, Delivery, Shown
from runner.job.desired import Desired
from runner.job.observed import FailureKind, Observed, Origin, Phase
from runner.job.outcomes import settled
from runner.job.packed import common, union
from runner.job.recorded import Batch, Left, Stage
from runner.plan.change import Action, Reason, Submission
from runner.plan.decide import Missing, Sight, decide
from runner.plan.guard import Guards, amount_of
from runner.plan.plan import Plan, Recorded, decided, is_below, make, sent
from runner.remotes.vendor import Provider
from runner.results.merge import Accounting

MOST_DROPS = 5  # creates of one batch that certainly did not take effect, in one run

Refusal = Callable[[Rest], BlockedError | None]


@dataclass(slots=True)
class Result:
    """Where an apply left things."""

    plan: Plan
    written: dict[str, Accounting] = field(default_factory=dict)
    submitted: int = 0  # requests sent by this apply
    collected: int = 0  # batches
    is_running: bool = False
    purse: Purse = field(default_factory=Purse)
    errors: list[StepError] = field(default_factory=list)  # of the last pass
    stopped: dict[str, StepError] = field(default_factory=dict)  # by job, why this apply sends no more of it
    unwritten: list[StepError] = field(default_factory=list)  # results files


class Polled(NamedTuple):
    """What a look at every batch in flight came to, and at those that were given up."""

    sights: dict[str, Sight]
    errors: list[StepError]
    collected: int  # batches brought home
    unsure: set[str]  # jobs of which nothing is sent, since a batch that was given up could not be looked for


def apply(
    session: Session,
    guards: Guards,
    *,
    confirm: Confirm,
    wait_seconds: float | None,
    lock_seconds: float = 0.0,
    command: str = "runner apply",
) -> Result:
    """Reconcile until everything is settled, blocked, or `wait_seconds` are over (None: no bound, 0: one pass)."""
    started = session.clock.monotonic()
    session.clock.until = started + wait_seconds if wait_seconds else None
    session.clock.retry_seconds = LONGEST_LOOK if wait_seconds == 0 else math.inf
    result: Result | None = None
    pause = 0.0
    while True:
        with session.memory.lock(command, now=session.clock.now(), wait_seconds=lock_seconds):
            before = (result.submitted, result.collected) if result else None
            if result is None:
                begin(session)
            result = _pass(session, guards, confirm, result)
            elapsed = session.clock.monotonic() - started
            is_over = wait_seconds is not None and elapsed >= wait_seconds
            if not result.is_running or session.stop.is_set() or is_over:
                leave(session, guards, result)
                return result
        moved = before != (result.submitted, result.collected)
        pause = _next_pause(session, result.plan, 0.0 if moved else pause)
        if wait_seconds is not None:
            pause = min(pause, max(wait_seconds - elapsed, 0.05))
        session.clock.sleep(pause)
        if session.stop.is_set():
            with suppress(LockedError), session.memory.lock(command, now=session.clock.now()):
                leave(session, guards, result)
            return result
        lock_seconds = max(lock_seconds, 60.0)


def _pass(session: Session, guards: Guards, confirm: Confirm, last: Result | None) -> Result:
    """One pass; where an error ends the apply, files are written first of what is known."""
    try:
        return one_pass(session, guards, confirm, last)
    except LockedError:
        raise  # another holds the project now, and writes its files
    except RunnerError:
        with suppress(RunnerError):
            leave(session, guards, last)
        raise


def leave(session: Session, guards: Guards, result: Result | None) -> None:
    """The last thing an apply does, under the lock: jobs that are not settled get their files too."""
    if result is not None and all(outputs.is_quiet(rows) for rows in result.plan.rows) and not _held_back(result):
        return
    recorded = session.recorded()
    plan = make(session.desired, recorded, {}, guards, session.project.paths)
    result = result or Result(plan)
    known = len(result.unwritten)
    for rewrite in outputs.rewrites(session, plan, recorded, is_last=True):
        _write(session, result, plan, recorded, rewrite)
    result.errors += result.unwritten[known:]


def _held_back(result: Result) -> bool:
    return any(job.is_held_back for job in result.plan.jobs)


def _next_pause(session: Session, plan: Plan, pause: float) -> float:
    """From quick to slow: a batch that is refused is refused early, one that runs runs long."""
    if session.poll_seconds is not None:
        return session.poll_seconds
    cards = [_card_of(session, batch) for batch in _waited_for(plan)]
    low = min((card.min_poll_seconds for card in cards), default=1.0)
    high = min((card.max_poll_seconds for card in cards), default=60.0)
    return min(max(low, pause * 1.5), high)


def _card_of(session: Session, batch: Batch) -> Capabilities:
    name = batch.origin.provider
    return session.remotes.card(name, batch.content)


def begin(session: Session) -> None:
    """What comes before the first pass, under the lock: outputs are read back, and half rendered uploads swept."""
    remember(session)
    for leftover in session.memory.scratch.iterdir():  # of a killed command: nobody else is at work on one
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def one_pass(session: Session, guards: Guards, confirm: Confirm, last: Result | None = None) -> Result:
    """Everything that can be done now. `last` is what the passes before added up to."""
    purse = last.purse if last else Purse()
    guards = replace(guards, sent=purse.sent)

    addresses = {job.address for job in session.desired}

    def refusal(rest: Rest) -> BlockedError | None:
        if rest.batch.owner not in addresses and not is_below(rest.batch.declared_in, session.project.paths):
            return BlockedError(f"{rest.batch.owner}: {rest.words} are of specs that were not read")
        return purse.refusal(rest, guards, confirm)

    unresolved = settle_all(session, session.records.batches())
    mended = mend_all(session)
    polled = _observe(session, refusal)
    polled = polled._replace(collected=polled.collected + mended)
    recorded = session.recorded()
    if last and not polled.collected and not _due(session) and _is_as_before(session, last.plan):
        return _still(session, last, polled, unresolved)
    plan = make(session.desired, recorded, _seen(session, polled), guards, session.project.paths)
    result = Result(plan, dict(last.written) if last else {}, last.submitted if last else 0, polled.collected)
    result.collected += last.collected if last else 0
    result.stopped, result.purse = {**(last.stopped if last else {}), **session.out_of_money}, purse
    _resubmit_deferred(session, result, {batch.key for batch, _ in plan.leftovers}, refusal)
    unsearched: list[StepError] = []
    if (plan.submissions or recover.to_search(session, plan) or _half_searched(session)) and not session.stop.is_set():
        polled, unsearched = _pay(session, guards, confirm, refusal, result, polled, unresolved)
    if _has_moved(session, result.plan, recorded):
        recorded = session.recorded()
        result.plan = make(session.desired, recorded, _seen(session, polled), guards, session.project.paths)
    half_searched = _half_searched(session)
    strict = {job.address for job in session.desired if job.is_strict}
    is_judged = False
    for rewrite in outputs.rewrites(session, result.plan, recorded):
        if half_searched.isdisjoint(job.provider for job in session.desired if job.address == rewrite.address):
            _write(session, result, result.plan, recorded, rewrite)
            is_judged |= rewrite.address in strict
    if is_judged:  # which answers are none is known once their lines are
        result.plan = make(session.desired, session.recorded(), _seen(session, polled), guards, session.project.paths)
    return _left(session, result, [*unresolved, *polled.errors, *unsearched])


def _left(session: Session, result: Result, errors: Sequence[StepError]) -> Result:
    """The result with its errors, and whether there is anything to wait for: what went wrong is not waited for."""
    result.errors = [*errors, *result.stopped.values(), *result.unwritten]
    awry = {one.batch for one in result.errors}
    is_awaited = any(batch.key not in awry for batch in _waited_for(result.plan))
    unsent = {submission.address for submission in result.plan.submissions} - jobs_in(result.errors)
    result.is_running = is_awaited or (bool(unsent) and not result.purse.declined)
    _show(session, result.plan)
    return result


def _still(session: Session, last: Result, polled: Polled, unresolved: Sequence[StepError]) -> Result:
    """The last result, when nothing came of this pass but what was seen."""
    sights = _seen(session, polled)
    last.plan = replace(last.plan, batches=decided([batch for batch, _ in last.plan.batches], sights))
    return _left(session, last, [*unresolved, *polled.errors])


def _seen(session: Session, polled: Polled) -> dict[str, Sight]:
    """What is known of every batch in flight: as it was just seen, else as its record says (a receipt is a look)."""
    found: dict[str, Sight] = {}
    for batch in session.records.batches():
        if batch.is_active:
            sight = polled.sights.get(batch.key)
            if sight is None or (isinstance(sight, Observed) and sight.remote_id != batch.remote_id):
                sight = lifecycle.as_recorded(session.live.get(batch.key, batch))
            found[batch.key] = sight
    return found


def _write(session: Session, result: Result, plan: Plan, recorded: Recorded, rewrite: outputs.Rewrite) -> None:
    """Write one results file. What goes wrong with it stops this job, not the others."""
    try:
        result.written[rewrite.address] = outputs.write(session, plan, recorded, rewrite)
    except OSError as error:
        unwritten = RunnerError(
            f"{rewrite.address}: `{rewrite.output}` cannot be written: {error.strerror or error}",
            hint="Its answers are recorded; put the path right and run `runner apply` again",
        )
        result.unwritten.append(StepError(unwritten, rewrite.address))
    except Conflict:  # of all that is recorded nothing is known any more
        raise
    except RunnerError as error:
        result.unwritten.append(StepError(error, rewrite.address))
    else:
        session.reporter.step(f"{rewrite.address}: wrote `{rewrite.output}` ({rewrite.drift})")


def _observe(session: Session, refusal: Refusal) -> Polled:
    """Look at every batch in flight and take what has ended, after those that were given up."""
    again = lost.look_again(session)
    active = [batch for batch in session.records.batches() if batch.is_active]
    waves_ = [batch for batch in active if batch.delivery is Delivery.CALLS and batch.stage is Stage.SUBMITTED]
    carried = [_carry_on(session, batch, refusal) for batch in waves_]
    collected = sum(wave.batch.stage is Stage.COLLECTED for wave in carried)
    batches = [batch for batch in active if batch.delivery is not Delivery.CALLS]
    looks = look(session, batches)
    errors = [StepError(one.error, one.batch.owner, one.batch.key) for one in carried if one.error] + looks.errors
    errors += again.errors
    late.list_anew(session, looks)
    sweep_twins(session, session.records.batches(), looks)
    late.stop(session, looks)
    recover.count_overlaps(session, looks)
    for batch in batches:
        if (sight := looks.sights.get(batch.key)) is not None:
            if isinstance(sight, Observed):
                session.seen_at[batch.key] = session.clock.now()
            current = session.records.batch(batch.key) or batch
            if current.is_active and getattr(sight, "remote_id", current.remote_id) == current.remote_id:
                try:
                    collected += _act(session, current, sight)
                except RemoteError as error:
                    errors.append(StepError(error, batch.owner, batch.key))
    return Polled(looks.sights, errors, collected + again.collected, again.unsure)


def _carry_on(session: Session, wave: Batch, refusal: Refusal) -> waves.Carried:
    """Go on with a wave of recordings; an embedded server that is gone is no error, the next pass starts another."""
    try:
        return waves.carry_on(session, wave, refusal)
    except RemoteError as error:
        return waves.Carried(wave, None if session.remotes.lost_sight(wave.origin.provider) else error)


def _act(session: Session, batch: Batch, sight: Sight) -> bool:
    """Do what was decided about one batch; whether its outcomes are here now.

    Raises RemoteError where waiting is of no use.
    """
    change = decide(batch, sight)
    is_seen = isinstance(sight, Observed)  # what is not may be of specs that were not read, and of nobody known here
    now = session.time_at(session.remote_of(batch)) if is_seen else session.clock.now()  # of the look, not of its files
    try:
        match change.action:
            case Action.FETCH:
                assert isinstance(sight, Observed)
                done = collect(session, batch, sight)
                if done.stage is not Stage.COLLECTED:  # it was somebody else's
                    return False
                session.reporter.step(
                    f"{done.owner}: collected `{done.remote_id}` ({change.reason}): "
                    f"{done.tally.ok:,} ok, {done.rows - done.tally.ok:,} not"
                )
                return True
            case Action.LOSE:
                lose(session, batch)
                return True
            case Action.DROP:
                session.records.save(lifecycle.dropped(batch, str(change.reason), is_given_up=True))
                return False
            case Action.DEFER:
                assert isinstance(sight, Observed) and sight.failure is not None
                submit.defer(session, batch, sight.failure)
                return False
            case _:
                _note(session, batch, sight)
                return False
    except RemoteError as error:
        assert isinstance(sight, Observed), "only what was seen to end is fetched"
        batch = session.records.batch(batch.key) or batch  # it may say since when its files are short
        why = failure_of(error)
        noted = lifecycle.seen(batch, sight, now, why)
        if isinstance(error, NotFound):
            noted = lifecycle.missed(noted.but(missed_at=batch.missed_at, misses=batch.misses), now, why)
            if lifecycle.is_absent(noted, now, session.remote_of(batch).card.absence_seconds):
                session.reporter.warn(f"{batch.owner}: `{batch.remote_id}`: {why}")
                _take_what_is_left(session, noted, sight)
                return True
        if noted.but(seen_at=batch.seen_at) != batch:
            session.records.save(noted)
        if batch.trouble != why:
            session.reporter.warn(f"{batch.owner}: `{batch.remote_id}` cannot be fetched now: {failure_of(error)}")
        if not isinstance(error, (NotSent, NotFound, OutcomeUnknown, RateLimited)):
            raise
        return False


def _take_what_is_left(session: Session, batch: Batch, seen: Observed) -> None:
    """Bring home a batch some of whose files are gone for good, as far as anybody can tell."""
    try:
        collect(session, batch, seen, takes_what_is_left=True)
    except NotFound:
        lose(session, batch)


def _note(session: Session, batch: Batch, sight: Sight) -> None:
    """Keep what a look showed. Phases are durable; counts only travel along with them."""
    if isinstance(sight, Observed):
        seen = lifecycle.seen(batch, sight, session.time_at(session.remote_of(batch)), sight.stall)
        if sight.stall and not batch.trouble:
            session.reporter.warn(f"{batch.owner}: `{batch.remote_id}` {sight.stall}")
        if not sight.results_are_final and sight.phase.has_ended:
            seen = seen.but(trouble="the remote has not named its result files yet")
            if batch.trouble != seen.trouble:
                session.reporter.step(f"{batch.owner}: `{batch.remote_id}` has ended; {seen.trouble}")
        if seen.but(seen_at=batch.seen_at, counts=batch.counts) != batch:
            session.records.save(seen)
        session.live[batch.key] = seen
    elif isinstance(sight, Missing):
        why = f"`{batch.remote_id}` is not there, the remote says; it is asked again before that is believed"
        session.records.save(lifecycle.missed(batch, session.time_at(session.remote_of(batch)), why))
        if batch.trouble != why:
            session.reporter.warn(f"{batch.owner}: {why}")
    else:
        why = getattr(sight, "why", "")
        if why != batch.trouble:
            session.records.save(batch.but(trouble=why))
            session.reporter.warn(f"{batch.owner}: `{batch.remote_id}` cannot be seen: {why}")


def _pay(
    session: Session,
    guards: Guards,
    confirm: Confirm,
    refusal: Refusal,
    result: Result,
    polled: Polled,
    unresolved: Sequence[StepError],
) -> tuple[Polled, list[StepError]]:
    """Submit what is missing, after making sure that no remote already holds it.

    What was seen last, and the jobs whose remotes could not be searched. A job is left out in which something went
    wrong in this pass, or that was stopped in an earlier one.
    """
    if result.plan.submissions and all(_rests(session, one) for one in result.plan.submissions):
        return polled, []
    polled, unsearched, is_limited = _after_search(session, guards, refusal, result, polled)
    plan = result.plan
    result.stopped |= session.out_of_money
    held_back = jobs_in([*unresolved, *polled.errors, *unsearched]) | is_limited | polled.unsure
    held_back |= result.stopped.keys()
    going = [one for one in plan.submissions if one.address not in held_back and not _rests(session, one)]
    if not going:
        return polled, unsearched
    if result.purse.declined or not confirm(plan):
        result.purse.declined = True
        return polled, unsearched
    on_their_way = []
    is_unanswered = False  # the last create: with the command's time over too, the others need not take as long
    for submission in going:
        if session.stop.is_set() or (is_unanswered and _is_over(session)):
            break
        if submission.address in result.stopped:
            continue
        batch = _submit(session, result, submission)
        is_unanswered = batch is not None and batch.stage is Stage.INTENT
        if batch is not None and batch.stage in (Stage.SUBMITTED, Stage.DEFERRED):
            result.purse.begun(batch, amount_of(_job_of(session, submission), submission.ordinals))
            result.submitted += batch.rows
            on_their_way.append((submission, batch))
    result.plan = sent(plan, on_their_way)
    return polled, unsearched


def _is_over(session: Session) -> bool:
    return session.clock.until is not None and session.clock.monotonic() >= session.clock.until


def _rests(session: Session, submission: Submission) -> bool:
    """Whether what is to be asked again waits: the remote refused it a moment ago, by no fault of the input."""
    for key in submission.parents:
        batch = session.records.batch(key)
        if batch is None or batch.phase is not Phase.FAILED or batch.results or batch.seen_at is None:
            continue
        pause = submit.pause_after(session.remotes.card(batch.origin.provider, batch.content), batch.attempt)
        is_for_now = batch.failure is not None and batch.failure.kind is FailureKind.OTHER
        # A time that is farther away than the pause, on either side, was written under a clock that was wrong
        if is_for_now and abs(session.clock.now() - batch.seen_at) < pause:
            return True
    return False


def _has_moved(session: Session, plan: Plan, recorded: Recorded) -> bool:
    """Whether the records hold more than what the plan was made of and what it sent."""
    known = {entry.batch.key: entry.batch for entry in recorded.batches}
    known.update((batch.key, batch) for batch, _ in plan.batches)
    return known != {batch.key: batch for batch in session.records.batches()}


def _after_search(
    session: Session, guards: Guards, refusal: Refusal, result: Result, polled: Polled
) -> tuple[Polled, list[StepError], set[str]]:
    """Search the remotes for work of ours, and plan anew until a search finds nothing.

    Adopting takes its time, and others may send meanwhile: what is paid for comes after a search that found nothing.
    Gives what was seen, the jobs whose remote could not be searched, and those whose remote said "later".
    """
    known = _known_of_remotes(session)
    while True:
        adopted, unsearched, is_limited = _adopted(session, result.plan)
        if not adopted and _known_of_remotes(session) == known:
            return polled, unsearched, is_limited
        if adopted:
            again = _observe(session, refusal)
            polled = again._replace(collected=polled.collected + again.collected)
            result.collected += again.collected
        known = _known_of_remotes(session)
        result.plan = make(session.desired, session.recorded(), _seen(session, polled), guards, session.project.paths)


def _known_of_remotes(session: Session) -> tuple[Mapping[str, Shown], Mapping[str, Left]]:
    """What a search may find out beside batches: that it cannot be believed, and what was paid for before."""
    project = session.records.project()
    return (project.shown, project.left_by) if project else ({}, {})


def _half_searched(session: Session) -> set[str]:
    """The providers of jobs whose outcomes may not all be known yet: an earlier search for them was cut off."""
    names = {job.provider for job in session.desired if job.card.search.can_list}
    return {name for name in names if recover.is_half_searched(session, name)}


def _adopted(session: Session, plan: Plan) -> tuple[int, list[StepError], set[str]]:
    """How many batches of ours were found where a plan would send something, or a search was cut off.

    And the jobs that are not sent for it: with an error, or since their remote said that it is asked too often.
    """
    providers = {job.address: job.provider for job in session.desired if job.card.search.can_list}
    names = recover.to_search(session, plan) | _half_searched(session)
    adopted, errors, is_limited = 0, [], set()
    for name in sorted(names):
        try:
            adopted += _searched(session, name)
            session.is_over(f"search of {name}")
        except OF_OUR_MEMORY:
            raise
        except RunnerError as error:
            jobs = [address for address, provider in providers.items() if provider == name]
            if isinstance(error, RateLimited):
                if name not in session.told_limits:
                    session.warn_once(f"search of {name}", f"{', '.join(jobs)}: not sent yet: {error.message}")
                session.told_limits.add(name)
                is_limited.update(jobs)
            else:
                errors += [StepError(error, address) for address in jobs]
    return adopted, errors, is_limited


def _searched(session: Session, name: str) -> int:
    try:
        return recover.search_remotes(session, [name])
    except RunnerError:
        if not session.remotes.lost_sight(name):
            raise
        return recover.search_remotes(session, [name])


def _submit(session: Session, result: Result, submission: Submission) -> Batch | None:
    """Send one batch; as recorded afterwards. What goes wrong stops this job, not the others."""
    job = _job_of(session, submission)
    try:
        session.remotes.make_ready(job.provider, job.model, session.reporter.step)
        batch = submit.submit(session, job, submission)
        if batch.delivery is Delivery.CALLS:
            batch, error = _carry_on(session, batch, _agreed)
            if error:
                raise error
    except OF_OUR_MEMORY:
        raise
    except RunnerError as error:
        if not session.remotes.lost_sight(job.provider):
            result.stopped[job.address] = StepError(as_met(error), job.address)
        return None
    if batch.stage is Stage.DROPPED and session.drops.get(batch.key, 0) >= MOST_DROPS:
        lost = RemoteError(
            f"{submission.address}: the remote lost {MOST_DROPS} creates in a row",
            hint="Nothing is in flight for them; run `runner apply` again later",
        )
        result.stopped[job.address] = StepError(lost, job.address)
    return batch


def _agreed(rest: Rest) -> None:
    """Nothing keeps the rest of what this command itself has begun from being sent."""


def _job_of(session: Session, submission: Submission) -> Desired:
    return next(job for job in session.desired if job.address == submission.address)


def _due(session: Session) -> list[Batch]:
    now = session.clock.now()
    return [
        batch for batch in session.records.batches() if batch.stage is Stage.DEFERRED and lifecycle.is_due(batch, now)
    ]


def _resubmit_deferred(session: Session, result: Result, unwanted: set[str], refusal: Refusal) -> None:
    """Create again, from the same upload, what the remote put off."""
    due = _due(session)
    held: dict[Origin, bytes] = {}  # by batches of ours that we do not know
    for batch in due:
        if batch.key in unwanted:
            session.records.save(lifecycle.dropped(batch, "nobody wants it any more"))
            continue
        try:
            provider = session.remote_of(batch)
            if batch.origin not in held:
                mine = [one for one in due if one.origin == batch.origin]
                held[batch.origin] = recover.keys_not_on_record(session, provider, mine)
            if batch.is_unseen and _is_past_seeing(session, provider, batch):
                submit.give_up_upload(session, batch)
                continue
            keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
            if common(keys, held[batch.origin]):  # then what is missing is planned anew
                session.records.save(lifecycle.dropped(batch, "another batch holds some of its requests"))
                continue
            if common(keys, _settled_since(session, batch)):
                session.records.save(lifecycle.dropped(batch, "some of its requests were settled meanwhile"))
                continue
            if (refused := refusal(Rest(batch, batch.rows))) is not None:
                result.stopped[batch.owner] = StepError(refused, batch.owner, batch.key)
                continue
            submit.create_again(session, provider, batch)
        except OF_OUR_MEMORY:
            raise
        except RunnerError as error:
            result.stopped[batch.owner] = StepError(as_met(error), batch.owner)


def _settled_since(session: Session, batch: Batch) -> bytes:
    """Keys with an outcome that holds for a batch too: one that was given up was found again, or its files came late.

    Of what was asked before a decision to ask again an answer holds, unless it is to be replaced, and no refusal does.
    """
    recorded = session.recorded()
    held = []
    for entry in recorded.batches:
        if not entry.index or entry.batch.origin != batch.origin:
            continue
        if entry.batch.generation >= batch.generation:
            held.append(settled(entry.index))
        else:
            held.append(recorded.answers_of(entry))
    return union(held)


def _is_past_seeing(session: Session, provider: Provider, batch: Batch) -> bool:
    """Whether an upload that the remote cannot find will not come to be seen any more; by the remote's own clock."""
    since = batch.uploaded_at or batch.intent_at
    return session.time_at(provider) - since > timedelta(seconds=provider.card.visibility_seconds)


def _is_as_before(session: Session, plan: Plan) -> bool:
    """Whether the last plan still holds: nothing left to send, the same batches in flight in the same stage."""
    then = {(batch.key, batch.stage) for batch, _ in plan.batches}
    now = {(batch.key, batch.stage) for batch in session.records.batches() if batch.is_active}
    return then == now and not plan.submissions


def _waited_for(plan: Plan) -> list[Batch]:
    """Batches in flight that somebody wants; leftovers are not waited for."""
    wanted = {key for rows in plan.rows for key in rows.batches}
    return [batch for batch, _ in plan.batches if batch.key in wanted]


def _show(session: Session, plan: Plan) -> None:
    overdue = {batch.key for batch, change in plan.batches if change.reason is Reason.OVERDUE}
    waited_for = [session.live.get(batch.key, batch) for batch in _waited_for(plan)]
    session.reporter.progress(progress_of(waited_for, session.seen_at, overdue))
