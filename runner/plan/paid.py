"""What a plan pays for: the set that a person reviews (`review.py`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.job.desired import Desired
from runner.job.recorded import Stage
from runner.plan import review
from runner.plan.change import Action, Change, Reason
from runner.plan.guard import Guards
from runner.plan.plan import Plan, Recorded
from runner.plan.remaining import BatchRows
from runner.plan.review import Part, Review


def paid_by(
    project: str, desired: Sequence[Desired], plan: Plan, recorded: Recorded, guards: Guards = Guards()
) -> Review:
    """What a plan pays for. Not what waits for a person: nobody who says yes to the plan says yes to that.

    guards: that it was made with. What a person at a terminal is told of would hold a job back in a CI: it is not part
    of what is paid for here either, so that both come to the same.
    """
    rests = _rests(plan, recorded)
    parts: list[Part] = []
    for job, told, rows in zip(desired, plan.jobs, plan.rows, strict=True):
        if not told.is_held_back and not any(_would_block(change, guards) for change in told.changes):
            parts += review.parts_of(job, rows, told.submissions, recorded.retries)
        parts += _of_rests(job, rests)
    return Review(project, tuple(parts))


def _would_block(change: Change, guards: Guards) -> bool:
    """Whether a change that a person is told of holds its job back where nobody is there."""
    is_small = change.reason is Reason.REPAY and change.usd is not None and change.usd <= guards.repay_usd
    return change.action is Action.CONFIRM and not is_small


def _rests(plan: Plan, recorded: Recorded) -> list[BatchRows]:
    """Batches that were begun, with requests that are still to be sent: where they are not known, they would be new."""
    wanted = {key for rows in plan.rows for key in rows.batches}
    going = [entry for entry in recorded.batches if entry.batch.key in wanted]
    return [entry for entry in going if entry.unsent or entry.batch.stage is Stage.DEFERRED]


def _of_rests(job: Desired, rests: Sequence[BatchRows]) -> Iterator[Part]:
    return (
        review.of_rest(job, one) for one in rests if one.batch.owner == job.address and one.batch.origin == job.origin
    )
