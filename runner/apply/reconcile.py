"""One pass: resolve what is open, see what is there, bring what is done, send what is missing, write what changed.

A pass holds the project's lock; waiting between passes does not. Each pass reads the state anew.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from runner.apply import answers, chains, moved, outputs, packing, recover, retention
from runner.apply.errors import StepError, jobs_in
from runner.apply.pay import deferred_now, pay, resubmit_deferred
from runner.apply.planning import is_scored, planned
from runner.apply.poll import Polled, poll, seen_in
from runner.apply.purse import Confirm, Purse, Rest
from runner.apply.readback import remember
from runner.apply.reporter import progress_of
from runner.apply.result import Result
from runner.apply.session import Session
from runner.apply.settle import settle_all
from runner.apply.writing import write
from runner.clock import LONGEST_LOOK, is_over, left_of
from runner.errors import BlockedError, Conflict, LockedError, RemoteError, RunnerError
from runner.job.packed import without
from runner.job.recorded import Batch
from runner.plan import review
from runner.plan.change import Reason
from runner.plan.guard import Guards
from runner.plan.places import Reviewed
from runner.plan.plan import Plan, Recorded, decided
from runner.plan.stragglers import limits_of

LAST_LOOK_SECONDS = 1.0  # before the command's time is over


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
    clock = session.clock
    # Calls end with the command's time. A single pass has none, yet must not try one call for ever
    clock.until = clock.monotonic() + wait_seconds if wait_seconds else None
    clock.retry_seconds = LONGEST_LOOK if wait_seconds == 0 else math.inf
    confirm = _untimed(session, confirm)
    result: Result | None = None
    pause = 0.0
    while True:
        with session.memory.lock(command, clock=clock, wait_seconds=lock_seconds):
            before = (result.submitted, result.collected) if result else None
            if result is None:
                begin(session)
            result = _pass(session, guards, confirm, result)
            retention.keep(session, result)
            result.is_out_of_time = result.is_running and is_over(clock)
            if not result.is_running or session.stop.is_set() or wait_seconds == 0 or is_over(clock):
                leave(session, guards, result)
                packing.pack(session)
                return result
        if session.spool is not None:
            session.spool.close()  # what could be sent at once has been
        # The lock is given back while nothing can be done: remotes take hours, and `retry`, `cancel` or another apply
        # may have their turn. So a pass believes nothing that it knew before the pause, and reads the records anew.
        moved = before != (result.submitted, result.collected)
        pause = _next_pause(session, result.plan, 0.0 if moved else pause)
        if (left := left_of(clock)) > LAST_LOOK_SECONDS:  # one look more just before the end
            pause = min(pause, max(left - LAST_LOOK_SECONDS, 0.05))
        clock.sleep(pause)
        if session.stop.is_set() or is_over(clock):
            result.is_out_of_time = is_over(clock)
            with suppress(LockedError), session.memory.lock(command, clock=clock):
                leave(session, guards, result)
                packing.pack(session)
            return result
        # What was begun goes on, though another command had its turn meanwhile
        lock_seconds = min(max(lock_seconds, 60.0), left_of(clock))


def _untimed(session: Session, confirm: Confirm) -> Confirm:
    """The same question; how long a person takes to answer does not count as the command's time."""

    def asked(about: Plan | Rest) -> bool:
        since = session.clock.monotonic()
        try:
            return confirm(about)
        finally:
            if session.clock.until is not None:
                session.clock.until += session.clock.monotonic() - since

    return asked


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
    if result is not None and all(answers.is_quiet(rows) for rows in result.plan.rows):
        is_open = any(job.is_held_back or job.waits for job in result.plan.jobs)
        if not is_open and not recover.half_searched(session):  # a pass leaves the files of a half searched one to this
            return
    recorded = session.recorded()
    try:
        is_new = chains.are_there(session) and chains.follow(session, recorded, is_last=True)
    finally:  # where it cannot be compiled over the answers there are, the others get theirs
        plan = planned(session, recorded, {}, _as_locked(session, guards))
        result = result or Result(plan)
        known = len(result.unwritten)
        for rewrite in outputs.rewrites(session, plan, recorded, is_last=True):
            _write(session, result, rewrite, recorded)
        result.errors += result.unwritten[known:]
    if is_new:
        result.plan = replace(plan, batches=result.plan.batches)


def _next_pause(session: Session, plan: Plan, pause: float) -> float:
    """From quick to slow: a batch that is refused is refused early, one that runs runs long."""
    if session.poll_seconds is not None:
        return session.poll_seconds
    cards = [session.card_of(batch) for batch in _waited_for(plan)]
    low = min((card.min_poll_seconds for card in cards), default=1.0)
    high = min((card.max_poll_seconds for card in cards), default=60.0)
    return min(max(low, pause * 1.5), high)


def begin(session: Session) -> None:
    """What comes before the first pass, under the lock: outputs are read back, and what nobody needs is swept.

    That is half rendered uploads, and sets of keys that an earlier command left: each edit makes a new one of a job.
    """
    for source, target in moved.as_declared(session):
        session.reporter.step(f"{target}: takes over what is recorded of `{source}`")
    remember(session)
    chains.follow(session)
    chains.sweep(session)
    session.objects.keep_sets(session.records.sets())
    for leftover in session.memory.scratch.iterdir():  # of a killed command: nobody else is at work on one
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def one_pass(session: Session, guards: Guards, confirm: Confirm, last: Result | None = None) -> Result:
    """Everything that can be done now. `last` is what the passes before added up to."""
    # A plan is made anew whenever what it was made of has changed, since what is sent by an old one may be paid for
    # twice: after the poll, after a search that adopted something (in `pay`), after sending, for what became of it, and
    # after writing, where a job takes only good answers. Most passes see nothing new and make none (`_still`).
    purse = last.purse if last else Purse()
    guards = _as_locked(session, replace(guards, sent=purse.sent))
    refusal = partial(_refusal, session, guards, confirm, purse)
    unresolved = settle_all(session, session.records.batches())  # first: nothing is planned over an open intent
    polled = poll(session, refusal)
    recorded = session.recorded()
    is_new = chains.follow(session, recorded)
    guards = _as_locked(session, guards)
    is_still = not (is_new or polled.collected or deferred_now(session) or recover.late_at(session))
    if last and is_still and _is_as_before(session, last.plan):
        return _still(session, last, polled, unresolved)
    plan = planned(session, recorded, seen_in(session, polled), guards)
    result = Result(plan, dict(last.written) if last else {}, last.submitted if last else 0, polled.collected)
    result.collected += last.collected if last else 0
    result.scoring = last.scoring if last else result.scoring
    if last:
        result.awaited = last.awaited | {part.address for part in last.plan.jobs if part.counts.in_flight}
    result.stopped, result.purse = {**(last.stopped if last else {}), **session.out_of_money}, purse
    resubmit_deferred(session, result, {batch.key for batch, _ in plan.leftovers}, refusal, polled.unsure)
    unsearched: list[StepError] = []
    if (
        plan.submissions or recover.to_search(session, plan) or recover.half_searched(session)
    ) and not session.stop.is_set():
        polled, unsearched = pay(session, guards, confirm, refusal, result, polled, unresolved)
    if _has_moved(session, result.plan, recorded):
        recorded = session.recorded()
        result.plan = planned(session, recorded, seen_in(session, polled), guards)
    if chains.follow(session, recorded):  # nothing is written or scored of what asks about other answers
        result.plan = planned(session, recorded, seen_in(session, polled), guards)
    half_searched = recover.half_searched(session)
    strict = {job.address for job in session.desired if job.is_strict}
    is_judged = False
    for rewrite in outputs.rewrites(session, result.plan, recorded):
        if half_searched.isdisjoint(job.provider for job in session.desired if job.address == rewrite.address):
            _write(session, result, rewrite, recorded)
            is_judged |= rewrite.address in strict
    if is_judged:  # which answers are none is known once their lines are
        recorded = session.recorded()
        result.plan = planned(session, recorded, seen_in(session, polled), guards)
    if is_scored(session):
        from runner.apply import scoring  # brings what most projects have no use for

        scoring.score(session, result.plan, recorded, result.scoring)
    if any(job.waits for job in result.plan.jobs):  # perhaps for what was scored just now
        result.plan = planned(session, session.recorded(), seen_in(session, polled), guards)
    goes_on = chains.are_there(session) and chains.follow(session)  # what they follow has come to its end just now
    if goes_on:
        result.plan = planned(session, session.recorded(), seen_in(session, polled), guards)
    return _left(session, result, [*unresolved, *polled.errors, *unsearched], goes_on=goes_on)


def _as_locked(session: Session, guards: Guards) -> Guards:
    """The same, with the jobs that ask for what is locked as they are known by now."""
    return guards if session.relocked is None else replace(guards, locked=tuple(session.relocked(session.desired)))


def _refusal(session: Session, guards: Guards, confirm: Confirm, purse: Purse, rest: Rest) -> BlockedError | None:
    """Why the rest of a batch that was begun is not to be sent; None where it is."""
    is_declared = any(job.address == rest.batch.owner for job in session.project.jobs)
    if not is_declared and not session.is_about(rest.batch):
        what = "was not selected" if session.project.left_out else "is in specs that this command did not read"
        return BlockedError(f"{rest.batch.owner}: {rest.words} belong to a job that {what}")
    if guards.locked is not None and not _is_locked(session, guards.locked, rest.batch):
        return BlockedError(f"{rest.batch.owner}: {rest.words} are not among the requests of the lock file")
    if guards.reviewed is not None and not _is_reviewed(session, guards.reviewed, rest.batch):
        return BlockedError(
            f"{rest.batch.owner}: {rest.words} are not among what was reviewed", hint="review them: `runner plan`"
        )
    return purse.refusal(rest, guards, confirm)


def _is_locked(session: Session, locked: Sequence[str], batch: Batch) -> bool:
    """Whether all requests of a batch that was begun before are wanted by its job, and that is locked."""
    owner = next((job for job in session.desired if job.address == batch.owner and job.address in locked), None)
    if owner is None:
        return False
    return not without(session.objects.read(f"{batch.key}/keys", batch.keys_sha256), session.keys_of(owner))


def _is_reviewed(session: Session, reviewed: Reviewed, batch: Batch) -> bool:
    """Whether all that is left of a batch that was begun before was seen in a plan."""
    owner = next((job for job in session.desired if job.address == batch.owner), None)
    entry = next((one for one in session.recorded().batches if one.batch.key == batch.key), None)
    return owner is not None and entry is not None and not review.outside(reviewed, [review.of_rest(owner, entry)])


def _left(session: Session, result: Result, errors: Sequence[StepError], *, goes_on: bool = False) -> Result:
    """The result with its errors, and whether there is anything to wait for: what went wrong is not waited for.

    goes_on: the next pass has something to do in any case.
    """
    met = _of_who_wants(result.plan, [*errors, *result.stopped.values()])
    out_of_time = [one for one in met if isinstance(one.error, RemoteError) and one.error.is_out_of_time]
    result.errors = [
        *(one for one in met if one not in out_of_time),
        *result.unwritten,
        *result.scoring.errors.values(),
    ]
    awry = {one.batch for one in result.errors}
    is_awaited = any(batch.key not in awry for batch in _waited_for(result.plan))
    unsent = {submission.address for submission in result.plan.submissions}
    unsent -= jobs_in(result.errors, but_of=result.plan.left_elsewhere)
    result.is_running = goes_on or is_awaited or bool(out_of_time) or (bool(unsent) and not result.purse.declined)
    _show(session, result.plan)
    return result


def _of_who_wants(plan: Plan, errors: Sequence[StepError]) -> list[StepError]:
    """The errors, each about the jobs of these specs that wait for its batch.

    A batch keeps the name of the job that sent it, which may be renamed since, or of specs that were not read.
    """
    here = {job.address for job in plan.jobs}
    found: list[StepError] = []
    for one in errors:
        waiting = [job.address for job, rows in zip(plan.jobs, plan.rows, strict=True) if one.batch in rows.batches]
        if one.job in here or not waiting:
            found.append(one)
        else:
            found += [StepError(one.error, address, one.batch) for address in waiting]
    return found


def _still(session: Session, last: Result, polled: Polled, unresolved: Sequence[StepError]) -> Result:
    """The last result, when nothing came of this pass but what was seen."""
    observations = seen_in(session, polled)
    active = [batch for batch, _ in last.plan.batches]
    last.plan = replace(last.plan, batches=decided(active, observations, limits_of(session.desired)))
    return _left(session, last, [*unresolved, *polled.errors])


def _write(session: Session, result: Result, rewrite: outputs.Rewrite, recorded: Recorded) -> None:
    """Write one results file. What goes wrong with it stops this job, not the others."""
    if rewrite.record is not None:
        session.records.save(rewrite.record)
        return
    try:
        result.written[rewrite.address] = write(session, rewrite.job, rewrite.rows, recorded)
    except OSError as error:
        unwritten = RunnerError(
            f"{rewrite.address}: `{rewrite.output}` cannot be written: {error.strerror or error}",
            hint="its answers are recorded; put the path right and run `runner apply` again",
        )
        result.unwritten.append(StepError(unwritten, rewrite.address))
    except Conflict:  # of all that is recorded nothing is known any more
        raise
    except RunnerError as error:
        result.unwritten.append(StepError(error, rewrite.address))
    else:
        session.reporter.step(f"{rewrite.address}: wrote `{rewrite.output}` ({rewrite.why})")


def _has_moved(session: Session, plan: Plan, recorded: Recorded) -> bool:
    """Whether the records hold more than what the plan was made of and what it sent, or in another order.

    A batch that was adopted over a record of its name takes another place: and rows say by number what they stand by.
    """
    known = {entry.batch.key: entry.batch for entry in recorded.batches}
    known.update((batch.key, batch) for batch, _ in plan.batches)
    return list(known.values()) != session.records.batches()


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
    session.reporter.progress(progress_of(waited_for, session.seen_at, overdue, session.home.values()))
