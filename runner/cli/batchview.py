"""One batch as `status` and `show` tell about it: what it is called, how it stands, how far it came."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from runner.apply.lineage import name_of
from runner.cli import voice
from runner.job.observed import Observed, Phase
from runner.job.recorded import REMOTE, Batch, Stage
from runner.plan.decide import CannotSee, Gone, NotShown, Observation


class BatchView(msgspec.Struct, frozen=True):
    """`state` is the word a user reads; `stage`, `phase` and `raw_status` are where it comes from."""

    name: str  # remote id, or our key where there is none
    key: str
    owner: str
    origin: str
    state: str
    stage: str
    phase: str
    raw_status: str
    asked: int
    answered: int
    failed: int
    asked_at: datetime
    ended_at: datetime | None
    note: str  # why it stands still or cannot be seen; empty while all is well
    adopted_from: str  # the path of the file its answers were read from, or `remote`
    duplicates: tuple[str, ...]
    possible_duplicates: int  # calls of unknown outcome that were made again
    model: str = ""
    window_ends_at: datetime | None = None  # of one that its remote works on, as far as it is known
    estimated_usd: float | None = None  # at most


def of_batch(batch: Batch, observation: Observation | None = None) -> BatchView:
    """A batch as recorded, or as the remote shows it now."""
    phase, raw, counts = batch.phase, batch.raw_status, batch.counts
    if isinstance(observation, Observed):
        phase, raw, counts = observation.phase, observation.raw_status, observation.counts
    has_index = bool(batch.index_sha256)
    return BatchView(
        name=name_of(batch),
        key=batch.key,
        owner=batch.owner,
        origin=str(batch.origin),
        state=_state(batch, observation, phase, raw),
        stage=batch.stage.value,
        phase=phase.value,
        raw_status=raw,
        asked=batch.rows,
        answered=batch.tally.ok if has_index else counts.completed,
        failed=batch.rows - batch.tally.ok if has_index else counts.failed,
        asked_at=batch.submitted_at or batch.intent_at,
        ended_at=batch.ended_at,
        note=_note(batch, observation),
        adopted_from=batch.found_in,
        duplicates=batch.duplicates,
        possible_duplicates=batch.possible_duplicates,
        model=batch.model,
        window_ends_at=_window_ends_at(batch, observation),
        estimated_usd=batch.estimated_usd,
    )


def _window_ends_at(batch: Batch, observation: Observation | None) -> datetime | None:
    """As the remote says; else so many hours after it was submitted."""
    if batch.stage is not Stage.SUBMITTED or batch.has_journal:
        return None
    if isinstance(observation, Observed) and observation.expires_at is not None:
        return observation.expires_at
    return batch.submitted_at + timedelta(hours=batch.window_hours) if batch.submitted_at else None


def _state(batch: Batch, observation: Observation | None, phase: Phase, raw: str) -> str:
    match batch.stage:
        case _ if isinstance(observation, NotShown):
            return "not shown by the remote"
        case _ if isinstance(observation, Gone):
            return "gone from the remote"
        case Stage.INTENT:
            return "being created"
        case Stage.DEFERRED:
            return "deferred"
        case Stage.DROPPED:
            return "not created"
        case Stage.HELD:
            return "held"
        case Stage.SUBMITTED if batch.own_status:
            return voice.plain(batch.own_status)
        case Stage.SUBMITTED if phase is Phase.UNKNOWN and not raw:
            return "submitted"
        case Stage.SUBMITTED | Stage.COLLECTED:
            more = _more_than(phase, raw)
            return f"{phase} ({more})" if more else phase.value
        case _:
            assert_never(batch.stage)


_SAME = {"in_progress": Phase.RUNNING, "canceled": Phase.CANCELLED, "canceling": Phase.CANCELLING}


def _more_than(phase: Phase, raw: str) -> str:
    """What the remote's own word tells beyond the phase: `waiting on capacity`, `pending`; mostly nothing."""
    word, _, rest = raw.partition(" ")
    if rest:
        return voice.one_line(rest).strip("()")
    word = voice.plain(word).lower().removeprefix("job_state_")
    return "" if word in ("", phase.value) or _SAME.get(word) is phase else word.replace("_", " ")


def _note(batch: Batch, observation: Observation | None) -> str:
    match observation:
        case Observed():
            if observation.phase.has_ended and not observation.results_are_final:
                return "it has ended; the remote has not named its result files yet"
            goes_on = bool(batch.not_stopped) and not observation.phase.has_ended
            return f"could not be stopped: {batch.not_stopped}" if goes_on else observation.stall
        case CannotSee(why=why):
            return f"cannot be seen: {why}"
        case NotShown():
            return "the remote answers that it is not there; that is not believed yet"
        case Gone():
            return "its results were not collected; `runner apply` records that, and says what to do"
        case None if batch.stage is Stage.DEFERRED:
            why = batch.failure.message if batch.failure else batch.why
            return f"{why}; sent again after {voice.moment(batch.not_before)}" if batch.not_before else why
        case None if batch.has_journal and batch.tally.lost:
            return f"{voice.count(batch.tally.lost, batch.content.noun)} held: see `runner state resolve {batch.owner}`"
        case None if batch.stage is Stage.HELD:
            return f"{batch.why}; see `runner state resolve {batch.owner}`"
        case None:
            return batch.why
        case _:
            assert_never(observation)


def origin_words(view: BatchView) -> str:
    """Where a batch was found again, in words; empty for one we sent and never lost."""
    if not view.adopted_from:
        return ""
    return "found on the remote" if view.adopted_from == REMOTE else f"read back from `{view.adopted_from}`"
