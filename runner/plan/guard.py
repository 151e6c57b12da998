"""Money: what a submission is estimated to cost, and the guards that stop it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from runner.hosts import is_loopback
from runner.job.address import matches
from runner.job.capabilities import Search, Shown, Transport
from runner.job.desired import Desired
from runner.plan import adoption
from runner.plan.change import Action, Change, Reason, usd_of
from runner.plan.places import Reviewed

_FEW_INVALID, _SHARE_INVALID = 30, 0.3  # answers that are none, of which nobody says what they cost
REPAY_USD = 5.0  # where the project says nothing: asking again for more than this wants a yes
ALL = "*"


class Amount(NamedTuple):
    """What some requests come to. None: not known."""

    requests: int = 0
    tokens: int | None = 0  # in and out, at most
    usd: float | None = 0.0

    def plus(self, other: Amount) -> Amount:
        tokens = None if self.tokens is None or other.tokens is None else self.tokens + other.tokens
        usd = None if self.usd is None or other.usd is None else self.usd + other.usd
        return Amount(self.requests + other.requests, tokens, usd)


class Guards(msgspec.Struct, frozen=True):
    """What the user allowed for this plan. None: no limit."""

    max_usd: float | None = None
    project_budget_usd: float | None = None
    confirm_repay: tuple[str, ...] = ()  # jobs that may ask again for what was paid for; ALL means every one
    first_run: bool = False  # asking where nobody could say what was asked before
    max_requests: int | None = None
    max_tokens: int | None = None
    repay_usd: float = REPAY_USD
    is_asked: bool = False  # a person answers before anything is paid for: what wants a yes is told, and does not block
    sent: Amount = Amount()  # by this command in the passes before
    locked: tuple[str, ...] | None = None  # jobs whose requests are those of the lock file; no others are sent
    reviewed: Reviewed | None = None  # requests that a person saw in a plan, by where they go; no others are sent
    sample: int | None = None  # rows of each job that are sent before any other


class CostEstimate(msgspec.Struct, frozen=True):
    """What some requests of a job amount to. None: not known."""

    tokens: int  # of input, without those of `untold`
    most_tokens: int | None  # of input and output together
    seconds: float | None  # of sound
    usd: float | None
    untold: int = 0  # files of which nobody knows how many tokens they are


def estimate(job: Desired, *parts: Sequence[int]) -> CostEstimate:
    """Of the rows at these ordinals together."""
    rows = sum(len(part) for part in parts)
    tokens = round(job.tokens * rows / job.rows) if job.rows else 0
    seconds = None
    if job.seconds is not None:
        lengths = [job.seconds[ordinal] for part in parts for ordinal in part]
        seconds = None if any(length < 0 for length in lengths) else sum(lengths)
    answers = 0 if job.seconds is not None else job.max_output_tokens  # sound is not counted in tokens
    untold = math.ceil(job.untold * rows / job.rows) if job.rows else 0
    most = None if answers is None or untold else tokens + rows * answers
    return CostEstimate(tokens, most, seconds, _cost_of(job, rows, tokens, seconds), untold)


class Range(msgspec.Struct, frozen=True):
    """What requests amount to that are not known yet. None: not known."""

    tokens: int  # of input, at least
    most_tokens: int | None  # of input and output together
    least_usd: float | None
    usd: float | None


def estimate_ahead(job: Desired, rows: int) -> Range:
    """Of so many requests about answers that are not there yet."""
    tokens, longest = round(job.ahead.tokens * rows), job.ahead.most_tokens
    most = None if longest is None else round(longest * rows)
    answers = job.max_output_tokens
    both = None if most is None or answers is None else most + rows * answers
    least = _cost_of(job, rows, tokens, None)
    usd = least if most is None and least == 0.0 else None if most is None else _cost_of(job, rows, most, None)
    return Range(tokens, both, least, usd)


def amount_of(job: Desired, ordinals: Sequence[int]) -> Amount:
    """What limits of one command count of the rows at these ordinals."""
    told = estimate(job, ordinals)
    return Amount(len(ordinals), told.most_tokens, told.usd)


def _cost_of(job: Desired, rows: int, tokens: int, seconds: float | None) -> float | None:
    if job.card.is_free or job.usd_per_minute == 0 or (job.usd_per_million and not any(job.usd_per_million)):
        return 0.0
    if job.seconds is not None:
        if job.usd_per_minute is None or seconds is None:
            return None
        return seconds / 60 * job.usd_per_minute * job.card.price_factor
    if job.usd_per_million is None or job.max_output_tokens is None or job.untold:
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
            "give the model `price` and `max_tokens`, or `price: {per_minute: ...}` for recordings; "
            "a price of 0 is accepted only for a server of your own"
        )
    elif spent + cost > limit + 1e-9:
        detail = f"{what} is {usd_of(limit)}; spent {usd_of(spent)}, this plan is estimated at {usd_of(cost)}"
    else:
        return None
    return Change(Action.BLOCK, Reason.OVER_BUDGET, detail=detail)


def not_locked(job: Desired, rows: int, guards: Guards) -> Change | None:
    """A blocking change where only what was locked may be sent, and a job asks for something else."""
    if guards.locked is None or job.address in guards.locked:
        return None
    return Change(Action.BLOCK, Reason.NOT_LOCKED, rows=rows, unblock=("runner lock",))


def over_count(sent: int, more: int | None, limit: int | None, what: str, noun: str) -> Change | None:
    """A blocking change when `sent` + `more` exceeds `limit`, or cannot be known under one."""
    if limit is None or (more is not None and sent + more <= limit):
        return None
    if more is None:
        detail = f"{what} is {limit:,}, and how many the answers may hold is not known: give the model `max_tokens`"
    else:
        before = f"{sent:,} sent already, " if sent else ""
        detail = f"{what} is {limit:,}; {before}this plan is estimated at {more:,} {noun}"
    return Change(Action.BLOCK, Reason.OVER_BUDGET, detail=detail)


def repaying(job: Desired, answered: int, in_flight: int, usd: float | None, guards: Guards) -> Change | None:
    """What wants a yes: so many requests that were paid for would be asked and paid for once more, at `usd`.

    in_flight: of those, besides the answered ones, that a remote works at; they are paid for unless they are stopped.

    A person who is asked anyway is told. Where nobody is there it blocks above the project's threshold; a cost that is
    not known counts as above it, unless a server of this machine answers.
    """
    again = answered + in_flight
    if not again or job.card.is_free or usd == 0.0 or allows_repay(guards, job.address):
        return None
    if usd is None and is_loopback(job.origin.host):
        return None
    if guards.is_asked:
        return Change(Action.CONFIRM, Reason.REPAY, rows=again, usd=usd, replaces=answered)
    if usd is not None and usd <= guards.repay_usd:
        return None
    limit = usd_of(guards.repay_usd)
    why = f"; `repay_usd` is {limit}" if usd is not None else f", which counts as above `repay_usd` ({limit}): "
    return Change(
        Action.BLOCK,
        Reason.REPAY,
        rows=again,
        usd=usd,
        replaces=answered,
        detail=why + (_what_would_tell(job) if usd is None else ""),
        unblock=(f"runner apply --confirm-repay {job.address}",),
    )


def is_more_than_agreed(invalid: int, good: int, usd: float | None) -> bool:
    """Whether answers that are none, which a job says are asked for again, are to be counted as paid for once more.

    A job that says so agrees to a few. Where nobody knows what they cost, few is a share: a schema that hardly any
    answer fits would have everything asked `max_attempts` times.
    """
    if usd is not None:
        return True  # and the threshold in dollars decides
    return invalid > _FEW_INVALID and invalid > _SHARE_INVALID * (invalid + good)


def _what_would_tell(job: Desired) -> str:
    """What a spec lacks for its cost to be known."""
    if job.seconds is not None:
        return "give the model `price: {per_minute: ...}`, or `price: 0` for a server of your own"
    if job.usd_per_million is None:
        return "give the model a `price` and `max_tokens`, or `price: 0` for a server of your own"
    return "give the model `max_tokens`"


def allows_repay(guards: Guards, address: str) -> bool:
    """Whether a person said beforehand that this job may pay again."""
    return any(pattern == ALL or matches(address, pattern) for pattern in guards.confirm_repay)


def first_run(job: Desired, rows: int, shown: Shown, guards: Guards, *, is_first: bool) -> Change | None:
    """A blocking change for paid requests that may have been sent before, where neither memory nor remote can say.

    shown: what the remote was seen to show of its batches. is_first: nothing sent there is remembered. Where something
    is, a memory may still be older than what was sent since: that is in doubt where the remote lists such batches.
    """
    why = _why_in_doubt(job, shown, is_first=is_first)
    if job.card.is_free or not why or guards.first_run or is_own(job):
        return None
    return Change(
        Action.CONFIRM if guards.is_asked else Action.BLOCK,
        Reason.FIRST_RUN,
        rows=rows,
        detail=f"`{job.provider}` {why}",
        unblock=() if guards.is_asked else ("runner apply --first-run",),
    )


def is_own(job: Desired) -> bool:
    """Whether it is asked a call a request of a server of one's own: nothing is paid there, be it asked twice."""
    return job.card.transport is Transport.ONLINE and (job.price.is_nothing or is_loopback(job.origin.host))


def _why_in_doubt(job: Desired, shown: Shown, *, is_first: bool) -> str:
    """Why it may have been sent before, and what to do about it; empty where that is known."""
    bring = "if this was paid for elsewhere, bring those files here first"
    unknown = f", and neither `.runner/` nor the outputs know; {bring}"
    if is_first and shown.lists is False:
        return "refuses to list its batches (`list: {style: absent}` among its overrides says so for good)" + unknown
    if is_first and adoption.search_of(job.card.search, shown) is Search.NONE:
        return "cannot be asked what was sent before" + unknown
    if not shown.nameless:
        return ""
    is_one = shown.nameless == 1
    lists = "lists a batch that shows" if is_one else f"lists {shown.nameless:,} batches that show"
    them = ("its input file, so that it may be yours", "it is") if is_one else (
        "their input files, so that they may be yours", "they are")  # fmt: skip
    lists += f" neither a label nor the name of {them[0]}"
    if is_first:
        return f"{lists}{unknown}"
    return (
        f"{lists}, and `.runner/` is older: it may come from a backup, or another clone has sent something; {bring}, "
        f"and if {them[1]} somebody else's, say so"
    )
