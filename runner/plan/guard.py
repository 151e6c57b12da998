"""Money: what a submission is estimated to cost, and the guards that stop it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from runner.job.capabilities import Search, Shown
from runner.job.desired import Desired
from runner.plan import adoption
from runner.plan.change import Action, Change, Reason

REPAY_SHARE = 0.30
REPAY_FLOOR = 100


class Guards(msgspec.Struct, frozen=True):
    """What the user allowed for this plan. None: no limit."""

    max_usd: float | None = None
    project_budget_usd: float | None = None
    confirm_repay: bool = False
    first_run: bool = False  # asking where nobody could say what was asked before


class Estimate(NamedTuple):
    """What some requests of a job amount to. None: not known."""

    tokens: int  # of input
    seconds: float | None  # of sound
    usd: float | None


def estimate(job: Desired, *parts: Sequence[int]) -> Estimate:
    """Of the rows at these ordinals together."""
    rows = sum(len(part) for part in parts)
    tokens = round(job.tokens * rows / job.rows) if job.rows else 0
    seconds = None
    if job.seconds is not None:
        lengths = [job.seconds[ordinal] for part in parts for ordinal in part]
        seconds = None if any(length < 0 for length in lengths) else sum(lengths)
    return Estimate(tokens, seconds, _cost_of(job, rows, tokens, seconds))


def _cost_of(job: Desired, rows: int, tokens: int, seconds: float | None) -> float | None:
    if job.card.is_free:
        return 0.0
    if job.seconds is not None:
        if job.usd_per_minute is None or seconds is None:
            return None
        return seconds / 60 * job.usd_per_minute * job.card.price_factor
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
            f"{what} is {usd_of(limit)}, and the cost of this plan is not known: "
            "give the model `price` and `max_tokens`, or `price: {per_minute: ...}` for recordings"
        )
    elif spent + cost > limit + 1e-9:
        detail = f"{what} is {usd_of(limit)}; spent {usd_of(spent)}, this plan is estimated at {usd_of(cost)}"
    else:
        return None
    return Change(Action.BLOCK, Reason.OVER_BUDGET, detail=detail)


def usd_of(amount: float) -> str:
    """`$1.25`, and `$0.0012` where two digits would say nothing."""
    return f"${amount:.2f}" if amount == 0 or amount >= 0.1 else f"${amount:.6f}".rstrip("0")


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


def first_run(job: Desired, rows: int, shown: Shown, guards: Guards) -> Change | None:
    """A blocking change for the first paid requests where nobody knows of earlier ones, and the remote does not say.

    shown: what the remote was seen to show of its batches.
    """
    why = _why_unsearchable(job, shown)
    if job.card.is_free or not why or guards.first_run:
        return None
    return Change(
        Action.BLOCK,
        Reason.FIRST_RUN,
        rows=rows,
        detail=(
            f"`{job.provider}` {why}, and neither `.runner/` nor the outputs know; "
            "if this was paid for elsewhere, bring those files here first"
        ),
        unblock=("runner apply --first-run",),
    )


def _why_unsearchable(job: Desired, shown: Shown) -> str:
    """Why what was sent before may not be found at the remote; empty where it is."""
    if shown.lists is False:
        return "refuses to list its batches (`list: {style: absent}` among its overrides says so for good)"
    if adoption.search_of(job.card.search, shown) is Search.NONE:
        return "cannot be asked what was sent before"
    if shown.nameless:
        lists = "lists a batch that shows" if shown.nameless == 1 else f"lists {shown.nameless:,} batches that show"
        return f"{lists} neither a label nor the name of its input file, so that it may be yours"
    return ""
