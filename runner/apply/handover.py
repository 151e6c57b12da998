"""Whether one memory may take another's place, and what would be forgotten where it did."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC

import msgspec

from runner.errors import BlockedError, UsageError, printable
from runner.job.outcomes import paid
from runner.job.packed import common, union, without
from runner.job.recorded import Batch, ProjectRecord, Stage
from runner.state.memory import Objects, Snapshot

_FORCED = "`--force` puts it there all the same; what is here is kept aside"


def begun(project: ProjectRecord) -> str:
    """When a memory began, to the microsecond: all copies of it share that, however they went on."""
    return project.created_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f UTC")


def is_the_same(here: Snapshot, there: Snapshot) -> bool:
    """Whether both remember the same."""
    return here.serial == there.serial and _digest(here) == _digest(there)


def _digest(snapshot: Snapshot) -> str:
    kept = (snapshot.project, snapshot.batches, sorted(snapshot.jobs.items()), snapshot.retries)
    return hashlib.sha256(msgspec.json.encode(kept)).hexdigest()


def refuse(here: Snapshot, there: Snapshot) -> None:
    """Raise BlockedError where what is here may not be known there: it is older, began apart, or went on apart.

    UsageError where it is another project's, whatever anybody forces.
    """
    mine, its = here.project, there.project
    if its is None:
        raise UsageError("the state file remembers nothing")
    if mine is None:
        return
    if mine.name != its.name:
        raise UsageError(f"the state file is of project `{printable(its.name)}`, and this is `{printable(mine.name)}`")
    if begun(mine) != begun(its):
        raise BlockedError(
            "the state file and what is recorded here began apart: another clone made it, or a state was lost in "
            f"between ({begun(its)}, and {begun(mine)})",
            hint=_FORCED,
        )
    if there.serial < here.serial:
        raise BlockedError(
            f"the state file is older: serial {there.serial:,}, where {here.serial:,} is recorded here", hint=_FORCED
        )
    if there.serial == here.serial or (unknown := _not_in(here.batches, there.batches)):
        what = f"serial {here.serial:,} is not the same in both"
        if there.serial != here.serial:
            what = f"it does not know `{printable(unknown[0].remote_id or unknown[0].key)}`"
        raise BlockedError(f"the state file and what is recorded here went on apart: {what}", hint=_FORCED)


def _not_in(batches: Iterable[Batch], others: Iterable[Batch]) -> list[Batch]:
    known = {batch.key for batch in others}
    return [batch for batch in batches if batch.key not in known and batch.stage is not Stage.DROPPED]


def forgotten(here: Snapshot, there: Snapshot) -> list[Batch]:
    """Batches that are in flight, or of which nobody knows, and that only what is recorded here speaks of."""
    ids = {one for batch in there.batches for one in (batch.remote_id, *batch.duplicates, *batch.candidates)} - {""}
    sets = {batch.keys_sha256 for batch in there.batches}
    found = []
    for batch in here.batches:
        is_open = batch.is_active and (batch.remote_id or batch.create_tries or batch.has_journal)
        is_held = batch.stage is Stage.HELD or (batch.lost_is_unknown and batch.tally.lost)
        if (is_open or is_held) and batch.remote_id not in ids and batch.keys_sha256 not in sets:
            found.append(batch)
    return found


def answers_lost(here: tuple[Snapshot, Objects], there: tuple[Snapshot, Objects], wanted: dict[str, bytes]) -> int:
    """How many answers to what is wanted are known here and neither known nor in flight there.

    wanted: keys by the origin that is asked now. Raises StateError where the objects of one cannot be read.
    """
    lost = 0
    for origin, keys in wanted.items():
        had, has = _answered(*here, origin), _answered(*there, origin, counts_flight=True)
        lost += common(without(had, has), keys)
    return lost


def _answered(snapshot: Snapshot, objects: Objects, origin: str, *, counts_flight: bool = False) -> bytes:
    found = []
    for batch in snapshot.batches:
        if str(batch.origin) != origin:
            continue
        if batch.index_sha256 and batch.stage in (Stage.COLLECTED, Stage.HELD):
            found.append(paid(objects.read(f"{batch.key}/index", batch.index_sha256)))
        elif counts_flight and batch.is_active:
            found.append(objects.read(f"{batch.key}/keys", batch.keys_sha256))
    return union(found)
