"""Money: what a submission is estimated to cost, and the guards that stop it."""

from __future__ import annotations

from dataclasses import dataclass

from runner.job.desired import Desired
from runner.plan.change import Action, Change, Reason

REPAY_SHARE = 0.30
REPAY_FLOOR = 100


@dataclass(frozen=True, slots=True)
class Guards:
    """What the user allowed for this plan. None: no limit."""

    max_usd: float | None = None
    project_budget_usd: float | None = None
    confirm_repay: bool = False


def cost_of(job: Desired, rows: int, tokens: int) -> float | None:
    """Estimated USD for `rows` requests with `tokens` input tokens together; None where it cannot be known."""
    if job.card.is_free:
        return 0.0
    if job.usd_per_million is None or job.max_output_tokens is None:
        return None
    price_in, price_out = job.usd_per_million
    return (tokens * price_in + rows * job.max_output_tokens * price_out) / 1e6 * job.card.price_factor


def over_budget(spent: float, cost: float | None, limit: float | None, what: str) -> Change | None:
    """A blocking change when `spent` + `cost` exceeds `limit`, or cannot be known under one."""
    if limit is None:
        return None
    if cost is None:
        detail = (
            f"{what} is ${limit:.2f}, and the cost of this plan is not known: give the model `price` and `max_tokens`"
        )
    elif spent + cost > limit + 1e-9:
        detail = f"{what} is ${limit:.2f}; spent ${spent:.2f}, this plan is estimated at ${cost:.2f}"
    else:
        return None
    return Change(Action.BLOCK, Reason.OVER_BUDGET, detail=detail)


def repaying(job: Desired, answered: int, again: int, guards: Guards) -> Change | None:
    """A blocking change when more than 30 % of at least 100 answered requests would be asked again."""
    if job.card.is_free or guards.confirm_repay or answered < REPAY_FLOOR or again <= REPAY_SHARE * answered:
        return None
    return Change(
        Action.BLOCK,
        Reason.REPAY,
        rows=again,
        detail=f"{again:,} of {answered:,} answered requests would be asked again",
        unblock=("runner apply --confirm-repay",),
    )
