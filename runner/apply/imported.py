"""A batch that a person names: it holds requests of ours, and no search finds it.

Somebody sent what `runner render` prints by other means, or the project had another name when it was sent. What it
holds is read from its input, or from its results once it has ended, by the same names that our own are known by.
"""

from __future__ import annotations

from runner.apply import met, recover, wants
from runner.apply.recover import Fate
from runner.apply.session import Session
from runner.errors import RunnerError, UsageError
from runner.job.desired import Desired
from runner.job.events import Event, What
from runner.job.packed import KEY_BYTES, common, union
from runner.job.recorded import Batch


def take_in(session: Session, job: Desired, remote_id: str) -> Batch:
    """Record a batch at the remote of a job as one of the project's, so that the next apply collects it.

    Raises UsageError where it holds nothing that the job wants or is on record already, RemoteError where the remote
    cannot be asked or has no such batch, RunnerError where nothing says what it holds. Call it under the lock.
    """
    if remote_id in wants.known_in(session.records.batches()):
        raise UsageError(f"`{remote_id}` is on record already", hint=f"`runner show {job.address}` lists its batches")
    if not job.card.search.can_list:
        raise UsageError(f"`{job.provider}` has no batches to take in: it is sent calls, one by one")
    provider = session.remotes.open(job.provider, job.card.content)
    seen = provider.look(remote_id)
    keys, size = met.keys_held(session, provider, seen)
    if not keys:
        raise RunnerError(
            f"nothing says which requests `{remote_id}` holds",
            hint=f"its lines have to be those of `runner render {job.address}`: their `custom_id` names the request"
            + ("" if seen.phase.has_ended else "; or wait until it has ended, its results may say it"),
        )
    held = common(session.keys_of(job), keys)
    if not held:
        raise UsageError(
            f"none of the {len(keys) // KEY_BYTES:,} requests of `{remote_id}` is one that `{job.address}` wants",
            hint="the specs, or the rows, are others than when it was sent",
        )
    free, in_flight = wants.unsettled(session)
    fate = recover.adopt(session, provider, seen, keys, size, union([free, in_flight]), b"")
    if fate is not Fate.ADOPTED:
        raise UsageError(f"all that `{job.address}` wants of `{remote_id}` is answered already")
    batch = next(one for one in session.records.batches() if one.remote_id == remote_id)
    if batch.owner not in {one.address for one in session.desired} or not seen.label.get("runner_job"):
        batch = batch.but(owner=job.address, declared_in=job.declared_at.file, model=job.model)
    told = Event(event=What.IMPORTED, job=batch.owner, batch=batch.key, remote_id=remote_id, rows=held)
    session.records.save(batch, events=[told])
    return batch
