"""Of two batches that hold the same requests, which one stays. Pure.

Every applier that sees the same two must come to the same end, or each would stop the other's: the older one stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum

from runner.job.observed import Observed, Phase
from runner.job.recorded import Batch


class Judgement(Enum):
    """About a batch on record and another of the same create, that a list shows."""

    LEAVE = "leave"  # the other holds nothing, or which of the two is older cannot be seen now
    STOP_OTHER = "stop other"
    STOP_OURS = "stop ours"  # and go on with the other


def judge(batch: Batch, ours: Observed | None, other: Observed) -> Judgement:
    """What becomes of the two. ours: the batch on record as the remote shows it; None where it does not."""
    if other.is_refusal:
        return Judgement.LEAVE
    if batch.is_active and ours is None:
        return Judgement.LEAVE  # which of the two is older will be seen when both can be
    if batch.phase is Phase.CANCELLED and goes_on(other):
        return Judgement.LEAVE  # ours was stopped, perhaps by whoever goes on with this one
    if batch.is_active and ours is not None and goes_on(other) and age_of(other) < age_of(ours):
        return Judgement.STOP_OURS
    return Judgement.STOP_OTHER


def preferred(found: Sequence[Observed]) -> tuple[Observed, list[Observed]]:
    """Of all that came of one create: the one to go on with, and those to stop.

    One that goes on comes before one that was refused, and what will not change before what was only put off: that one
    may be of a state that is lost. Then the oldest.
    """
    first, *others = sorted(found, key=_preference)
    return first, [other for other in others if not other.is_refusal]


def _preference(seen: Observed) -> tuple[bool, bool, tuple[bool, float, str]]:
    is_put_off = seen.failure is not None and seen.failure.is_put_off
    return seen.is_refusal, is_put_off, age_of(seen)


def is_asked_again(ours: Batch, created_at: datetime | None, epoch: int) -> bool:
    """Whether another clone, whose batch was created then, may have asked again on purpose what ours had answered.

    A person who decides that knows the answer, so that the other was created after ours ended, and in a later retry
    epoch. A clone that knew none of our answers counts what is paid twice itself.
    """
    is_later = ours.ended_at is not None and created_at is not None and ours.ended_at <= created_at
    return is_later and epoch > ours.generation


def were_together(one: Observed, other: Observed) -> bool:
    """Whether neither had ended when the other was created: else the later one asks again what the earlier left."""
    return not (_was_over(one, other) or _was_over(other, one))


def _was_over(earlier: Observed, later: Observed) -> bool:
    return earlier.ended_at is not None and later.created_at is not None and earlier.ended_at <= later.created_at


def goes_on(seen: Observed) -> bool:
    """Whether answers may come of it."""
    return seen.phase not in (Phase.CANCELLED, Phase.CANCELLING, Phase.FAILED)


def age_of(seen: Observed) -> tuple[bool, float, str]:
    """Oldest first, whole refusals last."""
    created = seen.created_at.timestamp() if seen.created_at else 0.0
    return seen.phase is Phase.FAILED, created, seen.remote_id
