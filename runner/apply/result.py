"""What an apply came to, pass after pass."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from runner.apply.errors import StepError
from runner.apply.purse import Purse, Rest
from runner.errors import BlockedError
from runner.job.scored import Gate, Scores, Verdict
from runner.plan.plan import Plan
from runner.results.merge import Accounting

Refusal = Callable[[Rest], BlockedError | None]


class Awaited(msgspec.Struct, frozen=True):
    """A judge's job that is not settled."""

    address: str
    requests: int = 0  # still to be sent; 0 where all are in flight, or nothing is known
    usd: float | None = None  # at most; None: not known


class Scoring(msgspec.Struct):
    """What an apply scored, over all its passes."""

    current: dict[str, Scores] = msgspec.field(default_factory=dict)  # of settled jobs, by address
    made: set[str] = msgspec.field(default_factory=set)  # addresses of those that this apply scored
    removed: dict[str, str] = msgspec.field(
        default_factory=dict
    )  # files of scores that nothing is checked of, by address
    gates: dict[str, tuple[Gate, ...]] = msgspec.field(default_factory=dict)  # of every job that has to reach something
    waits: dict[str, dict[str, Awaited]] = msgspec.field(
        default_factory=dict
    )  # of settled jobs, by check that has a judge
    errors: dict[str, StepError] = msgspec.field(default_factory=dict)  # of jobs whose scores could not be made
    failed_of: dict[str, str] = msgspec.field(default_factory=dict)  # what those were made of: they are not tried again

    def tells_of(self, address: str) -> bool:
        """Whether there is anything to say of a job's checks."""
        return any(address in known for known in (self.current, self.gates, self.removed))

    def is_news(self, address: str) -> bool:
        """Whether a user has to see the scores of a job though nothing was sent for it."""
        held = self.gates.get(address, ())
        is_open = any(gate.verdict in (Verdict.UNMET, Verdict.UNDECIDED) for gate in held)
        return is_open or address in self.made or address in self.removed

    def holds(self, *verdicts: Verdict) -> bool:
        """Whether any gate came out so."""
        return any(gate.verdict in verdicts for of_job in self.gates.values() for gate in of_job)


class Result(msgspec.Struct):
    """Where an apply left things."""

    plan: Plan
    written: dict[str, Accounting] = msgspec.field(default_factory=dict)
    submitted: int = 0  # requests sent by this apply
    collected: int = 0  # batches
    is_running: bool = False
    is_out_of_time: bool = False  # it ended since `--wait` did
    awaited: frozenset[str] = frozenset()  # addresses of jobs that had requests in flight in an earlier pass
    purse: Purse = msgspec.field(default_factory=Purse)
    errors: list[StepError] = msgspec.field(default_factory=list)  # of the last pass
    stopped: dict[str, StepError] = msgspec.field(default_factory=dict)  # by job, why this apply sends no more of it
    unwritten: list[StepError] = msgspec.field(default_factory=list)  # results files
    scoring: Scoring = msgspec.field(default_factory=Scoring)

    @property
    def has_acted(self) -> bool:
        """Whether it sent, brought or wrote anything."""
        return bool(self.submitted or self.collected or self.written or self.scoring.made or self.scoring.removed)
