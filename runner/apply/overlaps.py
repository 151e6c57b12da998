"""Requests that a batch of ours and one of another clone both hold: paid for twice, and counted.

Two clones whose rows differ by one, or that cut them otherwise, send other sets under other labels, and both go on:
each holds something that the other does not. While both run, what they hold counts. Once one has ended, what it
answered counts, whenever either ran: a remote may hide a batch until it has ended and its like was sent.
"""

from __future__ import annotations

from typing import NamedTuple

from runner.apply import met, recount, wants
from runner.apply.refresh import Polls
from runner.apply.session import Session
from runner.errors import RemoteError
from runner.job.infile import Run
from runner.job.observed import Observed
from runner.job.outcomes import ENTRY_BYTES, answered
from runner.job.packed import KEY_BYTES, common, narrowed, union, without
from runner.job.recorded import Batch, Stage
from runner.plan import adoption, duplicates
from runner.plan.plan import Recorded
from runner.plan.remaining import BatchRows
from runner.remotes.vendor import Provider


class _Theirs(NamedTuple):
    """A batch of another clone. keys: all that it holds."""

    provider: Provider
    seen: Observed
    keys: bytes


def count(session: Session, polls: Polls) -> None:
    """Count what batches of other clones hold of the same requests, by the requests themselves and not by labels."""
    if not polls.listed:
        return
    recorded = session.recorded()
    entries = recorded.batches
    known = wants.known_in(entry.batch for entry in entries)
    for entry in entries:
        known.update(entry.batch.refused, entry.batch.overlaps, entry.batch.candidates)
    listed = {seen.remote_id: seen for _, seen in polls.listed}
    marks = {adoption.mark_of(entry.batch) for entry in entries if _may_be_there(entry.batch)}  # a duplicate, or late
    for provider, seen in polls.listed:
        if seen.remote_id in known or seen.is_refusal or seen.continued_from or adoption.mark_in(seen) in marks:
            continue
        try:
            [named] = provider.identified([seen])
            is_ours = provider.is_of(session.project.namespace, named)
            keys = met.keys_of(session, provider, named) if is_ours else None
        except RemoteError:
            continue  # the next pass looks again
        if keys is None:
            continue
        for entry in entries:
            if not entry.batch.is_sent_from_here or entry.batch.origin != provider.origin:
                continue  # what was found may be of one another, as one that asked again what the other had left
            ours = listed.get(entry.batch.remote_id)
            if twice := _twice(session, recorded, entry, ours, _Theirs(provider, seen, keys)):
                current = session.records.batch(entry.batch.key) or entry.batch
                session.records.save(current.but(overlaps={**current.overlaps, seen.remote_id: twice}))
                recount.tell(session, current, seen.remote_id, twice)


def _may_be_there(batch: Batch) -> bool:
    """Whether a batch of its name may have come of a create of ours: of one that was never sent it is another's."""
    return batch.stage is not Stage.DROPPED or bool(batch.remote_id) or batch.is_given_up


def _twice(session: Session, recorded: Recorded, entry: BatchRows, ours: Observed | None, theirs: _Theirs) -> int:
    """How many requests are paid for in a batch of our own and in another clone's. ours: as it was listed.

    Of ours counts what it answered; while it is in flight, all that it holds, and anew when it is brought home.
    """
    both, seen = common(_held(entry, theirs.keys), theirs.keys), theirs.seen
    were_together = ours is not None and duplicates.were_together(ours, seen)
    if not both or (were_together and not seen.phase.has_ended):
        return both
    # What an ended one left was to be asked again. And what a person wanted anew, in either clone, is no mistake.
    batch = entry.batch if ours is None else entry.batch.but(ended_at=ours.ended_at)
    if duplicates.is_asked_again(batch, seen.created_at, adoption.epoch_of(seen)):
        return 0
    answers = _answers(session, theirs)
    if answers is None:
        return both if were_together else 0
    anew = [retry.keys for retry in recorded.retries if retry.replaces and retry.generation <= batch.generation]
    return common(without(_held(entry, answers), union(anew)), answers)


def _held(entry: BatchRows, keys: bytes) -> Run:
    """What a batch holds or has answered: all of it, or at least what it does of these keys, where they are few."""
    return answered(narrowed(entry.index, keys, ENTRY_BYTES)) if entry.index else entry.keys


def _answers(session: Session, theirs: _Theirs) -> bytes | None:
    """What another clone's batch answered; None where that cannot be known now."""
    provider, seen, keys = theirs
    try:
        answers = met.answers_of(session, provider, seen)
    except RemoteError:
        answers = None
    if answers is None and seen.phase.has_ended and seen.counts.completed >= len(keys) // KEY_BYTES:
        return keys  # its files cannot be had, and it counts an answer to each
    return answers
