"""Records that a person wants gone. What remotes hold and what results files say is not touched."""

from __future__ import annotations

from collections.abc import Sequence

from runner.errors import UsageError, printable
from runner.job.address import unknown
from runner.job.events import Event, What
from runner.job.recorded import Batch, JobRecord, Stage
from runner.state.memory import Memory, Records


def meant(records: Records, name: str) -> tuple[list[JobRecord], list[Batch]]:
    """What is recorded under this name: of a job what it wrote last, or one batch with its answers.

    Raises UsageError where that is nothing, or where the batch is in flight, or may be: nobody would collect what is
    paid for.
    """
    if (job := records.jobs().get(name)) is not None:
        return [job], []
    batches = [batch for batch in records.batches() if name in (batch.key, batch.remote_id)]
    if not batches:
        raise unknown(name, sorted(records.jobs()), "`runner state list` has the batches")
    if batches[0].is_active:
        raise UsageError(
            f"`{printable(name)}` is in flight: what it answers would be lost",
            hint=f"`runner state give-up {printable(name)}` goes on without it"
            if batches[0].is_out_of_reach
            else f"`runner cancel {batches[0].owner}` stops it",
        )
    if batches[0].stage is Stage.HELD or (batches[0].lost_is_unknown and batches[0].tally.lost):
        raise UsageError(
            f"nobody knows whether all of `{printable(name)}` was accepted: forgotten, it would be sent again, and "
            "paid for twice where it was",
            hint=f"`runner state resolve {batches[0].owner}` decides about it",
        )
    return [], batches


def forget(memory: Memory, jobs: Sequence[JobRecord], batches: Sequence[Batch]) -> None:
    """Remove these records, then the objects of the batches. Under the lock. Raises StateError."""
    told = [Event(event=What.FORGOTTEN, job=one.address) for one in jobs]
    told += [
        Event(event=What.FORGOTTEN, job=one.owner, batch=one.key, remote_id=one.remote_id, rows=one.rows)
        for one in batches
    ]
    memory.records.save(events=told, gone=[*jobs, *batches])
    for batch in batches:
        memory.objects.remove(batch.key)
