"""Send what is missing, after making sure that no remote holds it already: the part of a pass that pays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from msgspec.structs import replace

from runner.apply import recover, submit
from runner.apply.errors import StepError, jobs_in
from runner.apply.planning import planned
from runner.apply.poll import Polled, carry_on, poll, seen_in
from runner.apply.purse import Confirm, Rest
from runner.apply.result import Refusal, Result
from runner.apply.session import Session
from runner.apply.submission import as_met
from runner.clock import is_over
from runner.errors import OF_OUR_MEMORY, RateLimited, RemoteError, RunnerError
from runner.job import lifecycle
from runner.job.capabilities import Shown, Transport
from runner.job.desired import Desired
from runner.job.infile import Run
from runner.job.observed import FailureKind, Origin, Phase
from runner.job.outcomes import settled
from runner.job.packed import common, union
from runner.job.recorded import Batch, Left, Stage
from runner.plan.change import Cut, Reason
from runner.plan.guard import Guards, amount_of
from runner.plan.plan import Plan, sent
from runner.remotes.vendor import Provider

MOST_DROPS = 5  # creates of one batch that certainly did not take effect, in one run


def pay(
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
    result.stopped |= session.out_of_money
    held_back = jobs_in([*unresolved, *polled.errors, *unsearched], but_of=result.plan.left_elsewhere)
    held_back |= is_limited | polled.unsure
    held_back |= result.stopped.keys()
    going = [one for one in result.plan.submissions if one.address not in held_back and not _rests(session, one)]
    if going and not result.purse.declined:
        result.purse.declined = not confirm(result.plan)
    if going and not result.purse.declined:
        recover.accept(session, {_job_of(session, one).origin for one in going})
        _send(session, result, going)
    return polled, unsearched


def _send(session: Session, result: Result, going: Sequence[Cut]) -> None:
    """Submit these, one after the other, until the command is to end; the plan says which are on their way.

    What is asked a call a request comes last, since this command sees it through: a batch runs by itself meanwhile.
    """
    on_their_way = []
    for submission in sorted(going, key=lambda one: _job_of(session, one).card.transport is Transport.ONLINE):
        if session.stop.is_set() or is_over(session.clock):
            break
        if submission.address in result.stopped:
            continue
        if submission.reason == Reason.INVALID:
            many = "answer is" if len(submission.ordinals) == 1 else "answers are"
            words = f"{len(submission.ordinals):,} {many} not what the schema wants, and asked for again"
            session.reporter.step(f"{submission.address}: {words}")
        batch = _submit(session, result, submission)
        if batch is not None and batch.stage in (Stage.SUBMITTED, Stage.DEFERRED):
            result.purse.begun(batch, amount_of(_asking(session, submission), submission.ordinals))
            result.submitted += batch.rows
            on_their_way.append((submission, batch))
    result.plan = sent(result.plan, on_their_way)


def _rests(session: Session, submission: Cut) -> bool:
    """Whether what is to be asked again waits: the remote refused it a moment ago, by no fault of the input."""
    for key in submission.parents:
        batch = session.records.batch(key)
        if batch is None or batch.phase is not Phase.FAILED or batch.results or batch.seen_at is None:
            continue
        pause = submit.pause_after(session.card_of(batch), batch.attempt)
        is_for_now = batch.failure is not None and batch.failure.kind is FailureKind.OTHER
        # A time that is farther away than the pause, on either side, was written under a clock that was wrong
        if is_for_now and abs(session.clock.now() - batch.seen_at) < pause:
            return True
    return False


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
            again = poll(session, refusal)
            polled = again._replace(collected=polled.collected + again.collected)
            result.collected += again.collected
        known = _known_of_remotes(session)
        result.plan = planned(session, session.recorded(), seen_in(session, polled), guards)


def _known_of_remotes(session: Session) -> tuple[Mapping[str, Shown], Mapping[str, Left]]:
    """What a search may find out beside batches: that it cannot be believed, and what was paid for before.

    How many batches of others show nothing counts as one or none: on a busy account there is a new one at each search.
    """
    project = session.records.project()
    if project is None:
        return {}, {}
    shown = {origin: replace(one, nameless=min(one.nameless, 1)) for origin, one in project.shown.items()}
    return shown, project.left_by


def _adopted(session: Session, plan: Plan) -> tuple[int, list[StepError], set[str]]:
    """How many batches of ours were found where a plan would send something, or a search was cut off.

    And the jobs that are not sent for it: with an error, or since their remote said that it is asked too often.
    """
    providers = {job.address: job.provider for job in session.desired if job.card.search.can_list}
    names = recover.to_search(session, plan) | recover.half_searched(session)
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


def _submit(session: Session, result: Result, submission: Cut) -> Batch | None:
    """Send one batch; as recorded afterwards. What goes wrong stops this job, not the others."""
    job = _asking(session, submission)
    try:
        session.remotes.make_ready(job.provider, job.model, session.reporter.step)
        batch = submit.submit(session, job, submission)
        if batch.is_run_here:
            batch, error = carry_on(session, batch, _agreed)
            if error and batch.transport is Transport.ONLINE:  # nothing is out: waiting for it is of no use
                result.stopped[job.address] = StepError(as_met(error), job.address, batch.key)
                return batch
            if error:
                raise error
    except OF_OUR_MEMORY:
        raise
    except RunnerError as error:
        if not session.remotes.lost_sight(job.provider):
            result.stopped[job.address] = StepError(as_met(error), job.address)
        return None
    if batch.stage is Stage.DROPPED and session.drops.get(batch.keys_sha256, 0) >= MOST_DROPS:
        lost = RemoteError(
            f"{submission.address}: the remote lost {MOST_DROPS} creates in a row",
            hint="nothing is in flight for them; run `runner apply` again later",
        )
        result.stopped[job.address] = StepError(lost, job.address)
    return batch


def _agreed(rest: Rest) -> None:
    """Nothing keeps the rest of what this command itself has begun from being sent."""


def _job_of(session: Session, submission: Cut) -> Desired:
    return next(job for job in session.desired if job.address == submission.address)


def _asking(session: Session, submission: Cut) -> Desired:
    """The job of a submission, as it asks these rows."""
    job = _job_of(session, submission)
    return job.asked_online if submission.is_online else job


def deferred_now(session: Session) -> list[Batch]:
    now = session.clock.now()
    return [
        batch for batch in session.records.batches() if batch.stage is Stage.DEFERRED and lifecycle.is_due(batch, now)
    ]


def resubmit_deferred(
    session: Session, result: Result, unwanted: set[str], refusal: Refusal, unsure: Collection[str]
) -> None:
    """Create again, from the same upload, what the remote put off. unsure: jobs of which nothing is sent now."""
    due = [batch for batch in deferred_now(session) if batch.owner not in unsure]
    elsewhere: dict[Origin, recover.Elsewhere] = {}
    for batch in due:
        if is_over(session.clock):
            return  # they stay put off
        if batch.key in unwanted:
            session.records.save(lifecycle.dropped(batch, "nobody wants it any more"))
            continue
        try:
            provider = session.remote_of(batch)
            if batch.origin not in elsewhere:
                mine = [one for one in due if one.origin == batch.origin]
                elsewhere[batch.origin] = recover.not_on_record(session, provider, mine)
            batch = session.records.batch(batch.key) or batch  # it may be known by now what came of it
            if batch.stage is not Stage.DEFERRED:
                continue
            if batch.is_unseen and _is_past_seeing(session, provider, batch):
                submit.give_up_upload(session, batch)
                continue
            keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
            if elsewhere[batch.origin].may_hold(keys):  # then what is missing is planned anew
                session.records.save(
                    lifecycle.dropped(batch, "another batch holds some of its requests, or may hold them")
                )
                continue
            if common(keys, _held_since(session, batch)):
                session.records.save(lifecycle.dropped(batch, "some of its requests are settled or in flight by now"))
                continue
            if (refused := refusal(Rest(batch, batch.rows))) is not None:
                result.stopped[batch.owner] = StepError(refused, batch.owner, batch.key)
                continue
            submit.create_again(session, provider, batch)
        except OF_OUR_MEMORY:
            raise
        except RunnerError as error:
            result.stopped[batch.owner] = StepError(as_met(error), batch.owner)


def _held_since(session: Session, batch: Batch) -> Run:
    """Keys with an outcome that holds for a batch too, or that another one has in flight: one that was given up was
    found again, or its files came late.

    Of what was asked before a decision to ask again an answer holds, unless it is to be replaced, and no refusal does.
    """
    recorded = session.recorded()
    held: list[Run] = []
    for entry in recorded.batches:
        if entry.batch.origin != batch.origin or entry.batch.key == batch.key:
            continue
        if entry.index and entry.batch.generation >= batch.generation:
            held.append(settled(entry.index))
        else:
            held.append(recorded.held_by(entry))
    return union(held)


def _is_past_seeing(session: Session, provider: Provider, batch: Batch) -> bool:
    """Whether an upload that the remote cannot find will not come to be seen any more; by the remote's own clock."""
    window = timedelta(seconds=provider.card.visibility_seconds)
    since = batch.uploaded_at or batch.intent_at
    return not window or session.time_at(provider) - since > window  # its clock tells whole seconds
