"""Jobs that ask about the answers of others: what of them is not known yet, and how long nothing of them is sent.

Batches cost hours, not rows: a job is sent once the jobs it follows are quiet, and not row by row as answers come in.
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.job.desired import Desired
from runner.plan import guard
from runner.plan.change import Action, Change, Reason
from runner.plan.remaining import JobRows, Row

_HELD = (Row.STALLED, Row.ELSEWHERE)  # states of rows that hold a whole job back
_NAMED = 3


class Chains:
    """Which jobs are quiet: nothing of them is in flight or to be sent, and nobody has to decide about them."""

    def __init__(self, desired: Sequence[Desired], rows: Sequence[JobRows]) -> None:
        self._jobs = {job.address: (job, of_job) for job, of_job in zip(desired, rows, strict=True)}
        self._quiet: dict[str, bool] = {}
        self._pending: dict[str, int] = {}

    def is_quiet(self, address: str) -> bool:
        """Whether the answers of a job stay as they are. Not so of a job that is not here."""
        if address not in self._quiet:
            job, rows = self._jobs.get(address, (None, None))
            self._quiet[address] = (
                job is not None
                and rows is not None
                and not rows.pending
                and not any(rows.counts[row] for row in _HELD)
                and not job.in_the_way
                and not self.waits(job)
            )
        return self._quiet[address]

    def waits(self, job: Desired) -> bool:
        return not all(map(self.is_quiet, job.after))

    def pending(self, address: str) -> int:
        """How many answers of a job are still to come, about: those that nobody can count yet among them."""
        if address not in self._pending:
            job, rows = self._jobs.get(address, (None, None))
            found = 0 if rows is None else rows.pending
            self._pending[address] = found + (0 if job is None else self._ahead(job))
        return self._pending[address]

    def _ahead(self, job: Desired) -> int:
        """How many requests of a job are not known yet, about."""
        if not job.after:
            return 0
        rows = max(map(self.pending, job.after)) * job.ahead.rows_each
        return rows if job.ahead.most_rows is None else min(rows, max(job.ahead.most_rows - job.rows, 0))

    def unknown(self, job: Desired) -> Change | None:
        """What of a job is known only after others; None where all of it is."""
        awaited = [address for address in job.after if not self.is_quiet(address)]
        if not awaited:
            return None
        rows = self._ahead(job)
        told = guard.estimate_ahead(job, rows)
        more = f" and {len(awaited) - _NAMED:,} more" if len(awaited) > _NAMED else ""
        return Change(
            Action.AFTER,
            Reason.KNOWN_AFTER,
            rows=rows,
            tokens=told.tokens,
            most_tokens=told.most_tokens,
            usd=told.usd,
            least_usd=told.least_usd,
            detail=", ".join(f"`{address}`" for address in awaited[:_NAMED]) + more,
        )
