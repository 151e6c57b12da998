"""How one batch goes from stage to stage: pure steps from one record to the next. Nothing else writes a stage.

A step is given the record as it is, and what was just learned; it gives the record as it is to be saved. Where a
step writes something other than its stage too, it is what must not be left as it was: one that was put off has no
remote id any more, and the one it had is kept among those that were refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from runner.job.cost import Used
from runner.job.observed import Failure, FailureKind, Observed, Phase
from runner.job.recorded import Batch, ResultObject, Stage, Tally

NO_ANSWERS = Used()
FEWEST_MISSES = 3  # answers that a batch is not there, before it is taken for absent
BEGUN_FACTOR = 6  # over how much longer a time, where it was seen to run
FOREVER = 1e12  # seconds
_NOT_TOLD: Mapping[str, object] = {"stop": None, "stop_at": None, "not_stopped": ""}  # of another batch at the remote

# Rows of a batch that is INTENT, SUBMITTED or DEFERRED are in flight, and no plan sends them. DROPPED alone sets rows
# free, so each way into it has to be sure that nothing runs at the remote, or to note what may (`is_given_up`,
# `possible_duplicates`). Of one that is HELD or COLLECTED, an index says what became of each row.
# From which stage a batch may go to which. Anything else is a mistake of ours, and stops before it is written.
MOVES: Mapping[Stage, frozenset[Stage]] = {
    # COLLECTED: its answers were read back from an output, and no remote is asked
    Stage.INTENT: frozenset(
        {Stage.INTENT, Stage.SUBMITTED, Stage.DEFERRED, Stage.DROPPED, Stage.HELD, Stage.COLLECTED}
    ),
    # It was seen to end, or (of single calls) it turned out that none can be made; or its queue turned it away
    # INTENT: what was taken for it turned out to be somebody else's
    Stage.SUBMITTED: frozenset({Stage.SUBMITTED, Stage.INTENT, Stage.DEFERRED, Stage.COLLECTED, Stage.DROPPED}),
    # Sent again, put off again, no longer wanted, or cancelled: then its outcomes are known to be none
    Stage.DEFERRED: frozenset({Stage.INTENT, Stage.DEFERRED, Stage.DROPPED, Stage.COLLECTED}),
    # Given up and found again, or single calls of which a person has decided something; or its files were short, and
    # are whole now
    Stage.COLLECTED: frozenset({Stage.SUBMITTED, Stage.COLLECTED}),
    # As a person decides; or it was found after all
    Stage.HELD: frozenset({Stage.SUBMITTED, Stage.DROPPED, Stage.COLLECTED}),
    # Sent anew; or its create took effect late. Both begin a new record under its key
    Stage.DROPPED: frozenset({Stage.INTENT, Stage.SUBMITTED}),
}


def sending(batch: Batch, now: datetime) -> Batch:
    """Its create is about to be sent: written before the call, since after it nobody may know whether it was.

    now: by the remote's clock. What the remote lists is searched back to this time, and not to that of the first try.
    """
    return _to(batch, Stage.INTENT, create_tries=batch.create_tries + 1, intent_at=now, not_before=None)


def submitted(batch: Batch, seen: Observed, now: datetime) -> Batch:
    """The remote gave us a receipt, or the batch of an unanswered create was found.

    What else may have been that one may be of another create: nothing is known of it any more.
    """
    return _to(
        batch,
        Stage.SUBMITTED,
        remote_id=seen.remote_id,
        submitted_at=now,
        phase=seen.phase,
        raw_status=seen.raw_status,
        counts=seen.counts,
        failure=None,
        is_unproven=False,
        candidates=(),
        index_sha256="",  # it may have been held till now
        tally=Tally(),
        why="",
        missed_at=None,
        misses=0,
        end_seen_at=None,
        **_NOT_TOLD,
    )


def found_again(batch: Batch, now_seen: Observed, now: datetime) -> Batch:
    """It was given up, and the remote shows it after all: in flight again, whatever its outcomes were taken to be."""
    again = seen(batch, now_seen, now).but(is_written_off=False)
    return _to(again, Stage.SUBMITTED, index_sha256="", tally=Tally(), results=(), ended_at=None, failure=None)


def written_off(batch: Batch) -> Batch:
    """A person goes on without what it may hold, whether or not its remote ever shows it."""
    return batch.but(is_written_off=True)


def taken_for(batch: Batch, seen: Observed, now: datetime) -> Batch:
    """One batch may have come of an unanswered create, and only its results say whether it did."""
    return submitted(batch, seen, now).but(is_unproven=True)


def released(batch: Batch) -> Batch:
    """What was taken for it is somebody else's: it is looked for again, among the others."""
    why = f"`{batch.remote_id}` is somebody else's"
    return _to(batch, Stage.INTENT, remote_id="", is_unproven=False, why=why)


def begun(batch: Batch, raw_status: str, now: datetime) -> Batch:
    """Its calls are made one by one from now on; the batch itself has no remote id."""
    return _to(batch, Stage.SUBMITTED, phase=Phase.RUNNING, raw_status=raw_status, submitted_at=now)


def reopened(batch: Batch) -> Batch:
    """Single calls that were brought home undecided, in flight again after a person has decided about some."""
    return _to(batch, Stage.SUBMITTED, phase=Phase.RUNNING, raw_status="reopened", index_sha256="")


def seen(batch: Batch, now_seen: Observed, now: datetime, why: str = "") -> Batch:
    """A poll showed it in flight; `why` says why it seems to stand still."""
    return batch.but(
        phase=now_seen.phase,
        raw_status=now_seen.raw_status,
        counts=now_seen.counts,
        seen_at=now,
        why=why,
        missed_at=None,
        misses=0,
        end_seen_at=(batch.end_seen_at or now) if now_seen.phase.has_ended else None,
    )


def missed(batch: Batch, now: datetime, why: str) -> Batch:
    """The remote answered 404 for it, or for a file of it, though it gave us a receipt: one such answer is none."""
    return batch.but(missed_at=batch.missed_at or now, misses=batch.misses + 1, why=why)


def came_of(batch: Batch, remote_id: str) -> Batch:
    """The same requests in another batch of the remote, which nobody told to stop."""
    return batch.but(remote_id=remote_id, **_NOT_TOLD)


def is_absent(batch: Batch, now: datetime, absence_seconds: float) -> bool:
    """Whether its remote answered 404 often enough, and for long enough, to be believed.

    absence_seconds: for one that was never seen to run; one that was, or that ended, may be paid for already.
    A vendor's batches answer 404 on and off for two minutes after their create.
    """
    if batch.missed_at is None or batch.misses < FEWEST_MISSES:
        return False
    is_begun = batch.phase not in (Phase.UNKNOWN, Phase.VALIDATING)
    return now - batch.missed_at >= timedelta(seconds=absence_seconds * (BEGUN_FACTOR if is_begun else 1))


def as_recorded(batch: Batch) -> Observed:
    """What its record says that its remote showed last, a receipt included."""
    return Observed(batch.remote_id, batch.phase, batch.raw_status, batch.counts, stall=batch.why)


def deferred(batch: Batch, failure: Failure | None, now: datetime, pause: timedelta) -> Batch:
    """The remote did not take it for now: the same upload again, `pause` later."""
    return _to(
        batch,
        Stage.DEFERRED,
        failure=failure,
        not_before=now + pause,
        pause_seconds=pause.total_seconds(),
        refused=(*batch.refused, batch.remote_id) if batch.remote_id else batch.refused,
        remote_id="",
        **_NOT_TOLD,
    )


def rolled_forward(batch: Batch, now: datetime) -> Batch:
    """Its create had no answer and left nothing to be seen: the same is created again under the same name."""
    why = Failure(FailureKind.UNANSWERED, "", "the create had no answer; it is sent again under its own name")
    return deferred(batch, why, now, timedelta())


def set_aside(batch: Batch, until: datetime) -> Batch:
    """Neither looked at, nor resolved, nor sent until then: for a copy of the state that must not touch it."""
    return (
        _to(batch, Stage.DEFERRED, not_before=until, pause_seconds=FOREVER, failure=None) if batch.is_active else batch
    )


def is_due(batch: Batch, now: datetime) -> bool:
    """Whether what was put off may be sent again.

    A time that is farther away than its own pause was written under a clock that was wrong: ours then, or ours now.
    """
    if batch.not_before is None or batch.not_before <= now:
        return True
    return (batch.not_before - now).total_seconds() > batch.pause_seconds


def dropped(batch: Batch, why: str, *, is_given_up: bool = False) -> Batch:
    """Nothing of it exists remotely, as far as we can see: its rows are free again.

    is_given_up: nothing came of an unanswered create, which may take effect yet.
    """
    if is_given_up:
        batch = given_up(batch)
    return _to(batch, Stage.DROPPED, why=why)


def given_up(batch: Batch) -> Batch:
    """Its create may take effect yet: it is looked for as far back as the first such create of its name."""
    return batch.but(is_given_up=True, given_up_from=batch.given_up_from or batch.intent_at)


def unknown(batch: Batch, index_sha256: str, why: str, candidates: tuple[str, ...] = ()) -> Batch:
    """Nobody can say whether it was created: a person decides. `index_sha256`: of an index of LOST requests.

    candidates: remote ids that may be what came of it.
    """
    tally = Tally(lost=batch.rows)
    return _to(batch, Stage.HELD, index_sha256=index_sha256, tally=tally, why=why, candidates=candidates)


def disproven(batch: Batch) -> Batch:
    """All that may have come of it turned out to be somebody else's: its create did not take effect, or not yet."""
    return dropped(batch.but(index_sha256="", tally=Tally()), "what may have been it is not", is_given_up=True)


def decided(batch: Batch, *, remote_id: str = "", is_sent_again: bool = False, now: datetime) -> Batch:
    """What nobody knew, as a person says: the remote has it under this id, or it has not (and its rows are free).

    is_sent_again: it may have, and its requests are sent all the same; they are counted as possible duplicates.
    """
    known = batch.but(index_sha256="", tally=Tally(), why="")
    if remote_id:
        return _to(known, Stage.SUBMITTED, remote_id=remote_id, submitted_at=now, phase=Phase.UNKNOWN, raw_status="")
    why = "sent again, though it may have been accepted" if is_sent_again else "it was not accepted"
    again = batch.rows if is_sent_again else 0
    return _to(given_up(known), Stage.DROPPED, why=f"decided: {why}", possible_duplicates=again)


def collected(
    batch: Batch,
    ended: Observed,
    index_sha256: str,
    tally: Tally,
    now: datetime,
    results: tuple[ResultObject, ...] = (),
    *,
    used: Used = NO_ANSWERS,
    gives_up: bool = False,
) -> Batch:
    """Its outcomes are on our disk, verified. The index is there before this is written.

    gives_up: the remote owed more, and has not shown it for so long that it is not waited for; it is looked for again.
    """
    return _to(
        batch,
        Stage.COLLECTED,
        phase=ended.phase,
        raw_status=ended.raw_status,
        counts=ended.counts,
        failure=ended.failure,
        ended_at=ended.ended_at or now,
        seen_at=now,
        results=results,
        index_sha256=index_sha256,
        tally=tally,
        used=used,
        input_tokens=ended.input_tokens,
        output_tokens=ended.output_tokens,
        why="",
        missed_at=(batch.missed_at or now) if gives_up else None,
        misses=batch.misses if gives_up else 0,
    )


def read_back(
    batch: Batch, index_sha256: str, tally: Tally, now: datetime, results: tuple[ResultObject, ...], used: Used
) -> Batch:
    """Its answers were found in a file of outputs: no remote has anything to say about it."""
    return _to(
        batch,
        Stage.COLLECTED,
        phase=Phase.COMPLETED,
        ended_at=now,
        results=results,
        index_sha256=index_sha256,
        tally=tally,
        used=used,
    )


# A move that is none is found before its record is written. What is on disk stays the last that made sense, and the
# next command begins there.
def _to(batch: Batch, stage: Stage, **changes: object) -> Batch:
    assert stage in MOVES[batch.stage], f"batch {batch.key} cannot go from {batch.stage} to {stage}"
    return batch.but(stage=stage, **changes)
