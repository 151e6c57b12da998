"""What apply tells whoever watches. The words and the terminal belong to the command line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from runner.errors import RemoteError
from runner.job.cost import Used
from runner.job.observed import Phase
from runner.job.recorded import Batch, Stage
from runner.remotes.transport.waits import Listener, Moving

if TYPE_CHECKING:
    from runner.job.events import Event

OVERDUE = "overdue"


class Progress(msgspec.Struct, frozen=True):
    """One job while it runs: its batches in flight, and what this command has brought home of it."""

    address: str
    phase: str
    done: int
    total: int
    since: datetime | None = None  # when the first of its batches was submitted
    seen_at: datetime | None = None  # when its remote last spoke of all of them, to this command; None: not yet
    failed: int = 0  # among `done`
    tokens: int | None = None  # in and out, as far as its remotes say; None: none of them does
    usd: float = 0.0  # by the answers that are home, and those that its remotes count
    most_usd: float | None = 0.0  # with what is still in flight, at most; None: not known of all of it
    is_of_calls: bool = False  # each row is a call of its own


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

    def happened(self, event: Event) -> None:
        """Something was recorded, and is in the log."""
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

    def happened(self, event: Event) -> None:
        pass

    def moving(self, calls: Mapping[str, Moving]) -> None:
        pass

    def retried(self, who: str, error: RemoteError, wait_seconds: float, number: int, most: int) -> None:
        pass


def progress_of(
    batches: Sequence[Batch],
    seen_at: Mapping[str, datetime],
    overdue: Collection[str] = (),
    home: Iterable[Batch] = (),
) -> list[Progress]:
    """The running jobs among batches in flight, by owner.

    seen_at: by batch key, when this command last heard of it. overdue: keys of batches whose window is over. home: what
    this command brought home; it counts with its job while that has more in flight.
    """
    jobs: dict[str, list[Batch]] = {}
    for batch in batches:
        jobs.setdefault(batch.owner, []).append(batch)
    flying = {batch.key for batch in batches}
    done: dict[str, list[Batch]] = {}
    for batch in home:
        if batch.owner in jobs and batch.key not in flying:
            done.setdefault(batch.owner, []).append(batch)
    return [_of_job(address, mine, done.get(address, ()), seen_at, overdue) for address, mine in sorted(jobs.items())]


def _of_job(
    address: str,
    flying: Sequence[Batch],
    home: Sequence[Batch],
    seen_at: Mapping[str, datetime],
    overdue: Collection[str],
) -> Progress:
    told = [*flying, *home]
    tokens = [_tokens_of(batch) for batch in told]
    costs = [_cost_of(batch) for batch in told]
    return Progress(
        address,
        OVERDUE if any(batch.key in overdue for batch in flying) else _phase_of(flying),
        sum(b.counts.completed + b.counts.failed for b in flying) + sum(b.rows for b in home),
        sum(b.rows for b in told),
        min((b.submitted_at for b in told if b.submitted_at), default=None),
        min(seen_at[b.key] for b in flying) if all(b.key in seen_at for b in flying) else None,
        sum(b.counts.failed for b in flying) + sum(b.rows - b.tally.ok for b in home),
        None if all(one is None for one in tokens) else sum(one or 0 for one in tokens),
        sum(usd for usd, _ in costs),
        None if any(most is None for _, most in costs) else sum(most or 0.0 for _, most in costs),
        flying[0].has_journal,
    )


def _tokens_of(batch: Batch) -> int | None:
    if batch.stage is Stage.COLLECTED and batch.used is not None:
        return batch.used.input_tokens + batch.used.output_tokens
    if batch.input_tokens is None and batch.output_tokens is None:
        return None
    return (batch.input_tokens or 0) + (batch.output_tokens or 0)


def _cost_of(batch: Batch) -> tuple[float, float | None]:
    """(known by now, at most in the end); None where nobody knows."""
    if batch.stage is Stage.COLLECTED:
        usd, unknown = batch.price.of(batch.used or Used())
        return usd, None if unknown else usd
    so_far = Used(1, 0, batch.input_tokens or 0, batch.output_tokens or 0)
    usd = batch.price.of(so_far)[0] if batch.price.per_million else 0.0
    return usd, None if batch.estimated_usd is None else max(batch.estimated_usd, usd)


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
