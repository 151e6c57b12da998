"""What is on record, by requests and by remote ids: what some job still wants of it, and what is held already."""

from __future__ import annotations

from collections.abc import Iterable

from runner.apply.session import Session
from runner.job.infile import Run
from runner.job.observed import Origin
from runner.job.outcomes import ENTRY_BYTES, answered
from runner.job.packed import common, restricted, union, without, without_all
from runner.job.recorded import Batch
from runner.plan.answered import in_question


def unsettled(session: Session) -> tuple[Run, Run]:
    """Keys that some job wants and no collected batch has answered: those not in flight, and those that are."""
    recorded = session.recorded()
    batches = recorded.batches
    history = batches, recorded.retries, recorded.accepted_origins
    asked = in_question(session.desired, *history, recorded.answered)
    indexes = [entry.index for entry in batches if entry.index and not entry.batch.is_active]
    if asked is None:
        wanted = union([session.keys_of(job) for job in session.desired])
    else:
        wanted = union(list(asked.values()))
        indexes = [restricted(index, wanted, ENTRY_BYTES) for index in indexes]
    wanted = without_all(wanted, list(map(answered, indexes)))
    free = without(wanted, union([entry.keys for entry in batches if entry.batch.is_active]))
    return free, without(wanted, free)


def held(session: Session) -> Run:
    """Keys that batches on record hold in flight, or have answered."""
    entries = session.recorded().batches
    return union([entry.keys if entry.batch.is_active else answered(entry.index) for entry in entries])


def who_wants(session: Session, origin: Origin, keys: bytes) -> str:
    """The first job that wants some of these requests, for a batch that does not say whose it is."""
    jobs = (job for job in session.desired if job.provider == origin.provider)
    return next((job.address for job in jobs if common(session.keys_of(job), keys)), "")


def known_in(batches: Iterable[Batch]) -> set[str]:
    """The remote ids of all that is on record."""
    return {remote_id for batch in batches for remote_id in (batch.remote_id, *batch.duplicates)}
