"""What a real apply would send now, sent to stand-ins: limits, batches and outputs are seen before a cent is spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from runner.apply.errors import jobs_in
from runner.apply.outputs import Rewrite
from runner.apply.preview import foresee, foresee_files
from runner.apply.reconcile import begin, one_pass
from runner.apply.remotes import Remotes
from runner.apply.result import Result
from runner.apply.sandbox import SandboxState
from runner.apply.session import Session
from runner.job.desired import Desired
from runner.job.recorded import Batch
from runner.plan.change import JobPlan
from runner.plan.guard import Guards
from runner.results.merge import Accounting

POLL_SECONDS = 0.1


class Rehearsed(msgspec.Struct, frozen=True):
    """One job of a rehearsal: what was sent for it, and what came of it."""

    job: Desired
    plan: JobPlan  # as things stand afterwards
    batches: tuple[Batch, ...]  # first attempts: what a real apply sends again nobody knows
    written: Accounting | None  # of its results file; None where none was due

    @property
    def requests(self) -> int:
        return sum(batch.rows for batch in self.batches)

    @property
    def tokens(self) -> int:
        """Estimated input tokens."""
        return sum(round(self.job.tokens * batch.rows / max(self.job.rows, 1)) for batch in self.batches)

    @property
    def seconds(self) -> float | None:
        """Of sound, estimated; None where it is not known, or there is none."""
        lengths = self.job.seconds
        if lengths is None or any(length < 0 for length in lengths):
            return None
        return sum(sum(lengths) * batch.rows / max(self.job.rows, 1) for batch in self.batches)

    @property
    def usd(self) -> float | None:
        """Estimated; None where it cannot be known."""
        costs = [batch.estimated_usd for batch in self.batches]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    @property
    def not_rehearsed(self) -> int:
        """Requests that a real remote holds in flight: nothing is known of them here."""
        ours = sum(batch.rows for batch in self.batches if batch.is_active)
        return max(self.plan.counts.in_flight - ours, 0)

    @property
    def is_in_sync(self) -> bool:
        """A real apply would do nothing for it."""
        return not (self.batches or self.written or self.not_rehearsed or self.plan.is_blocked)


class Rehearsal(NamedTuple):
    """What came of a rehearsal."""

    result: Result
    jobs: list[Rehearsed]  # by address
    files: list[Rewrite]  # that a real apply would write or remove though nothing is sent for them
    not_asked: Mapping[str, str]  # by provider, why the remote itself was not asked what it holds


def rehearse(session: Session, guards: Guards, lost_accounts: Sequence[str], real: Remotes) -> Rehearsal:
    """Reconcile with the stand-ins until nothing more comes of it.

    lost_accounts: providers whose account nobody told us: answers of any account at their host count as theirs.
    real: the remotes themselves, read only. As before a real apply, what they hold is looked for: it is not sent.
    """
    assert session.sandbox is not None, "a rehearsal writes nothing of the project's"
    begin(session)
    _trust(session, lost_accounts)
    before = replace(session, remotes=real)
    seen = foresee(before, guards)
    files = foresee_files(before, seen, guards)
    for note in files.notes:
        session.reporter.warn(note)
    sandbox = session.sandbox = session.sandbox.leaving_alone()
    result: Result | None = None
    while True:
        result = one_pass(session, guards, lambda plan: True, result)
        if session.stop.is_set() or not _goes_on(result, sandbox):
            return Rehearsal(result, _jobs(session, result, sandbox), files.rewrites, seen.not_asked)
        session.clock.sleep(POLL_SECONDS)


def _goes_on(result: Result, sandbox: SandboxState) -> bool:
    """Whether something is to be waited for: of what the real remotes hold nothing comes here."""
    if not result.is_running:
        return False
    ours = (batch for batch, _ in result.plan.batches if batch.key not in sandbox.in_flight)
    awry = {one.batch for one in result.errors}
    is_awaited = any(batch.key not in awry for batch in ours)
    return is_awaited or not {one.address for one in result.plan.submissions} <= jobs_in(result.errors)


def _trust(session: Session, providers: Sequence[str]) -> None:
    record = session.records.project()
    assert record is not None
    accepted: Mapping[str, list[str]] = {
        name: sorted(
            {
                str(batch.origin)
                for batch in session.records.batches()
                if batch.origin.provider == name and batch.origin.host == session.remotes.origin(name).host
            }
        )
        for name in providers
    }
    if accepted:
        session.records.save(replace(record, accepted_origins={**record.accepted_origins, **accepted}))


def _jobs(session: Session, result: Result, sandbox: SandboxState) -> list[Rehearsed]:
    made = [batch for batch in session.records.batches() if sandbox.made(batch) and batch.submitted_at]
    keys = {batch.key for batch in made}
    first = [batch for batch in made if not keys.intersection(batch.parents)]
    return [
        Rehearsed(
            job,
            plan,
            tuple(batch for batch in first if batch.owner == job.address),
            result.written.get(job.address),
        )
        for job, plan in zip(session.desired, result.plan.jobs, strict=True)
    ]
