"""One batch of ours: what we recorded and what the remote shows -> one change."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from runner.job import lifecycle
from runner.job.capabilities import Capabilities
from runner.job.observed import Failure, FailureKind, Observed, Phase
from runner.job.recorded import Batch, Stage
from runner.plan import stragglers
from runner.plan.change import Action, Change, Reason
from runner.plan.stragglers import Limit


class Gone(msgspec.Struct, frozen=True):
    """The remote answered 404 for a batch it had given us a receipt for."""


class NotShown(msgspec.Struct, frozen=True):
    """The same, not often or not long enough to be believed. Of a batch: rows are called missing for another reason."""


class CannotSee(msgspec.Struct, frozen=True):
    """No answer that says anything: 401, 403, 429, 5xx, a timeout, no server. Never an absence."""

    why: str


Observation = Observed | Gone | NotShown | CannotSee

ENDED = {
    Phase.COMPLETED: Reason.COMPLETED,
    Phase.EXPIRED: Reason.EXPIRED,
    Phase.CANCELLED: Reason.CANCELLED,
    Phase.FAILED: Reason.REFUSED,
}


ENDED_REASONS = frozenset((*ENDED.values(), Reason.RESULTS_LATE))
UNSENT_REASONS = frozenset((Reason.QUOTA, Reason.FILE_NOT_VISIBLE))  # of what waits at home to be sent again
PROMISED_FACTOR = 5  # how much longer files are waited for where the counts say that rows were answered


def judged(batch: Batch, found: Observed | None, now: datetime, card: Capabilities) -> Observation:
    """What an answer of the remote means, after all it answered before. Pure.

    found: None for a 404. now: by the remote's clock, as far as it tells. No time that the remote names for the end of
    a batch is compared with any clock: some name none, and two clocks may be a day apart.
    """
    if found is None:
        missed = lifecycle.missed(batch, now, "")
        return Gone() if lifecycle.is_absent(missed, now, card.absence_seconds) else NotShown()
    if not found.phase.has_ended:
        return replace(found, seen_at=now, is_overdue=found.expires_at is not None and now > found.expires_at)
    owes_answers = found.counts.completed > 0 and all(file.kind != "output" for file in found.result_files)
    late = timedelta(seconds=card.late_seconds * (PROMISED_FACTOR if owes_answers else 1))
    return replace(found, has_long_ended=batch.end_seen_at is not None and now - batch.end_seen_at > late)


def decide(batch: Batch, observation: Observation, limit: Limit | None = None) -> Change:
    """Choose what to do about one batch in flight. Pure. limit: how long its job waits for it.

    What is left to submit is arithmetic over keys and comes after it: wanted - settled - in flight.
    """
    action, reason, detail = _choose(batch, observation, limit)
    done = observation.counts.completed + observation.counts.failed if isinstance(observation, Observed) else None
    return Change(action, reason, rows=batch.rows, batches=1, batch=batch.key, detail=detail, done=done)


# The order of the cases is the rule. What is still at home is not asked about; not being seen is never an absence; a
# refusal of what we took back ourselves is a success; and files that are promised are waited for before any end counts.
def _choose(batch: Batch, observation: Observation, limit: Limit | None) -> tuple[Action, Reason, str]:
    match batch.stage, observation:
        case (Stage.INTENT, _):
            return Action.WAIT, Reason.OPEN_INTENT, batch.why
        case Stage.DEFERRED, _:
            return Action.WAIT, _deferral(batch.failure), batch.failure.message if batch.failure else batch.why
        case _, CannotSee(why=why):
            return Action.WAIT, Reason.CANNOT_SEE, why
        case _, Gone():
            return Action.LOSE, Reason.GONE, ""
        case _, NotShown():
            return Action.WAIT, Reason.NOT_SHOWN, ""
        case _, Observed() if batch.is_revoked and observation.is_refusal:
            return Action.DROP, Reason.REVOKED, observation.failure.message if observation.failure else ""
        case _, Observed(phase=Phase.FAILED, failure=failure) if failure and failure.is_put_off:
            return Action.DEFER, _deferral(failure), failure.message
        case _, Observed(result_files=()) if observation.phase.has_ended and not (
            observation.results_are_final or observation.has_long_ended
        ):
            return Action.WAIT, Reason.RESULTS_LATE, ""
        case _, Observed() if observation.phase.has_ended:
            return Action.FETCH, ENDED[observation.phase], observation.failure.message if observation.failure else ""
        case _, Observed(phase=Phase.CANCELLING):
            return Action.WAIT, Reason.CANCELLING, observation.stall
        case _, Observed() if limit is not None and stragglers.is_one(batch, observation, limit):
            action = Action.STOP if stragglers.is_due(batch, observation) else Action.WAIT
            return action, Reason.STRAGGLES, stragglers.words(batch, observation, limit)
        case _, Observed(phase=Phase.UNKNOWN):
            return Action.WAIT, Reason.STATE_UNKNOWN, f"`{observation.raw_status}`"
        case _, Observed(is_overdue=True):
            return Action.WAIT, Reason.OVERDUE, observation.stall
        case _:
            return Action.WAIT, Reason.RUNNING, observation.stall if isinstance(observation, Observed) else ""


def _deferral(failure: Failure | None) -> Reason:
    if failure and failure.kind is FailureKind.FILE_NOT_VISIBLE:
        return Reason.FILE_NOT_VISIBLE
    if failure and failure.kind is FailureKind.UNANSWERED:
        return Reason.OPEN_INTENT
    return Reason.QUOTA
