"""Batches that stand still, stop or expire on purpose."""

from __future__ import annotations

from runner.server.faults.switches import FaultSwitches
from runner.server.pace import Pace
from runner.server.records import BatchState, StoredBatch

_STUCK = {
    BatchState.VALIDATING: "stuck_validating",
    BatchState.QUEUED: "stuck_pending",
    BatchState.STARTING: "stuck_creating",
    BatchState.CANCELLING: "stuck_cancelling",
    BatchState.DELETING: "stuck_deleting",
}


class FaultyPace(Pace):
    """The pace of a server whose batches get stuck."""

    def __init__(self, faults: FaultSwitches) -> None:
        self._faults = faults

    def may_step(self, batch: StoredBatch) -> bool:
        stuck = _STUCK.get(batch.state)
        return stuck is None or self._faults.get(stuck) is None

    def has_expired(self, batch: StoredBatch, now: float) -> bool:
        at = batch.marks.get("expire_at")
        return super().has_expired(batch, now) or (at is not None and batch.done >= _share(at, batch.total))

    def rows_allowed(self, batch: StoredBatch) -> int:
        at, hold = batch.marks.get("expire_at"), self._faults.get("hold")
        allowed = super().rows_allowed(batch) if at is None else _share(at, batch.total)
        # no row more than there are: those in flight still count
        if self._faults.get("waiting_on_capacity"):
            return min(allowed, batch.done)
        return allowed if hold is None else min(allowed, _share(hold.value, batch.total))


def _share(fraction: float, total: int) -> int:
    return int(fraction * total + 1e-9)  # 0.29 * 100 is a little less than 29
