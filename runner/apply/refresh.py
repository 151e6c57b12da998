"""Ask the remotes what became of our batches, and stop what is there twice.

Looking changes nothing, at a remote or on record; stopping a duplicate does both. Not being able to see is not an
absence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import msgspec

from runner.apply.errors import StepError
from runner.apply.session import Session
from runner.apply.work import Work
from runner.errors import PASSING, NotFound, NotSent, RunnerError
from runner.job import lifecycle
from runner.job.calls import FREE, States
from runner.job.observed import Observed, Phase
from runner.job.recorded import Batch, Stage
from runner.plan import adoption, duplicates
from runner.plan.decide import CannotSee, Observation, judged
from runner.plan.duplicates import Judgement
from runner.remotes.transport.shown import seen_in
from runner.remotes.vendor import Budget, Provider

CLOCK_SLACK = timedelta(minutes=10)  # between two clocks that tell the same time


class Polls(msgspec.Struct):
    """What the remotes showed: of each batch by key, and everything else a provider listed along the way."""

    observations: dict[str, Observation] = msgspec.field(default_factory=dict)
    listed: list[tuple[Provider, Observed]] = msgspec.field(default_factory=list)
    errors: list[StepError] = msgspec.field(
        default_factory=list
    )  # no use waiting: a person has to put something right first

    def cannot_see(self, batch: Batch, error: RunnerError) -> None:
        """Not an absence: what is not seen now may be seen in the next pass."""
        self.observations[batch.key] = CannotSee(error.message)
        if not isinstance(error, PASSING):
            self.errors.append(StepError(error, batch.owner, batch.key))


def look(session: Session, batches: Iterable[Batch]) -> Polls:
    """Look at each submitted batch. List pages before single polls."""
    polls = Polls()
    waiting: dict[str, list[Batch]] = {}
    for batch in batches:
        if batch.stage is not Stage.SUBMITTED:
            continue
        if batch.remote_id:
            waiting.setdefault(str(batch.origin), []).append(batch)
        elif (states := session.memory.states(batch.key)) is not None:  # no remote knows it, and its journal says all
            polls.observations[batch.key] = _in_journal(batch, states)
    for mine in waiting.values():
        try:
            provider = session.remote_of(mine[0])
            listed = _listed(provider, mine)
        except RunnerError as error:  # asking for each of them would only take as long again
            for batch in mine:
                polls.cannot_see(batch, error)
            session.remotes.lost_sight(mine[0].origin.provider)
            continue
        polls.listed += [(provider, seen) for seen in listed.values()]
        for batch in mine:
            try:
                seen = listed.get(batch.remote_id) or look_at(session, provider, batch)
            except RunnerError as error:
                polls.cannot_see(batch, error)
                session.remotes.lost_sight(batch.origin.provider)
            else:
                polls.observations[batch.key] = judged(batch, seen, session.time_at(provider), provider.card)
    return polls


def _in_journal(batch: Batch, states: States) -> Observed:
    """A batch of calls, as its journal shows it."""
    unsent = sum(states.count(step) for step in FREE)
    told = f"{unsent:,} of them are still to be sent" if unsent else batch.why
    return Observed("", Phase.RUNNING, batch.raw_status, seen_in(states).counts, stall=told)


def _listed(provider: Provider, batches: Sequence[Batch]) -> dict[str, Observed]:
    """What the remote lists, by its ids. Raises NotSent where it cannot be reached at all."""
    if not provider.card.search.can_list:
        return {}
    since = min(batch.intent_at for batch in batches) - CLOCK_SLACK
    try:
        return {seen.remote_id: seen for seen in provider.batches(since)}
    except NotSent:
        raise
    except RunnerError:
        return {}  # each is looked at on its own, and says itself why it cannot be seen


def look_at(session: Session, provider: Provider, batch: Batch) -> Observed | None:
    """The batch as its remote shows it; None for a 404. Nothing is sent."""
    try:
        with Work(session, batch) as work:
            return provider.advance(work, Budget()).seen
    except NotFound:
        return None


def sweep_duplicates(session: Session, batches: Iterable[Batch], polls: Polls) -> None:
    """A create that took effect twice leaves a younger duplicate, of the same label or upload: stopped and counted."""
    listed = {seen.remote_id: seen for _, seen in polls.listed}
    of = Originals([batch for batch in batches if batch.remote_id], listed)
    for provider, seen in polls.listed:
        batch = of.get(seen)
        if batch is None or batch.origin != provider.origin:
            continue
        if seen.remote_id in (batch.remote_id, *batch.duplicates, *batch.refused):
            continue
        ours = listed.get(batch.remote_id) or _as_looked_at(polls, batch)
        match duplicates.judge(batch, ours, seen):
            case Judgement.LEAVE:
                continue
            case Judgement.STOP_OURS:
                # Another applier sees the same two, and must come to the same end: the older one stays
                assert ours is not None, "which is older is known of two that were seen"
                kept = cancel_second(
                    session, provider, lifecycle.came_of(batch, seen.remote_id).but(phase=seen.phase), ours
                )
                if kept.remote_id == seen.remote_id:
                    polls.observations[batch.key] = judged(batch, seen, session.time_at(provider), provider.card)
            case Judgement.STOP_OTHER:
                kept = cancel_second(session, provider, batch, seen)
        of.put(seen, kept)


def _as_looked_at(polls: Polls, batch: Batch) -> Observed | None:
    """A batch on its own, which a list may show much later."""
    observation = polls.observations.get(batch.key)
    return observation if isinstance(observation, Observed) and observation.remote_id == batch.remote_id else None


class Originals:
    """The batch on record that one of a list came of the same create as.

    By its label, else by its upload, which belongs to one intent alone. One that was adopted may go by another attempt
    than its label says.
    """

    def __init__(self, batches: Sequence[Batch], listed: Mapping[str, Observed]) -> None:
        self._by_mark: dict[tuple[str, ...], Batch] = {}
        self._by_upload = {batch.upload_ref: batch for batch in reversed(batches) if batch.upload_ref}
        for batch in batches:
            if (seen := listed.get(batch.remote_id)) is not None and all(adoption.mark_in(seen)):
                self._by_mark.setdefault(_mark_in(seen), batch)
        for batch in batches:
            self._by_mark.setdefault((batch.project, *adoption.mark_of(batch)), batch)

    def get(self, seen: Observed) -> Batch | None:
        labelled = self._by_mark.get(_mark_in(seen)) if all(adoption.mark_in(seen)) else None
        return labelled or self._by_upload.get(seen.input_ref)

    def put(self, seen: Observed, batch: Batch) -> None:
        """What became of the record."""
        if all(adoption.mark_in(seen)):
            self._by_mark[_mark_in(seen)] = batch
        if batch.upload_ref:
            self._by_upload[batch.upload_ref] = batch


def _mark_in(seen: Observed) -> tuple[str, ...]:
    return seen.label.get("runner_project", ""), *adoption.mark_in(seen)


def cancel_second(session: Session, provider: Provider, batch: Batch, duplicate: Observed) -> Batch:
    """Stop the duplicate of a batch and remember it; the batch as recorded afterwards."""
    return cancel_duplicate(session, provider, batch, duplicate, f"a duplicate of `{batch.remote_id}`", batch.rows)


def cancel_duplicate(
    session: Session, provider: Provider, batch: Batch, duplicate: Observed, what: str, overlap: int
) -> Batch:
    """Stop `duplicate`, which is `what`, and count it with a batch; the batch as recorded afterwards."""
    try:
        if not duplicate.phase.has_ended:
            provider.cancel(duplicate.remote_id)
    except RunnerError as error:
        session.warn_once(
            f"stop of {duplicate.remote_id}",
            f"{batch.owner}: `{duplicate.remote_id}` is {what}, and could not be cancelled now: {error.message}",
        )
        return session.records.batch(batch.key) or batch  # as it was, so the next pass tries again
    current = session.records.batch(batch.key) or batch
    if not current.is_active and current.remote_id != batch.remote_id:
        return current  # brought home meanwhile, by somebody who holds no lock: it stays what its outcomes are of
    paid = min(overlap, duplicate.counts.completed) if duplicate.phase.has_ended and duplicate.counts.total else overlap
    kept = current.but(
        remote_id=batch.remote_id,
        phase=batch.phase,
        stop=batch.stop,
        stop_at=batch.stop_at,
        duplicates=(*current.duplicates, duplicate.remote_id),
        duplicate_rows={**current.duplicate_rows, duplicate.remote_id: paid},
    )
    session.records.save(kept)
    done = "it had ended" if duplicate.phase.has_ended else "it was cancelled"
    overlaps = " (1 request overlaps)" if overlap == 1 else f" ({overlap:,} requests overlap)" if overlap else ""
    session.reporter.warn(f"{batch.owner}: `{duplicate.remote_id}` is {what}; {done}{overlaps}")
    return kept
