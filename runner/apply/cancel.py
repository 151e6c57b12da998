"""Stop what is in flight, as far as its remote lets us. What has finished is kept, and collected by the next pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runner.apply import calls
from runner.apply.collect import stop
from runner.apply.session import Session
from runner.apply.settle import settle
from runner.errors import BlockedError, NotSent, RemoteError, RunnerError
from runner.job.events import cancelled
from runner.job.observed import Origin
from runner.job.recorded import Batch, Stage


def cancel_all(session: Session, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Batch | RunnerError]]:
    """Each batch with what came of it: as it stands afterwards, or why it could not be stopped.

    One that cannot be stopped does not keep the others running. A remote that cannot be reached is asked once.
    """
    unreachable: dict[Origin, NotSent] = {}
    for batch in batches:
        if batch.stage is Stage.SUBMITTED and batch.remote_id and batch.origin in unreachable:
            yield batch, unreachable[batch.origin]
            continue
        try:
            yield batch, cancel(session, batch)
        except RunnerError as error:
            if isinstance(error, NotSent):
                unreachable[batch.origin] = error
            yield batch, error


def cancel(session: Session, batch: Batch) -> Batch:
    """The batch as it stands afterwards. Of a create whose answer was lost it is found out first whether it is there.

    Raises RemoteError when the remote cannot be asked, BlockedError where nobody can know. Call it under the project's
    lock.
    """
    if batch.stage is Stage.INTENT:
        batch = _found_out(session, batch)
    if batch.is_run_here:
        return calls.abandon(session, batch)
    if batch.is_unproven:
        raise RunnerError(
            f"{batch.owner}: it is not known yet whether `{batch.remote_id}` is ours, so it was not stopped",
            hint="run `runner apply`: its results say whose it is",
        )
    if batch.stage is Stage.SUBMITTED:
        seen = session.remote_of(batch).cancel(batch.remote_id)
        stopped = batch.but(phase=seen.phase, raw_status=seen.raw_status)
        session.records.tell(cancelled(stopped))
        return stopped
    if batch.stage is Stage.DEFERRED:
        return stop(session, batch, "cancelled before it was sent")
    return batch


def _found_out(session: Session, batch: Batch) -> Batch:
    """A batch of which it is known whether it was created."""
    settled = settle(session, batch)
    if settled.stage is Stage.INTENT:
        raise RemoteError(f"it is not known whether it was created: {settled.why}")
    if settled.stage is Stage.HELD:
        raise BlockedError(
            f"it is not known whether it was created: {settled.why}",
            hint=f"`runner state resolve {batch.owner}` says how to decide",
        )
    return settled
