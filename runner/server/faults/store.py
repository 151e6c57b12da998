"""A memory whose lists lag, and which binds to a batch, as it comes, the faults that will befall it later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from runner.clock import Clock
from runner.server.faults.switches import FaultSwitches
from runner.server.records import StoredBatch
from runner.server.world import World

Binder = Callable[[StoredBatch], StoredBatch]
_EVERYTHING = 1 << 62


class FaultyWorld(World):
    """binders: what else is bound to the batches of a dialect, by its name."""

    def __init__(self, path: Path, faults: FaultSwitches, clock: Clock, binders: Mapping[str, Binder]) -> None:
        super().__init__(path)
        self._faults = faults
        self._clock = clock
        self._binders = binders

    def add_batch(self, batch: StoredBatch) -> None:
        """A counted fault is used up by the create, not when it befalls: so it is written into the batch's own record,
        where a restart does not lose it."""
        marks = dict(batch.marks)
        expiry = self._faults.take_expiry()
        if expiry is not None:
            marks["expire_at"] = expiry
        if self._faults.take("file_invisible"):
            marks["file_invisible"] = 1.0
        batch = msgspec.structs.replace(batch, marks=marks)
        bind = self._binders.get(batch.dialect)
        super().add_batch(bind(batch) if bind else batch)

    def batches(self, owner: str, dialect: str, *, limit: int, after: str = "") -> list[StoredBatch] | None:
        lag = self._faults.get("list_lag")
        if lag is None:
            return super().batches(owner, dialect, limit=limit, after=after)
        until = self._clock.now().timestamp() - lag.value
        # pages are cut after the new ones are left out, or a page would come short
        found = super().batches(owner, dialect, limit=_EVERYTHING, after=after)
        return None if found is None else [batch for batch in found if batch.created_at <= until][:limit]
