"""Go on without a batch that its remote does not show, or whose files it does not hand out, however often it is asked.

A remote that says "later" for ever would hold its rows for ever: nobody but a person can say when that is too long.
"""

from __future__ import annotations

from runner.apply.collect import stop
from runner.apply.session import Session
from runner.errors import UsageError, printable
from runner.job import lifecycle
from runner.job.recorded import Batch, Stage

GIVEN_UP = "given up"  # in Batch.raw_status


def give_up(session: Session, name: str) -> Batch:
    """The batch of this key or remote id as recorded afterwards: its rows need a decision, or hold up nothing.

    Under the project's lock. Each apply looks for it all the same, and takes what it shows. Raises UsageError for a
    batch with which nothing is wrong, or that has a better way out.
    """
    batch = next((one for one in session.records.batches() if name in (one.key, one.remote_id)), None)
    if batch is None:
        raise UsageError(f"there is no batch `{printable(name)}`", hint="`runner state list` has the batches")
    _refuse(batch, f"`{printable(name)}`")
    written_off = lifecycle.written_off(batch)
    if batch.stage is Stage.COLLECTED:
        session.records.save(written_off)
        return written_off
    return stop(session, written_off, GIVEN_UP, gives_up=True)


def _refuse(batch: Batch, name: str) -> None:
    """Raise UsageError unless its remote owes something of it that it does not give."""
    match batch.stage:
        case Stage.COLLECTED if batch.is_lost or batch.short_since is not None:
            return
        case Stage.COLLECTED | Stage.DROPPED:
            raise UsageError(f"{name} is over: nothing waits for it")
        case Stage.INTENT | Stage.HELD:
            raise UsageError(
                f"it is not known whether {name} was accepted", hint=f"`runner state resolve {batch.owner}` decides"
            )
        case Stage.SUBMITTED if batch.is_out_of_reach:
            return
        case _:
            raise UsageError(
                f"nothing is wrong with {name}, as far as was seen last", hint=f"`runner cancel {batch.owner}` stops it"
            )
