"""The one paying action: intent, upload, create, receipt. Each step is durable before the next one is taken."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from runner.apply.session import Session
from runner.apply.settle import settle
from runner.compile.compiled import Compiled
from runner.errors import DataError, NotSent, OutcomeUnknown, RateLimited, Refused, RemoteError
from runner.job.desired import Desired
from runner.job.observed import Failure, FailureKind, Observed
from runner.job.packed import keys_of
from runner.job.recorded import Batch, ProjectRecord, Stage
from runner.plan import guard
from runner.plan.change import Submission
from runner.providers import base
from runner.providers.base import Provider

LONGEST_PAUSE = timedelta(minutes=15)
NAME_CHARS = 40
UPLOADS = 3


@dataclass(frozen=True, slots=True)
class Spool:
    """A batch's request lines on disk, and the sorted keys of what they ask."""

    path: Path
    size_bytes: int
    keys: bytes

    @property
    def keys_sha256(self) -> str:
        return hashlib.sha256(self.keys).hexdigest()


def submit(session: Session, job: Desired, submission: Submission) -> Batch:
    """Send one batch. The batch as recorded afterwards: SUBMITTED, DEFERRED, DROPPED or still INTENT.

    Raises RemoteError when the remote refuses it for good, DataError when the rows changed since the plan.
    """
    provider = session.remotes.open(job.provider)
    spool = _render(session, session.compiled[job.address], submission)
    try:
        intent = _intend(session, job, submission, spool)
        upload = _upload(session, provider, intent, spool)
    finally:
        spool.path.unlink(missing_ok=True)
    return create(session, provider, intent.but(upload_ref=upload.ref))


def _render(session: Session, compiled: Compiled, submission: Submission) -> Spool:
    """Render just these rows again; `write_lines` stops when a digest differs from the planned one."""
    path = session.home.tmp / f"{os.getpid()}-upload.jsonl"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb", 1 << 18) as file:
        size = compiled.write_lines(submission.ordinals, file)
    if size != submission.size_bytes:
        raise DataError(
            f"the rows of `{submission.address}` changed while they were read",
            hint="Run `runner apply` again; nothing was sent",
        )
    return Spool(path, size, keys_of(compiled.wanted.keys_at(submission.ordinals)))


def _intend(session: Session, job: Desired, submission: Submission, spool: Spool) -> Batch:
    """Write down, durably, what is about to be asked."""
    project = session.records.project() or ProjectRecord(session.project.name, session.clock.now())
    set_name = spool.keys_sha256[:16]
    attempt = 1 + max(
        (
            batch.attempt
            for batch in session.records.batches()
            if batch.keys_sha256 == spool.keys_sha256 and batch.stage is not Stage.DROPPED
        ),
        default=0,
    )
    dropped = session.records.batch(f"{set_name}-{attempt}")
    tokens = round(job.tokens * len(submission.ordinals) / max(job.rows, 1))
    batch = Batch(
        key=f"{set_name}-{attempt}",
        project=session.project.name,
        owner=job.address,
        origin=job.origin,
        endpoint=job.endpoint,
        model=job.model,
        window_hours=job.window_hours,
        rows=len(submission.ordinals),
        size_bytes=spool.size_bytes,
        keys_sha256=spool.keys_sha256,
        attempt=attempt,
        # An upload of the same name may be there from a try that did not come to a create.
        may_hold_upload=dropped is not None and dropped.failure is None,
        generation=project.generation,
        sequence=project.next_sequence,
        intent_at=session.clock.now(),
        parents=submission.parents,
        declared_in=job.declared_at.file,
        estimated_usd=guard.cost_of(job, len(submission.ordinals), tokens),
    )
    session.objects.write(f"{batch.key}/keys", spool.keys)
    session.records.save(batch, replace(project, next_sequence=project.next_sequence + 1))
    return batch


def _upload(session: Session, provider: Provider, batch: Batch, spool: Spool) -> base.Upload:
    """The remote's copy of the input: the one it still holds from an earlier try, or a new one."""
    submission = submission_of(batch)
    may_be_there = batch.may_hold_upload
    for left in reversed(range(UPLOADS)):
        try:
            found = provider.find_upload(submission, spool.size_bytes) if may_be_there else None
            return found or provider.upload(spool.path, submission)
        except OutcomeUnknown:
            # A file costs nothing: look whether it arrived, or send it again
            may_be_there = True
            if not left:
                _drop(session, batch)
                raise
        except RemoteError:
            _drop(session, batch)
            raise
    raise AssertionError("the last try returns or raises")


def _drop(session: Session, batch: Batch) -> None:
    session.records.save(batch.but(stage=Stage.DROPPED, trouble="the upload did not succeed"))


def submission_of(batch: Batch) -> base.Submission:
    """What the remote is told, the same at every try: names and stamps follow from the record alone."""
    return base.Submission(
        name=f"runner-{batch.project[:NAME_CHARS]}-{batch.key}",
        model=batch.model,
        endpoint=batch.endpoint,
        window_hours=batch.window_hours,
        stamp={
            "runner_project": batch.project[:500],
            "runner_set": batch.keys_sha256[:32],
            "runner_attempt": str(batch.attempt),
            "runner_rows": str(batch.rows),
            "runner_job": batch.owner[:500],
            "runner_generation": str(batch.generation),
            "runner_parent": ",".join(batch.parents)[:500],
        },
        rows=batch.rows,
    )


def create(session: Session, provider: Provider, batch: Batch) -> Batch:
    """Create the remote batch of an uploaded intent, once."""
    batch = batch.but(
        stage=Stage.INTENT, create_tries=batch.create_tries + 1, intent_at=session.clock.now(), not_before=None
    )
    session.records.save(batch)
    try:
        seen = provider.submit(submission_of(batch), base.Upload(batch.upload_ref, batch.size_bytes))
    except RateLimited as error:
        return defer(session, batch, _limited(error), error.retry_after)
    except (NotSent, Refused) as error:
        session.records.save(batch.but(stage=Stage.DROPPED, trouble=error.message))
        raise
    except OutcomeUnknown as error:
        session.reporter.step(f"{batch.owner}: no answer to the create ({error.message}); looking for it")
        return settle(session, batch)
    return _receipt(session, batch, seen)


def _receipt(session: Session, batch: Batch, seen: Observed) -> Batch:
    submitted = batch.but(
        stage=Stage.SUBMITTED,
        remote_id=seen.remote_id,
        submitted_at=session.clock.now(),
        phase=seen.phase,
        raw_status=seen.raw_status,
        counts=seen.counts,
        failure=None,
        trouble="",
    )
    session.records.save(submitted)
    session.reporter.step(f"{batch.owner}: submitted {batch.rows:,} requests as `{seen.remote_id}`")
    return submitted


def defer(session: Session, batch: Batch, failure: Failure, after_seconds: float | None = None) -> Batch:
    """The same upload again, later: the remote's queue is full, or it does not see the file yet."""
    card = session.remotes.card(batch.origin.provider)
    pause = min(timedelta(seconds=card.defer_seconds) * 2 ** max(batch.create_tries - 1, 0), LONGEST_PAUSE)
    if after_seconds is not None:
        pause = max(pause, timedelta(seconds=after_seconds))
    deferred = batch.but(
        stage=Stage.DEFERRED,
        failure=failure,
        not_before=session.clock.now() + pause,
        refused=(*batch.refused, batch.remote_id) if batch.remote_id else batch.refused,
        remote_id="",
    )
    session.records.save(deferred)
    session.reporter.step(f"{batch.owner}: {failure.message}; the same upload again in {pause.total_seconds():.0f} s")
    return deferred


def _limited(error: RateLimited) -> Failure:
    return Failure(FailureKind.QUOTA, error.code or "rate_limited", error.message[:256])
