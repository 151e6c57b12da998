"""What apply tells whoever watches. The words and the terminal belong to the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.job.recorded import Batch


@dataclass(frozen=True, slots=True)
class Progress:
    """One job while it runs."""

    address: str
    phase: str
    done: int
    total: int


class Reporter(Protocol):
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


def progress_of(batches: Sequence[Batch]) -> list[Progress]:
    """The running jobs among batches in flight, by owner."""
    jobs: dict[str, list[Batch]] = {}
    for batch in batches:
        jobs.setdefault(batch.owner, []).append(batch)
    return [
        Progress(
            address,
            min((b.phase.value for b in mine), key=_ORDER.index),
            sum(b.counts.completed + b.counts.failed for b in mine),
            sum(b.rows for b in mine),
        )
        for address, mine in sorted(jobs.items())
    ]


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
