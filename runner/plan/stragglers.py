"""Batches that take too long: which are stopped, and what becomes of the rows that they have not answered.

A row of such a batch is in flight until the batch was seen to end, whatever was said to its remote: a cancel may be
refused, its reply may be lost, it may take hours, and the batch may complete meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from runner.job.desired import Desired
from runner.job.observed import Observed, Phase
from runner.job.outcomes import Outcome
from runner.job.project import Then
from runner.job.recorded import Batch, Stop
from runner.plan.change import Action, Change, Reason, at_most_usd

PAUSE = timedelta(minutes=5)  # before a remote is told again to stop what goes on
STOP_OF = {Then.GIVE_UP: Stop.GIVE_UP, Then.ONLINE: Stop.ONLINE}
_LEFT_AS = {Stop.GIVE_UP: Outcome.GAVE_UP, Stop.ONLINE: Outcome.LATE}
_REST = {Then.GIVE_UP: "the rest is given up", Then.ONLINE: "the rest is asked online"}
_LEFT_BY = frozenset((Phase.CANCELLED, Phase.EXPIRED))  # ends that leave rows without an answer, by no fault of theirs


class Limit(msgspec.Struct, frozen=True):
    """How long a job waits for the batches that it asked, and what then."""

    after: timedelta
    then: Then
    price: float  # of what is asked online then, over its price in a batch


def limits_of(desired: Sequence[Desired]) -> Mapping[str, Limit]:
    """By address of a job."""
    return {
        job.address: Limit(timedelta(seconds=job.stragglers.after_seconds), job.stragglers.then, price_online(job))
        for job in desired
        if job.stragglers is not None
    }


def is_one(batch: Batch, seen: Observed, limit: Limit) -> bool:
    """Whether a batch that has not ended has run for too long, and may be stopped for it.

    Not one that a person had stopped, who decides about its rows, nor one that may be a stranger's. Its age is told by
    the remote's clock alone, from the record that the remote shows: a memory that never knew of it comes to the same.
    A record that names an older time than our own intent is not believed.
    """
    if seen.seen_at is None or batch.stop is Stop.PERSON or batch.is_unproven or batch.has_journal:
        return False
    return seen.seen_at - since(batch, seen) >= limit.after


def since(batch: Batch, seen: Observed) -> datetime:
    """When a batch was created, by the remote's clock."""
    return max(seen.created_at or batch.intent_at, batch.intent_at)


def is_due(batch: Batch, seen: Observed) -> bool:
    """Whether the remote is to be told now: not a moment after it was, and did not obey."""
    if batch.stop_at is None or seen.seen_at is None:
        return True
    return abs(seen.seen_at - batch.stop_at) >= PAUSE


def left_as(batch: Batch, ended: Phase) -> Outcome | None:
    """What becomes of the rows that an ended batch has not answered, where it was stopped since it took too long."""
    return _LEFT_AS.get(batch.stop) if batch.stop is not None and ended in _LEFT_BY else None


def at_worst(job: Desired, sends: Sequence[Change]) -> Change | None:
    """What is paid beside these, if not one of their requests is answered in time: all of them once more, online.

    sends: by batches, now or once other jobs are settled.
    """
    limit, paying = job.stragglers, [change for change in sends if change.costs and change.rows]
    if limit is None or job.online is None or not paying:
        return None
    costs = [change.usd for change in paying]
    most = [change.most_tokens for change in paying]
    return Change(
        Action.MAY,
        Reason.MAY_STRAGGLE,
        rows=sum(change.rows for change in paying),
        tokens=sum(change.tokens for change in paying),
        most_tokens=None if None in most else sum(number or 0 for number in most),
        usd=None if None in costs else price_online(job) * sum(usd or 0.0 for usd in costs),
        detail=f"after {limit.words} it is asked online",
    )


def price_online(job: Desired) -> float:
    """What a request costs that is asked online, over what it costs in a batch."""
    if job.online is None or job.online.is_free or not job.card.price_factor:
        return 0.0 if job.online is None or job.online.is_free else 1.0
    return job.online.price_factor / job.card.price_factor


def words(batch: Batch, seen: Observed, limit: Limit) -> str:
    """What is done about one, and why it goes on where it was tried in vain."""
    done = min(seen.counts.completed + seen.counts.failed, batch.rows)
    told = f"{done:,} of {batch.rows:,} have ended by now, {_REST[limit.then]}"
    usd = (batch.estimated_usd or 0.0) * limit.price * (batch.rows - done) / max(batch.rows, 1)
    if limit.then is Then.ONLINE and usd:
        told += f", at most {at_most_usd(usd)}"
    return f"{told}; it could not be stopped: {batch.not_stopped}" if batch.not_stopped else told
