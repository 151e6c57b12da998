"""What was paid for already, and is no longer wanted because its requests were edited: whoever remembers it.

On the machine that asked, the job's own record says what it wanted before. In a fresh clone that record is not there:
then the answers read back from outputs, and the batches that a search found and nobody wants, are what was before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from runner.job.desired import Desired, distinct_of
from runner.job.infile import Run
from runner.job.observed import Origin
from runner.job.outcomes import ENTRY_BYTES, paid
from runner.job.packed import KEY_BYTES, common, narrowed, union, without
from runner.job.recorded import Batch, JobRecord, Stage
from runner.plan.remaining import BatchRows

_FREE_HOST = "embedded:"


class LeftRows(msgspec.Struct, frozen=True):
    """A batch of ours that a search found at a remote and that nobody wanted: its keys, and how many it answered."""

    address: str  # of the job that asked
    keys: bytes
    answered: int


class Replaced(NamedTuple):
    """Answered requests that are no longer wanted, and such as are in flight."""

    answered: int = 0
    paid: int = 0  # of them
    in_flight: int = 0  # that nobody wants any more: they are paid for unless somebody stops them


def replaced(
    job: Desired,
    before: tuple[JobRecord, Run] | None,
    history: Sequence[BatchRows],
    left: Sequence[LeftRows],
    free: Collection[str],
    wanted: Callable[[], Run],
) -> Replaced:
    """What the new rows of a job take the place of.

    before: the job's own record and the keys it wanted then. left: see LeftRows. free: providers that cost nothing.
    wanted: the keys that any job wants now.
    """
    going = [entry for entry in history if _goes_on(entry.batch, job, free)]
    sent = union([without(entry.keys, entry.unsent) for entry in going])
    in_flight = len(without(sent, wanted())) // KEY_BYTES if sent else 0
    if before is not None:
        found = _by_its_record(job, *before, history, left, free)
    else:
        mine = [entry for entry in history if entry.index and entry.batch.owner == job.address]
        asked = [one for one in left if one.address == job.address]
        found = _by_what_was_found(mine, asked, free, wanted) if mine or asked else Replaced()
    return found._replace(in_flight=in_flight)


def _goes_on(batch: Batch, job: Desired, free: Collection[str]) -> bool:
    """Whether a remote has a batch of this job under way that will cost something."""
    return batch.stage is Stage.SUBMITTED and batch.owner == job.address and not was_free(batch, free)


def _by_its_record(
    job: Desired,
    record: JobRecord,
    keys: Run,
    history: Sequence[BatchRows],
    left: Sequence[LeftRows],
    free: Collection[str],
) -> Replaced:
    dropped = without(keys, distinct_of(job))
    if not dropped:
        return Replaced()
    among = union([dropped, *(one.keys for one in left)])  # of no other key it matters who answered it
    every, paid = _answered(history, among), _answered(_paid(history, free), among)
    told, told_paid = (_all_in(some, left, lambda keys: common(dropped, keys)) for some in (every, paid))
    number = min(record.ok, told)  # rows that were wanted and never sent are no answers
    return Replaced(number, min(told_paid, number))


def _by_what_was_found(
    mine: Sequence[BatchRows], asked: Sequence[LeftRows], free: Collection[str], wanted: Callable[[], Run]
) -> Replaced:
    """The same in a fresh clone. mine, asked: batches of the job, read back from outputs and found at remotes."""
    now = wanted()

    def unwanted(keys: bytes) -> int:
        return len(without(keys, now)) // KEY_BYTES

    paid = _answered(_paid(mine, free))
    return Replaced(_all_in(_answered(mine), asked, unwanted), _all_in(paid, asked, unwanted))


def _paid(entries: Sequence[BatchRows], free: Collection[str]) -> list[BatchRows]:
    return [entry for entry in entries if not was_free(entry.batch, free)]


def _answered(entries: Sequence[BatchRows], among: Run | None = None) -> bytes:
    """The keys that these batches answered, or at least those among them; None: all."""
    indexes = [entry.index for entry in entries if entry.index]
    if among is not None:
        indexes = [narrowed(index, among, ENTRY_BYTES) for index in indexes]
    return union([paid(index) for index in indexes])


def _all_in(known: bytes, left: Sequence[LeftRows], count: Callable[[bytes], int]) -> int:
    """How many of the answers that `count` counts there are in all, each once.

    known: keys of answers on record, which may have been read back from an output. Of a batch that is left only the
    number of its answers is known: so many at most as are not among those met before.
    """
    total = count(known)
    for one in left:
        news = without(one.keys, known)
        total += max(0, min(one.answered - common(one.keys, known), count(news)))
        known = union([known, news])
    return total


def was_free(batch: Batch, free: Collection[str]) -> bool:
    """Whether nothing was paid for a batch. One whose cost is not on record was paid for."""
    return batch.estimated_usd == 0.0 or is_free(batch.origin, free)


def is_free(origin: Origin, free: Collection[str]) -> bool:
    return origin.provider in free or origin.host.startswith(_FREE_HOST)


def free_providers(desired: Sequence[Desired]) -> frozenset[str]:
    """The providers among those of these jobs that cost nothing."""
    cost: Mapping[str, bool] = {job.provider: job.card.is_free for job in desired}
    return frozenset(name for name, free in cost.items() if free)
