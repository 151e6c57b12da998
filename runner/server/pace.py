"""How far a batch may go by now: what the worker asks before each step of one."""

from __future__ import annotations

from runner.server.records import StoredBatch


class Pace:
    """No batch waits, and each goes on until its window closes."""

    def may_step(self, batch: StoredBatch) -> bool:
        """Whether a batch may leave the state it is in."""
        return True

    def has_expired(self, batch: StoredBatch, now: float) -> bool:
        return now >= batch.expires_at

    def rows_allowed(self, batch: StoredBatch) -> int:
        """How many rows may be done by now: all, and one more, to see the end of the input."""
        return batch.total + 1
