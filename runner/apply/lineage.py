"""Which batches a job's answers come of, and what each of them came after: read from the records alone.

Two things tie batches together. One may *continue* another: the remote knows it as that one's remainder. And one may
*ask again* what others left, as new work of which only we know why it was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from runner.job.desired import Desired, distinct_of
from runner.job.packed import common
from runner.job.recorded import Batch, Stage
from runner.plan.plan import Recorded
from runner.plan.remaining import JobRows


class Link(msgspec.Struct, frozen=True):
    """One batch in its tree. Other batches go by the name a user knows: remote id, or our key without one."""

    batch: Batch
    depth: int  # 0: nothing known came before it
    continues: str = ""
    asks_again: tuple[str, ...] = ()  # batches that left rows, the continued one apart


def name_of(batch: Batch) -> str:
    """What a batch is called on the remote; our key where the remote gave no id."""
    return batch.remote_id or batch.key


def shown_for(job: Desired, rows: JobRows, recorded: Recorded) -> list[Batch]:
    """The batches that rows of a job stand as they do by, in order of submission."""
    shown = []
    wanted = distinct_of(job) if recorded.retries else b""
    for number, entry in enumerate(recorded.batches, 1):
        # Once rows were asked again on purpose, an older answer is shown until there is a newer one
        if number in rows.shown or (entry.index and common(wanted, entry.keys)):
            shown.append(entry.batch)
    return shown


def of_job(job: Desired, rows: JobRows, recorded: Recorded) -> list[Batch]:
    """Every batch that has to do with a job: shown, asked for by it, or what one of those came after."""
    shown = {batch.key for batch in shown_for(job, rows, recorded)}
    everything = [entry.batch for entry in recorded.batches]
    family = _Family(everything)
    meant = {batch.key for batch in everything if batch.key in shown or batch.owner == job.address}
    for batch in reversed(everything):  # the youngest first, so that each brings what it came after
        if batch.key in meant:
            meant.update(before.key for before in family.before(batch))
    return [batch for batch in everything if batch.key in meant]


def tree(batches: Sequence[Batch]) -> list[Link]:
    """The batches as a forest, drawn downwards: each below the one it continues, else the last whose rows it asks."""
    family = _Family(batches)
    below: dict[str, list[Batch]] = {}
    for batch in batches:
        before = family.before(batch)
        below.setdefault(before[0].key if before else "", []).append(batch)

    drawn: list[Link] = []
    waiting = [(batch, 0) for batch in reversed(below.get("", ()))]
    while waiting:
        batch, depth = waiting.pop()
        drawn.append(family.link(batch, depth))
        waiting += [(child, depth + 1) for child in reversed(below.get(batch.key, ()))]
    return drawn


def last_links(batches: Iterable[Batch]) -> list[Batch]:
    """The batches that no other continues; those of which nothing exists are left out."""
    there = [batch for batch in batches if batch.stage is not Stage.DROPPED]
    continued = {(str(batch.origin), batch.continued_from) for batch in there}
    return [batch for batch in there if not batch.remote_id or (str(batch.origin), batch.remote_id) not in continued]


def chain_of(last: Batch, batches: Iterable[Batch]) -> list[Batch]:
    """A batch and all it continued, oldest first, as far back as we remember."""
    known = list(batches)
    chain = [last]
    family = _Family(known)
    while (before := family.continued(chain[-1])) is not None:
        chain.append(before)
    return chain[::-1]


class _Family:
    """Batches by the names others call them by. Only an older batch comes before another, so no chain is endless."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        known = list(batches)
        self._by_key = {batch.key: batch for batch in known}
        self._by_id = {(str(batch.origin), batch.remote_id): batch for batch in known if batch.remote_id}

    def continued(self, batch: Batch) -> Batch | None:
        """The batch whose remainder it is, where we remember that one."""
        before = self._by_id.get((str(batch.origin), batch.continued_from)) if batch.continued_from else None
        return before if before is not None and _age(before) < _age(batch) else None

    def before(self, batch: Batch) -> list[Batch]:
        """What a batch came after: the one it continues, then the others, the youngest first."""
        continued = self.continued(batch)
        left = [self._by_key[key] for key in batch.parents if key in self._by_key]
        others = sorted((one for one in left if _age(one) < _age(batch) and one is not continued), key=_age)
        return [*([continued] if continued else []), *reversed(others)]

    def link(self, batch: Batch, depth: int) -> Link:
        """A batch with what it says of others, also of those we do not remember."""
        names = (name_of(self._by_key[key]) if key in self._by_key else key for key in batch.parents)
        return Link(batch, depth, batch.continued_from, tuple(name for name in names if name != batch.continued_from))


def _age(batch: Batch) -> tuple[int, str]:
    return batch.sequence, batch.key
