"""What an apply would do, found out without changing anything: the same planner, the same search, no writes.

An apply pays for nothing before it has read the outputs back and looked through the lists of the remotes. So a plan
does both, in a memory that is thrown away, and says of which remote it could not.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from runner.apply import calls, chains, moved, readback, recover
from runner.apply.collect import collect
from runner.apply.outputs import Rewrite, changed_since, rewrites
from runner.apply.planning import is_scored, planned
from runner.apply.refresh import look
from runner.apply.remotes import NOT_YET_MADE
from runner.apply.session import Session
from runner.clock import LONGEST_LOOK, hurried
from runner.errors import OF_OUR_MEMORY, RunnerError
from runner.job.observed import Observed, Phase
from runner.job.recorded import Batch, Stage
from runner.plan.change import Action, Change
from runner.plan.decide import Observation, decide
from runner.plan.guard import Guards
from runner.plan.plan import Plan, Recorded

OFFLINE = "`--offline` asks no remote"
NOTHING_TO_SEND = "nothing is to be sent to it"
NOTHING_IT_HOLDS = "nothing is to be sent that it may hold already"


class Foreseen(msgspec.Struct):
    """What an apply would plan before it pays."""

    plan: Plan
    recorded: Recorded
    observations: Mapping[str, Observation]
    not_asked: Mapping[str, str] = msgspec.field(
        default_factory=dict
    )  # by provider, why it was not asked what it holds
    fetched: Mapping[str, tuple[Batch, Change]] = msgspec.field(default_factory=dict)  # by key, see `_bring_home`


class Files(msgspec.Struct):
    """What an apply would do to files though nothing is sent for them, and the plan that it goes by then."""

    plan: Plan
    rewrites: list[Rewrite]
    notes: list[str]  # what it would warn of, or fail with


class Preview(msgspec.Struct):
    """What `plan` shows: the plan, the files that would be written, and what a reader has to know of both."""

    plan: Plan
    rewrites: list[Rewrite]
    notes: list[str]
    not_asked: Mapping[str, str]
    recorded: Recorded


def preview(session: Session, guards: Guards, *, offline: bool = False) -> Preview:
    """What an apply would do. The session's memory must be one that is thrown away: what is found goes into it."""
    before = {batch.key for batch in session.records.batches()}
    taken = [f"`{target}` takes over what is recorded of `{source}`" for source, target in moved.as_declared(session)]
    readback.remember(session)
    chains.follow(session)
    for batch in session.records.batches():
        if batch.is_run_here and batch.key not in before:
            calls.carry_on(session, batch)  # nothing of it is to be sent: outputs only say what a person decides about
    seen = foresee(session, guards, offline=offline)
    known = session.records.jobs()
    files = foresee_files(session, seen, guards)
    if any(job.waits for job in files.plan.jobs) and session.records.jobs() != known:  # perhaps for what is there
        seen = foresee(session, guards, offline=offline)
        files = foresee_files(session, seen, guards)
    return Preview(files.plan, files.rewrites, [*session.notes, *taken, *files.notes], seen.not_asked, seen.recorded)


def foresee(session: Session, guards: Guards, *, offline: bool = False) -> Foreseen:
    """The plan that an apply comes to after its search. Remotes are asked only where something would be sent.

    Nothing but reading is asked of them. What they hold is recorded in the session's memory as an apply would.
    """
    not_asked: dict[str, str] = {}
    observations: dict[str, Observation] = {}
    before = {batch.key for batch in session.records.batches()}
    asked: set[str] = set()
    fetched: dict[str, tuple[Batch, Change]] = {}  # by key, those on record that are brought home here
    while True:
        known = session.records.project()
        with hurried(session.clock, LONGEST_LOOK):
            _look(session, observations, not_asked, offline=offline)
        fetched.update((one.key, (one, how)) for one, how in _bring_home(session, observations) if one.key in before)
        recorded = session.recorded()
        chains.follow(session, recorded)
        plan = _with_those_fetched(planned(session, recorded, observations, guards), fetched)
        found = 0
        for name in sorted(_to_search(session, plan) - not_asked.keys()):
            why = OFFLINE if offline else why_not(session, name)
            if not why:
                try:
                    with hurried(session.clock, LONGEST_LOOK):
                        found += recover.search_remotes(session, [name])
                    asked.add(name)
                    continue
                except OF_OUR_MEMORY:
                    raise
                except RunnerError as error:
                    why = error.message
            not_asked[name] = why
        if not found and _of_remotes(session.records.project()) == _of_remotes(known):
            unasked = {name: _why_unasked(session, plan, name) for name in _taken_at_their_word(session) - asked}
            unasked |= not_asked
            told = {name: why for name, why in unasked.items() if _is_told(session, name)}
            return Foreseen(plan, recorded, observations, told, fetched)


def foresee_files(session: Session, seen: Foreseen, guards: Guards) -> Files:
    """See `Files`. Of those that are there as they are to be, that is recorded, in the session's memory."""
    plan, recorded = seen.plan, seen.recorded
    found = rewrites(session, plan, recorded)
    if as_they_are := [one.record for one in found if one.record]:  # the plan goes by what they hold, as a later one
        session.records.save(*as_they_are)
        recorded = session.recorded()
        plan = _with_those_fetched(planned(session, recorded, seen.observations, guards), seen.fetched)
    results = [*(one for one in found if not one.record), *changed_since(session, plan, recorded)]
    notes: list[str] = []
    if is_scored(session):
        from runner.apply import scoring  # brings what most projects have no use for

        results += scoring.due(session, plan, recorded, notes)
    return Files(plan, results, notes)


def _look(session: Session, observations: dict[str, Observation], not_asked: dict[str, str], *, offline: bool) -> None:
    """Look at each batch in flight, once."""
    active = [batch for batch in session.records.batches() if batch.is_active and batch.key not in observations]
    if offline:
        sent = [batch for batch in active if batch.stage is Stage.SUBMITTED and batch.remote_id]
        not_asked.update((batch.origin.provider, OFFLINE) for batch in sent)
    else:
        observations.update(look(session, active).observations)


def _to_search(session: Session, plan: Plan) -> set[str]:
    """The providers that an apply looks through before it sends what is planned."""
    providers = {job.address: job.provider for job in session.desired if job.card.search.can_list}
    half = {
        name for name in providers.values() if not why_not(session, name) and recover.is_half_searched(session, name)
    }
    return recover.to_search(session, plan) | half


def _taken_at_their_word(session: Session) -> set[str]:
    """Providers of whose answers outputs tell, which no record speaks of yet, and that were not asked themselves."""
    jobs = session.records.jobs()
    read_back = {(b.origin, b.found_in) for b in session.records.batches()}
    record = session.records.project()
    asked = record.recovered_from if record else ()
    return {
        job.provider
        for job in session.desired
        if job.address not in jobs and (job.origin, job.output) in read_back
        if job.card.search.can_list and str(job.origin) not in asked
    }


def _why_unasked(session: Session, plan: Plan, name: str) -> str:
    """Calls go to a provider that is not looked through for them: it keeps no list of what it was called with."""
    jobs = {job.address for job in session.desired if job.provider == name}
    return NOTHING_IT_HOLDS if any(one.submissions for one in plan.jobs if one.address in jobs) else NOTHING_TO_SEND


def why_not(session: Session, name: str) -> str:
    """Why nobody can speak to a provider from here; empty where one may try."""
    try:
        session.remotes.origin(name)
        refused = session.remotes.refusal(name)
    except RunnerError as error:  # nobody said whose account it is
        return error.message
    return refused.message if refused else ""


def _is_told(session: Session, name: str) -> bool:
    """Whether a user should know that a provider was not asked: not of one of our own that never ran, or was searched.

    Asking it costs nothing, and nobody else sends anything there.
    """
    jobs = [job for job in session.desired if job.provider == name]
    if not jobs or not jobs[0].card.is_free:
        return True
    record = session.records.project()
    return jobs[0].origin.host != NOT_YET_MADE and (record is None or str(jobs[0].origin) not in record.recovered_from)


def _of_remotes(record: object) -> tuple[object, object]:
    """What a search may find out beside batches."""
    return getattr(record, "shown", {}), getattr(record, "left_by", {})


def _bring_home(session: Session, observations: Mapping[str, Observation]) -> list[tuple[Batch, Change]]:
    """Read the results of batches that ended without an answer to every request: the rest would be sent.

    Those that were read, as they were before, and that an apply fetches them. A clone that has to find a batch first
    and the one that sent it come to the same plan so.
    """
    read = []
    for batch in session.records.batches():
        observation = observations.get(batch.key)
        if not isinstance(observation, Observed) or _has_answered_all(batch, observation):
            continue
        if batch.is_active and (change := decide(batch, observation)).action is Action.FETCH:
            try:
                collect(session, batch, observation)
            except OF_OUR_MEMORY:
                raise
            except RunnerError:
                continue  # the plan says that it is to be fetched
            read.append((batch, change))
    return read


def _with_those_fetched(plan: Plan, fetched: Mapping[str, tuple[Batch, Change]]) -> Plan:
    """The plan, which says of these batches that they are fetched before anything is sent."""
    if not fetched:
        return plan
    for job, rows in zip(plan.jobs, plan.rows, strict=True):
        rows.batches.update(key for key, (batch, _) in fetched.items() if batch.owner == job.address)
    return replace(plan, batches=(*plan.batches, *fetched.values()))


def _has_answered_all(batch: Batch, seen: Observed) -> bool:
    return seen.phase is Phase.COMPLETED and seen.counts.completed >= batch.rows
