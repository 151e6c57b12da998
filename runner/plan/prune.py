"""What of ours at a remote nobody needs any more. Pure.

A deletion cannot be taken back, so each object has to show that it is not needed: what it held is answered here and was
read just now, nothing is in flight or in doubt, and nobody may go on from it. Whatever is not known keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from runner.job.observed import Observed
from runner.job.outcomes import answered
from runner.job.packed import without
from runner.job.recorded import Batch, Stage
from runner.job.stored import ORDER, Inventory, Kept, Stored
from runner.plan.remaining import BatchRows
from runner.plan.resume import RESUMABLE

ABOUT_TO_BE_USED = timedelta(days=1)  # an upload no batch is made of yet, of requests that are settled here
FORGOTTEN = timedelta(days=7)  # one of requests that this memory does not know, and a batch of another's


class Why(StrEnum):
    """Why an object stays."""

    IN_FLIGHT = "in flight"
    UNDECIDED = "nobody knows yet what became of it"
    NOT_HERE = "not all of its answers are here"
    MAY_GO_ON = "what it left unanswered may be asked from there"
    GOES_ON = "one that continues it is needed"
    LATE = "a create of its requests may still take effect"
    NOT_USED_YET = "it may be about to be used"
    NOT_SURELY_OURS = "its name says too little of whose it is"
    OF_ANOTHER = "another clone sent it, and may not have its answers yet"
    YOUNG = "not old enough"
    NOT_MEANT = "of other specs"  # or nothing was said of how long it is kept


class Verdict(msgspec.Struct, frozen=True):
    """One object, and why it stays; None where nothing needs it."""

    stored: Stored
    why: Why | None
    owner: str = ""  # the job that asked, as far as it is known
    since: datetime | None = None  # when it came to its end


Age = Callable[[Stored, str], timedelta | None]  # how old an object of a job has to be; None: it is to stay


class Sides(msgspec.Struct, frozen=True):
    """What is known here of what one remote keeps. safe: keys that are answered here, as was just read."""

    batches: Sequence[BatchRows]  # of this remote
    safe: bytes
    elsewhere: Mapping[str, bytes | None]  # by remote id of a batch not on record, its answers; None: not known
    asked_again: Collection[str] = ()  # keys of batches that left rows which are to be asked again
    can_resume: bool = False  # this remote goes on with a batch by itself
    is_surely_named: bool = True  # a name of this project can be no other one's


def judge(inventory: Inventory, sides: Sides, now: datetime, age: Age) -> list[Verdict]:
    """Every object of an inventory, in the order in which those that go are deleted."""
    seen = {one.remote_id: one for one in inventory.batches}
    running = (one.remote_id for one in inventory.batches if not one.phase.has_ended)
    ids = dict.fromkeys([*running, *(one for stored in inventory.objects for one in stored.batches)])
    whys = {one: _need_of(one, seen.get(one), sides, now) for one in ids}
    _keep_what_is_continued(whys, seen, sides)
    found = [_judged(stored, whys, seen, sides, now, age) for stored in inventory.objects]
    return sorted(found, key=lambda one: (one.stored.batches[:1], ORDER.index(one.stored.kind), one.stored.ref))


def _need_of(remote_id: str, seen: Observed | None, sides: Sides, now: datetime) -> Why | None:
    """Why one batch at the remote is still needed; None where it is not."""
    if seen is not None and not seen.phase.has_ended:
        return Why.IN_FLIGHT
    mine = [entry for entry in sides.batches if remote_id in _ids_of(entry.batch)]
    if any(remote_id in one.batch.candidates and one.batch.stage is not Stage.COLLECTED for one in mine):
        return Why.UNDECIDED
    if mine:
        needs = (_need_of_recorded(entry, sides, is_its_own=entry.batch.remote_id == remote_id) for entry in mine)
        return next((why for why in needs if why is not None), None)
    if not sides.is_surely_named:
        return Why.NOT_SURELY_OURS
    answers = sides.elsewhere.get(remote_id)
    if answers is None or without(answers, sides.safe):
        return Why.NOT_HERE
    ended_at = seen.ended_at if seen is not None else None
    return None if ended_at is not None and now - ended_at >= FORGOTTEN else Why.OF_ANOTHER


def _ids_of(batch: Batch) -> tuple[str, ...]:
    own = (batch.remote_id,) if batch.remote_id else ()
    return (*own, *batch.duplicates, *batch.refused, *batch.candidates)


def _need_of_recorded(entry: BatchRows, sides: Sides, *, is_its_own: bool) -> Why | None:
    """is_its_own: this is the batch on record; else a duplicate of it, or a create that was turned away."""
    batch = entry.batch
    if batch.is_active:
        return Why.IN_FLIGHT
    if batch.stage is not Stage.COLLECTED:
        return Why.UNDECIDED
    if batch.is_given_up:
        return Why.LATE
    may_say_more = batch.is_lost or batch.short_since is not None or batch.is_unproven or batch.tally.lost
    if may_say_more or without(answered(entry.index), sides.safe):
        return Why.NOT_HERE
    may_go_on = sides.can_resume and batch.can_be_continued and batch.phase in RESUMABLE
    return Why.MAY_GO_ON if is_its_own and may_go_on and batch.key in sides.asked_again else None


def _keep_what_is_continued(whys: dict[str, Why | None], seen: Mapping[str, Observed], sides: Sides) -> None:
    """What a needed batch goes on from is needed as well, back to the first."""
    parents = {entry.batch.remote_id: entry.batch.continued_from for entry in sides.batches}
    parents |= {one.remote_id: one.continued_from for one in seen.values() if one.continued_from}
    active = [entry.batch.continued_from for entry in sides.batches if entry.batch.is_active]
    needed = [*active, *(parents.get(one, "") for one, why in whys.items() if why is not None)]
    met: set[str] = set()
    while needed:
        parent = needed.pop()
        if parent and parent not in met:
            met.add(parent)
            whys[parent] = whys.get(parent) or Why.GOES_ON
            needed.append(parents.get(parent, ""))


def _judged(
    stored: Stored,
    whys: Mapping[str, Why | None],
    seen: Mapping[str, Observed],
    sides: Sides,
    now: datetime,
    age: Age,
) -> Verdict:
    mine = [one.batch for one in sides.batches if _is_about(stored, one.batch)]
    owner = next((batch.owner for batch in mine), "") or _told_owner(stored, seen)
    since = _since(stored, mine, seen)
    needs: Iterable[Why | None] = (whys[one] for one in stored.batches)
    why = next((one for one in needs if one is not None), None)
    if why is None and stored.kind is Kept.UPLOAD:
        why = _need_of_upload(stored, mine, since, now, sides)
    least = age(stored, owner)
    if why is None and least is None:
        why = Why.NOT_MEANT
    elif why is None and least and (since is None or now - since < least):
        why = Why.YOUNG
    return Verdict(stored, why, owner, since)


def _is_about(stored: Stored, batch: Batch) -> bool:
    is_its_upload = stored.kind is Kept.UPLOAD and (stored.key == batch.key or stored.ref == batch.upload_ref)
    return is_its_upload or not set(stored.batches).isdisjoint(_ids_of(batch))


def _need_of_upload(
    stored: Stored, mine: Collection[Batch], since: datetime | None, now: datetime, sides: Sides
) -> Why | None:
    """What keeps an upload beside the batches that were made of it: one that is about to be made."""
    if any(batch.is_active for batch in mine):
        return Why.IN_FLIGHT
    if any(batch.stage is Stage.HELD for batch in mine):
        return Why.UNDECIDED
    if stored.batches:
        return None
    if not mine and not sides.is_surely_named:
        return Why.NOT_SURELY_OURS
    least = ABOUT_TO_BE_USED if mine else FORGOTTEN
    return Why.NOT_USED_YET if since is None or now - since < least else None


def _told_owner(stored: Stored, seen: Mapping[str, Observed]) -> str:
    labels = (seen[one].label for one in stored.batches if one in seen)
    return next((label["runner_job"] for label in labels if label.get("runner_job")), "")


def _since(stored: Stored, mine: Collection[Batch], seen: Mapping[str, Observed]) -> datetime | None:
    """When the last batch of it ended; of an upload that none was made of, when it was made."""
    ends = [seen[one].ended_at or seen[one].created_at for one in stored.batches if one in seen]
    ends += [batch.ended_at for batch in mine if batch.ended_at and stored.batches]
    known = [end for end in ends if end is not None]
    return max(known) if known else stored.created_at
