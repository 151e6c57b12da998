"""Batches of ours at a remote that are not on record: what each holds, and what it answered.

Another clone sent them, or a memory that is gone. What they hold never changes, nor what they answered once they have
ended: either is read once, and kept.
"""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from runner.apply import late, named
from runner.apply.collect import FILES_SETTLE, collect
from runner.apply.session import Session
from runner.job.observed import Observed
from runner.job.outcomes import unanswered
from runner.job.packed import KEY_BYTES
from runner.remotes.vendor import Provider


def keys_of(session: Session, provider: Provider, seen: Observed) -> bytes | None:
    """The keys of such a batch; None where nothing says what it holds. Raises RemoteError."""
    return told_of(session, provider, seen)[0]


def told_of(session: Session, provider: Provider, seen: Observed) -> tuple[bytes | None, bool]:
    """The same, and whether it holds more than that, or may, as will be seen later."""
    record = session.records.project()
    if record is not None and (name := record.met.get(seen.remote_id)):
        return session.objects.read_set(name), False
    keys, size = keys_held(session, provider, seen)
    record = session.records.project()
    is_more = may_say_more(session, provider, seen, keys, size)
    if keys is not None and record is not None and not (seen.continued_from or is_more):
        met = {**record.met, seen.remote_id: session.objects.write_set(keys)}
        session.records.save(replace(record, met=met))
    return keys, is_more


def answers_of(session: Session, provider: Provider, seen: Observed) -> bytes | None:
    """The keys that such a batch answered; None while that cannot be known. Raises RemoteError."""
    record = session.records.project()
    if record is not None and (name := record.met_answers.get(seen.remote_id)):
        return session.objects.read_set(name)
    if not seen.phase.has_ended or not (seen.results_are_final or seen.has_long_ended):
        return None
    keys = named.answers(session, provider, seen)
    record = session.records.project()
    if keys is not None and record is not None:
        answers = {**record.met_answers, seen.remote_id: session.objects.write_set(keys)}
        session.records.save(replace(record, met_answers=answers))
    return keys


def keys_held(session: Session, provider: Provider, seen: Observed) -> tuple[bytes | None, int]:
    """The keys of a remote batch of ours and the bytes of its input; None where nothing says what it holds.

    Of one that has ended, its results say it where its input cannot be read: each line names its request. What has no
    line was not answered, and is free.
    """
    if seen.continued_from:
        left, size = _keys_left_by(session, provider, seen.continued_from), 0
        keys = left if left is not None and is_as_labelled(seen, left) else None
    else:
        keys, size = named.by_input(session, provider, seen)
    if keys is None and (mine := late.given_up(session, session.records.batches(), provider, seen)) is not None:
        keys = session.objects.read(f"{mine.key}/keys", mine.keys_sha256)  # we took its input away ourselves
        size = mine.size_bytes
    if keys is None and seen.phase.has_ended and seen.results_are_final:
        keys = named.by_results(session, provider, seen)
    return keys, size


def is_as_labelled(seen: Observed, keys: bytes) -> bool:
    """Whether these are all the requests of a batch, as far as its label says which they are."""
    return hashlib.sha256(keys).hexdigest().startswith(seen.label.get("runner_set", ""))


def may_say_more(session: Session, provider: Provider, seen: Observed, keys: bytes | None, size: int) -> bool:
    """Whether a batch whose input cannot be read holds requests that nothing names yet, and its results will.

    It has not ended, owes a file, or holds more than its files name; the latter two as long as files are waited for.
    """
    if size or seen.continued_from:
        return False
    if not seen.phase.has_ended:
        return keys is None
    told = len(keys or b"") // KEY_BYTES
    if seen.results_are_final and told >= named.held_by(seen):
        return False
    return seen.ended_at is not None and session.time_at(provider) - seen.ended_at < FILES_SETTLE


def _keys_left_by(session: Session, provider: Provider, remote_id: str) -> bytes | None:
    """The keys that a batch on record left to the one that continues it; None where it is not on record."""
    parent = next((batch for batch in session.records.batches() if batch.remote_id == remote_id), None)
    if parent is None:
        return None
    if parent.is_active:
        seen = provider.look(remote_id)
        if not seen.phase.has_ended:
            return None  # it was deleted and made again: what the one before it left, nothing says any more
        parent = collect(session, parent, seen)
    return unanswered(session.objects.read(f"{parent.key}/index", parent.index_sha256))
