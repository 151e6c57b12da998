"""Stop what is in flight, as far as its remote lets us. What has finished is kept, and collected by the next pass."""

from __future__ import annotations

from runner.apply import waves
from runner.apply.collect import stop
from runner.apply.session import Session
from runner.job.recorded import Batch, Stage


def cancel(session: Session, batch: Batch) -> Batch:
    """The batch as it stands afterwards; one whose create has an unknown outcome stays as it is.

    Raises RemoteError when the remote cannot be asked. Call it under the project's lock.
    """
    if batch.is_wave:
        return waves.abandon(session, batch)
    if batch.stage is Stage.SUBMITTED:
        seen = session.remote_of(batch).cancel(batch.remote_id)
        return batch.but(phase=seen.phase, raw_status=seen.raw_status)
    if batch.stage is Stage.DEFERRED:
        return stop(session, batch, "cancelled before it was sent")
    return batch
