"""The action that pays: intent, upload, create, receipt. Each step is durable before the next one is taken.

Single calls are paid for in `remotes/transport/calls.py`, in the same order.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from runner.apply import calls
from runner.apply.collect import refuse
from runner.apply.recover import not_on_record
from runner.apply.session import Session
from runner.apply.settle import settle
from runner.apply.submission import submission_of
from runner.clock import RECEIPT_SECONDS, extended
from runner.errors import DataError, NotSent, OutcomeUnknown, RateLimited, Refused, RemoteError
from runner.job import lifecycle
from runner.job.capabilities import Capabilities, Content, Delivery, Search
from runner.job.desired import Desired
from runner.job.observed import Failure, FailureKind, Observed
from runner.job.packed import KEY_BYTES, keys_of, unpack
from runner.job.recorded import Batch, ProjectRecord
from runner.plan import adoption, guard
from runner.plan.change import Cut
from runner.remotes import vendor
from runner.remotes.vendor import Provider

LONGEST_PAUSE = timedelta(minutes=15)
MOST_DOUBLINGS = 16  # of a pause: a queue may be full for days
UPLOADS = 3
MOST_UPLOADS = 2  # of the same requests, to a remote that says it cannot find them
_CANNOT_CONTINUE = (400, 404)  # nothing is left of the batch, or it is gone
_OF_OUR_OWN = ("window", "option")  # what the specs ask for is not to be had there, with any parent or none


def submit(session: Session, job: Desired, submission: Cut) -> Batch:
    """Send one batch. The batch as recorded afterwards: SUBMITTED, DEFERRED, DROPPED, HELD or still INTENT.

    A calls batch is only begun: nothing of it is sent yet.

    Raises RemoteError when the remote refuses it for good, DataError when the rows changed since the plan.
    """
    delivery = job.card.delivery
    if delivery is Delivery.CALLS:
        return _begin_calls(session, job, submission)
    provider = session.remotes.open(job.provider)
    if submission.continues:
        return _continue(session, provider, job, submission)
    # Rendered before the intent is written: rows that changed, or a disk that is full, leave nothing behind that would
    # have to be found out about. An upload comes after it, as its name is what the next command looks for.
    with _rendered(session, job.address, submission.ordinals, submission.size_bytes) as path:
        intent = _intend(session, job, submission)
        if delivery is Delivery.INLINE:
            return _create_unless_sent(session, provider, intent, vendor.Inline(path, submission.size_bytes))
        upload = _upload(session, provider, intent, path)
    uploaded = intent.but(upload_ref=upload.ref, uploaded_at=session.time_at(provider))
    return _create_unless_sent(session, provider, uploaded, upload)


def _begin_calls(session: Session, job: Desired, submission: Cut) -> Batch:
    if job.card.content is Content.RECORDING:
        return calls.begin(session, _intend(session, job, submission))
    with _rendered(session, job.address, submission.ordinals, submission.size_bytes) as path:
        return calls.begin(session, _intend(session, job, submission), path)


def _create_unless_sent(session: Session, provider: Provider, intent: Batch, content: vendor.Input) -> Batch:
    """Create the batch of an intent, unless another clone sent some of it meanwhile."""
    if _is_sent_elsewhere(session, provider, intent):
        dropped = lifecycle.dropped(intent, "another batch holds some of its requests, or may hold them")
        session.records.save(dropped)
        session.reporter.step(f"{intent.owner}: {dropped.why}: it is not sent, and what is left is planned again")
        return dropped
    return create(session, provider, intent, content)


def _is_sent_elsewhere(session: Session, provider: Provider, batch: Batch) -> bool:
    """Whether another clone has sent some of these requests since the remote was searched.

    Rendering and uploading take minutes; one list more makes the time in which both pay that of one call.
    """
    if provider.card.is_free:
        return False
    elsewhere = not_on_record(session, provider, [batch])
    return elsewhere.may_hold(session.objects.read(f"{batch.key}/keys", batch.keys_sha256))


def _continue(session: Session, provider: Provider, job: Desired, submission: Cut) -> Batch:
    """Have the remote go on with what an ended batch left."""
    parent = session.records.batch(submission.continues)
    assert parent is not None, "a plan continues batches on record"
    return create(session, provider, _intend(session, job, submission, parent.remote_id), None)


@contextmanager
def _rendered(session: Session, address: str, ordinals: Sequence[int], size_bytes: int) -> Iterator[Path]:
    """A file of just these rows, for as long; `write_lines` stops when a digest differs from the planned one."""
    path = session.memory.scratch / f"{os.getpid()}-upload.jsonl"
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb", 1 << 18) as file:
            size = session.compiled[address].write_lines(ordinals, file)
        if size != size_bytes:
            raise DataError(
                f"the rows of `{address}` changed while they were read",
                hint="run `runner apply` again; nothing was sent",
            )
        yield path
    finally:
        path.unlink(missing_ok=True)


def _intend(session: Session, job: Desired, submission: Cut, continued_from: str = "") -> Batch:
    """Write down, durably, what is about to be asked.

    A batch is named by its requests and an attempt, here and at the remote. The name of one that was DROPPED is used
    again, and its record written over, unless something is known to go by it (`is_name_taken`): so a late create of the
    first try shows the label of the new one and is stopped as its duplicate, and an upload of the first can be taken.
    """
    project = session.records.project() or ProjectRecord(session.project.namespace, session.clock.now())
    keys = keys_of(session.compiled[job.address].wanted.keys_at(submission.ordinals))
    keys_sha256 = hashlib.sha256(keys).hexdigest()
    session.folds.sent[keys_sha256] = job.keys, submission.ordinals
    set_name = keys_sha256[:16]
    before = [batch for batch in session.records.batches() if batch.keys_sha256 == keys_sha256]
    taken = project.taken.get(set_name, 0)  # else the two would be taken for one create, and the younger stopped
    attempt = 1 + max([taken, *(batch.attempt for batch in before if batch.is_name_taken)])
    before = [batch for batch in before if batch.generation == project.generation]
    dropped = session.records.batch(f"{set_name}-{attempt}")
    batch = Batch(
        key=f"{set_name}-{attempt}",
        project=session.project.namespace,
        owner=job.address,
        origin=job.origin,
        endpoint=job.endpoint,
        model=job.model,
        window_hours=job.window_hours,
        rows=len(submission.ordinals),
        size_bytes=submission.size_bytes,
        keys_sha256=keys_sha256,
        attempt=attempt,
        uploads=1 + max((batch.uploads for batch in before if batch.is_unseen), default=0),
        # An upload of the same name may be there from a try that did not come to a create.
        may_hold_upload=dropped is not None and dropped.failure is None,
        refused=dropped.refused if dropped else (),  # they carry the same label, and are no duplicates
        is_given_up=dropped is not None and dropped.is_given_up,
        given_up_from=(dropped.given_up_from or dropped.intent_at) if dropped and dropped.is_given_up else None,
        generation=project.generation,
        sequence=project.next_sequence,
        intent_at=session.clock.now(),
        params=job.params,
        options=job.options,
        system_prompt=job.system_prompt,
        parents=submission.parents,
        possible_duplicates=_owed(session, submission),
        continued_from=continued_from,
        content=job.card.content,
        delivery=job.card.delivery,
        transport=job.card.transport,
        declared_in=job.declared_at.file,
        reason=submission.reason,
        estimated_usd=guard.estimate(job, submission.ordinals).usd,
        price=job.price,
        asked=session.declared(),
    )
    session.objects.write(f"{batch.key}/keys", keys)
    session.records.save(batch, replace(project, next_sequence=project.next_sequence + 1))
    return batch


def _owed(session: Session, submission: Cut) -> int:
    """How many of these rows the remote counted as answered in an earlier batch, and never gave."""
    parents = (session.records.batch(key) for key in submission.parents)
    return min(len(submission.ordinals), sum(parent.owed for parent in parents if parent is not None))


def _upload(session: Session, provider: Provider, batch: Batch, source: Path) -> vendor.Uploaded:
    """The remote's copy of the input: the one it still holds from an earlier try, or a new one."""
    submission = submission_of(batch)
    may_be_there = batch.may_hold_upload
    tries = 1 if provider.card.search is Search.BY_NAME else UPLOADS  # where we name it, it repeats by itself
    for left in reversed(range(tries)):
        try:
            found = provider.find_upload(submission, batch.size_bytes) if may_be_there else None
            return found or provider.upload(source, submission)
        except OutcomeUnknown as error:
            # A file costs nothing: look whether it arrived, or send it again
            may_be_there = True
            if not left:
                _drop(session, batch, error)
                raise
        except RemoteError as error:
            _drop(session, batch, error)
            raise
    raise AssertionError("the last try returns or raises")


def _drop(session: Session, batch: Batch, why: RemoteError) -> None:
    session.records.save(lifecycle.dropped(batch, f"the upload did not succeed: {why.message}"))


def create_again(session: Session, provider: Provider, batch: Batch) -> Batch:
    """The create of a batch that was put off: of the same upload, or of its rows, which are rendered again.

    Where the rows of its job are others by now, nothing was sent of them: it is DROPPED, and they are planned anew.
    """
    if batch.continued_from:
        return create(session, provider, batch, None)
    if batch.upload_ref:
        return create(session, provider, batch, vendor.Uploaded(batch.upload_ref, batch.size_bytes))
    ordinals = _ordinals_of(session, batch)
    if len(ordinals) != batch.rows:
        dropped = lifecycle.dropped(batch, "its rows changed since")
        session.records.save(dropped)
        return dropped
    sizes = session.compiled[batch.owner].wanted.sizes
    size_bytes = sum(sizes[ordinal] + 1 for ordinal in ordinals)  # of one that was found, only the remote knew it
    with _rendered(session, batch.owner, ordinals, size_bytes) as path:
        return create(session, provider, batch.but(size_bytes=size_bytes), vendor.Inline(path, size_bytes))


def _ordinals_of(session: Session, batch: Batch) -> list[int]:
    """The rows of its job that a batch asks for; of equal requests the first."""
    if batch.owner not in session.compiled:
        return []
    wanted = session.compiled[batch.owner].wanted.keys[:]
    left = set(unpack(session.objects.read(f"{batch.key}/keys", batch.keys_sha256)))
    found = []
    for ordinal in range(len(wanted) // KEY_BYTES):
        key = wanted[ordinal * KEY_BYTES : (ordinal + 1) * KEY_BYTES]
        if key in left:
            left.remove(key)
            found.append(ordinal)
    return found


def create(session: Session, provider: Provider, batch: Batch, content: vendor.Input | None) -> Batch:
    """Create the remote batch of an intent, once. As `submit`; where the answer is lost, it is looked for at once."""
    # One call, and a few ways it can end. A receipt is one, and so are words by which nothing was made: the queue is
    # full, it is refused, it never left this machine. Anything else (a cut connection, a 500, a success that names no
    # batch) may have made a batch: only a search can tell, and until it has, the rows count as asked. The try is
    # counted before the call, since a command that is killed in it leaves no other trace of it.
    batch = lifecycle.sending(batch, session.time_at(provider))
    session.records.save(batch)
    try:
        is_blind = session.search_of(provider) is Search.NONE
        with extended(session.clock, RECEIPT_SECONDS if is_blind else 0.0):
            seen = provider.submit(submission_of(batch), content)
    except RateLimited as error:
        return defer(session, batch, _limited(error), error.retry_after)
    except (NotSent, Refused) as error:
        if error.code == vendor.UNSEEN:
            return defer(session, batch, Failure(FailureKind.FILE_NOT_VISIBLE, vendor.UNSEEN, error.words))
        dropped = lifecycle.dropped(batch, error.message)
        session.records.save(dropped)
        if batch.continued_from and isinstance(error, Refused) and _is_about_parent(error):
            _give_up_parent(session, batch, error)
            return dropped
        raise
    except OutcomeUnknown as error:
        session.reporter.step(f"{batch.owner}: no answer to the create ({error.message}); looking for it")
        return settle(session, batch)
    return _receipt(session, provider, batch, seen)


def _is_about_parent(refused: Refused) -> bool:
    """Whether a continuation was refused for the batch it goes on with, and not for how it was asked for."""
    return refused.status in _CANNOT_CONTINUE and refused.code not in _OF_OUR_OWN


def _give_up_parent(session: Session, batch: Batch, refused: Refused) -> None:
    """The remote cannot go on with a batch any more: what it left is sent anew in the next pass."""
    for key in batch.parents:
        if (parent := session.records.batch(key)) is not None and parent.remote_id == batch.continued_from:
            session.records.save(parent.but(can_be_continued=False))
    session.reporter.step(f"{batch.owner}: `{batch.continued_from}` cannot be continued ({refused.message})")


def _receipt(session: Session, provider: Provider, batch: Batch, seen: Observed) -> Batch:
    current = session.records.batch(batch.key)
    if current is not None and current.remote_id not in ("", seen.remote_id):
        return current  # by somebody who holds no lock: what is on record stays, and ours is found as its duplicate
    submitted = lifecycle.submitted(batch, seen, session.clock.now())
    session.seen_at[batch.key] = session.clock.now()
    session.records.save(submitted)
    session.tell(submitted)
    if provider.card.search is not Search.BY_NAME:
        session.note_shown(batch.origin, adoption.learned_of_receipt(session.shown(batch.origin), submitted, seen))
    session.reporter.step(
        f"{batch.owner}: submitted {batch.rows:,} request{'s' * (batch.rows != 1)} as `{seen.remote_id}`"
    )
    return submitted


def pause_after(card: Capabilities, tries: int) -> timedelta:
    """How long what was refused for now waits after so many tries."""
    doublings = min(max(tries - 1, 0), MOST_DOUBLINGS)
    pause: timedelta = timedelta(seconds=card.defer_seconds) * 2**doublings
    return min(pause, LONGEST_PAUSE)


def defer(session: Session, batch: Batch, failure: Failure, after_seconds: float | None = None) -> Batch:
    """The same upload again, later: the remote's queue is full, or it does not see the file yet."""
    pause = pause_after(session.card_of(batch), batch.create_tries)
    if after_seconds is not None:
        pause = max(pause, timedelta(seconds=after_seconds))
    deferred = lifecycle.deferred(batch, failure, session.clock.now(), pause)
    session.records.save(deferred)
    session.reporter.step(
        f"{batch.owner}: {failure.message}; the same upload is submitted again in {pause.total_seconds():.0f} s"
    )
    return deferred


def give_up_upload(session: Session, batch: Batch) -> Batch:
    """The remote cannot find an upload that it took long ago: a new one is made once; then its words are the end."""
    assert batch.failure is not None, "it said that it cannot find the upload"
    if batch.uploads < MOST_UPLOADS:
        dropped = lifecycle.dropped(batch, "the remote never saw the upload; it is uploaded once more")
        session.records.save(dropped)
        session.reporter.step(f"{batch.owner}: {dropped.why}")
        return dropped
    session.reporter.warn(
        f"{batch.owner}: the remote took the upload {batch.uploads} times, and cannot find it: {batch.failure.message}"
    )
    return refuse(session, batch, batch.failure)


def _limited(error: RateLimited) -> Failure:
    return Failure(FailureKind.QUOTA, error.code or "rate_limited", error.message[:256])
