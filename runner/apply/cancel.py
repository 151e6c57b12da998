"""Stop what is in flight, as far as its remote lets us. What has finished is kept, and collected by the next pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runner.apply import waves
from runner.apply.collect import stop
from runner.apply.session import Session
from runner.errors import NotSent, RunnerError
from runner.job.capabilities import Delivery
from runner.job.observed import Origin
from runner.job.recorded import Batch, Stage


def cancel_all(session: Session, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Batch | RunnerError]]:
    """Each batch with what came of it: as it stands afterwards, or why it could not be stopped.

    One that cannot be stopped does not keep the others running. A remote that cannot be reached is asked once.
    """
    unreachable: dict[Origin, NotSent] = {}
    for batch in batches:
        if batch.stage is Stage.SUBMITTED and batch.delivery is not Delivery.CALLS and batch.origin in unreachable:
            yield batch, unreachable[batch.origin]
            continue
        try:
            yield batch, cancel(session, batch)
        except RunnerError as error:
            if isinstance(error, NotSent):
                unreachable[batch.origin] = error
            yield batch, error


def cancel(session: Session, batch: Batch) -> Batch:
    """The batch as it stands afterwards; one whose create has an unknown outcome stays as it is.

    Raises RemoteError when the remote cannot be asked. Call it under the project's lock.
    """
    if batch.delivery is Delivery.CALLS:
        return waves.abandon(session, batch)
    if batch.stage is Stage.SUBMITTED:
        seen = session.remote_of(batch).cancel(batch.remote_id)
        return batch.but(phase=seen.phase, raw_status=seen.raw_status)
    if batch.stage is Stage.DEFERRED:
        return stop(session, batch, "cancelled before it was sent")
    return batch
