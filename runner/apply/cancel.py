"""Stop what is in flight, as far as its remote lets us. What has finished is kept, and collected by the next pass.

A person has batches stopped (`cancel_all`), or their job says that they take too long (`stop_straggler`). A batch that
was told to stop is in flight until it is seen to have ended, so its rows are not sent meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runner.apply import calls, collect
from runner.apply.session import Session
from runner.apply.settle import settle
from runner.errors import OF_OUR_MEMORY, BlockedError, NotSent, OutcomeUnknown, RemoteError, RunnerError
from runner.job.events import cancelled
from runner.job.observed import Origin
from runner.job.recorded import Batch, Stage, Stop


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
        return _stop(session, batch, Stop.PERSON, "as a person asked")
    if batch.stage is Stage.DEFERRED:
        return collect.stop(session, batch, "cancelled before it was sent")
    return batch


def stop_straggler(session: Session, batch: Batch, why: Stop, words: str) -> None:
    """Have a batch stopped that takes too long. Where that fails it goes on, and its record says why.

    words: what it was stopped for.
    """
    try:
        stopped = _stop(session, batch, why, words)
    except OF_OUR_MEMORY:
        raise
    except RunnerError as error:
        text = f"{batch.owner}: `{batch.remote_id}` takes too long, and could not be stopped: {error.message}"
        session.warn_once(f"stop of {batch.remote_id}", text)
        return
    session.is_over(f"stop of {batch.remote_id}")
    session.reporter.step(f"{batch.owner}: `{batch.remote_id}` takes too long: {stopped.phase} ({words})")


def _stop(session: Session, batch: Batch, why: Stop, words: str) -> Batch:
    """Tell the remote to stop a batch; as it stands on record afterwards. Raises RemoteError where it goes on.

    For whom it is stopped is written down first: nobody may know later whether the remote heard of it, and what becomes
    of its rows hangs on that. A refusal takes it back; a reply that was lost does not.
    """
    provider = session.remote_of(batch)
    told = batch.but(stop=why, stop_at=session.time_at(provider), not_stopped="")
    session.records.save(told)
    try:
        seen = provider.cancel(batch.remote_id)
    except OF_OUR_MEMORY:
        raise
    except RunnerError as error:
        is_open = isinstance(error, OutcomeUnknown)
        session.records.save(told.but(stop=why if is_open else batch.stop, not_stopped=error.message))
        raise
    stopped = told.but(phase=seen.phase, raw_status=seen.raw_status)
    session.records.save(stopped, events=(cancelled(stopped, words),))
    return stopped


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
