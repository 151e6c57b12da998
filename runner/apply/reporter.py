"""What apply tells whoever watches. The words and the terminal belong to the command line."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runner.errors import RemoteError
from runner.job.observed import Phase
from runner.job.recorded import Batch
from runner.remotes.transport.waits import Listener

OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class Progress:
    """One job while it runs."""

    address: str
    phase: str
    done: int
    total: int
    since: datetime | None = None  # when the first of its batches was submitted
    seen_at: datetime | None = None  # when its remote last spoke of all of them, to this command; None: not yet


class Reporter(Listener, Protocol):
    def step(self, text: str) -> None:
        """Something was done: one short line."""
        ...

    def warn(self, text: str) -> None:
        """Something a user should know, and may have to act on."""
        ...

    def progress(self, jobs: Sequence[Progress]) -> None:
        """Where the running jobs are now."""
        ...


class Silent:
    """Tells nobody."""

    def step(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def progress(self, jobs: Sequence[Progress]) -> None:
        pass

    def silent(self, since: Mapping[str, float]) -> None:
        pass

    def retried(self, who: str, error: RemoteError, wait_seconds: float, number: int, most: int) -> None:
        pass


def progress_of(
    batches: Sequence[Batch], seen_at: Mapping[str, datetime], overdue: Collection[str] = ()
) -> list[Progress]:
    """The running jobs among batches in flight, by owner.

    seen_at: by batch key, when this command last heard of it. overdue: keys of batches whose window is over.
    """
    jobs: dict[str, list[Batch]] = {}
    for batch in batches:
        jobs.setdefault(batch.owner, []).append(batch)
    return [
        Progress(
            address,
            OVERDUE if any(batch.key in overdue for batch in mine) else _phase_of(mine),
            sum(b.counts.completed + b.counts.failed for b in mine),
            sum(b.rows for b in mine),
            min((b.submitted_at for b in mine if b.submitted_at), default=None),
            min(seen_at[b.key] for b in mine) if all(b.key in seen_at for b in mine) else None,
        )
        for address, mine in sorted(jobs.items())
    ]


def _phase_of(batches: Sequence[Batch]) -> str:
    """How the job stands that is least far; in words of ours where all have one."""
    if all(batch.own_status for batch in batches):
        return min(batch.own_status for batch in batches)  # `sending` before `waiting for answers`
    least = min(batches, key=lambda batch: _ORDER.index(batch.phase.value))
    # A word of the remote's own that nobody told us says more than that we do not know it
    return least.raw_status if least.phase is Phase.UNKNOWN and least.raw_status else least.phase.value


_ORDER = [
    "unknown",
    "validating",
    "running",
    "finalizing",
    "cancelling",
    "completed",
    "expired",
    "cancelled",
    "failed",
]
