"""When to send again, and after how long. Policy only: the calls themselves are in `http` and `downloads`.

Rules as the OpenAI SDK 3.54.0 has them (`_base_client.py`, read 2026-11-21): `retry-after-ms` wins over `retry-after`,
`x-should-retry` overrides the status, backoff 0.5 s doubling to 8 s less up to a quarter, above 120 s do not wait.
Unlike it, a create is never repeated on doubt.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import msgspec

from runner.clock import Clock, left_of, slept
from runner.errors import NotSent, OutcomeUnknown, RateLimited, RemoteError

LONGEST_ADVICE = 86_400.0  # a remote that says "in a year" is read as "in a day"

T = TypeVar("T")
Retried = Callable[[RemoteError, float, int, int], None]  # why, seconds until the next try, its number, of how many


class FailedTry(Exception):
    """One failed attempt: the error it would surface as, and the remote's advice about sending again.

    most_tries: of the call, where that is fewer than its policy allows.
    """

    def __init__(
        self,
        error: RemoteError,
        *,
        retry_after: float | None = None,
        should_retry: bool | None = None,
        most_tries: int | None = None,
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry_after = retry_after
        self.should_retry = should_retry
        self.most_tries = most_tries


class RetryPolicy(msgspec.Struct, frozen=True):
    """How long one call may take, waits included. Seconds."""

    tries: int = 5
    total_seconds: float = 300.0
    longest_wait: float = 120.0
    first_wait: float = 0.5
    backoff_cap: float = 8.0

    def backoff(self, attempt: int, rng: random.Random) -> float:
        """Wait after failed attempt number `attempt`, counted from 0: doubling, capped, less up to 25 %."""
        return min(self.first_wait * 2.0**attempt, self.backoff_cap) * (1 - 0.25 * rng.random())

    def wait_after(self, failed: FailedTry, attempt: int, rng: random.Random) -> float | None:
        """Seconds to wait, None when the remote asks for more than `longest_wait`.

        Never shorter than the remote's advice; up to a tenth longer, so that workers do not return in step.
        """
        if failed.retry_after is None:
            return self.backoff(attempt, rng)
        if failed.retry_after > self.longest_wait:
            return None
        return failed.retry_after * (1 + 0.1 * rng.random())


def is_safe_to_repeat(failed: FailedTry) -> bool:
    """For calls that change nothing, or whose repetition changes nothing more."""
    if failed.should_retry is not None:
        return failed.should_retry
    return isinstance(failed.error, NotSent | OutcomeUnknown | RateLimited)


def created_nothing(failed: FailedTry) -> bool:
    """For creates and uploads: only what provably had no effect, and where another try may end otherwise."""
    # A remote's `x-should-retry: true` is no leave to create anew: it speaks of its server's trouble, and not of
    # whether a batch was made. Only its `false` counts.
    return isinstance(failed.error, NotSent | RateLimited) and failed.should_retry is not False


def persist(
    attempt: Callable[[], T],
    *,
    may_repeat: Callable[[FailedTry], bool],
    retry_policy: RetryPolicy,
    clock: Clock,
    rng: random.Random,
    told: Retried = lambda error, wait_seconds, number, most: None,
) -> T:
    """The result of `attempt`, tried again where `may_repeat` allows, retry_policy lasts and the command has time.

    told: of every try that failed and is followed by another. Raises the RemoteError of the last attempt. A sleep cut
    short (Ctrl-C) ends it too.
    """
    # Tries and time both end it, and of times the shortest: what one call may take, what a command that only looks
    # allows (`retry_seconds`), what is left of `--wait`. A wait that goes beyond is not begun, since the try after it
    # would not be made: the error is told now and not in two minutes. It is that of the last try, which a user can see
    # for himself.
    started = clock.monotonic()
    tried = 0
    while True:
        try:
            return attempt()
        except FailedTry as failed:
            wait = retry_policy.wait_after(failed, tried, rng) if may_repeat(failed) else None
            most = min(retry_policy.tries, failed.most_tries or retry_policy.tries)
            tried += 1
            longest = min(retry_policy.total_seconds, clock.retry_seconds)
            left = min(started + longest - clock.monotonic(), left_of(clock))
            if wait is None or tried >= most or wait > left:
                raise failed.error from failed.error.__cause__
            told(failed.error, wait, tried + 1, most)
            if not slept(clock, wait):
                raise failed.error from failed.error.__cause__


def retry_after_of(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds the remote asks us to wait; None when it does not say, or says something past or senseless.

    A date is measured against the remote's own `Date`, so that a wrong local clock does not matter.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _sensible(milliseconds / 1000)
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None:
        return _sensible(seconds)
    when = date_in(text)
    if when is None:
        return None
    return _sensible((when - (date_in(headers.get("date")) or now)).total_seconds())


def should_retry_of(headers: Mapping[str, str]) -> bool | None:
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _sensible(seconds: float) -> float | None:
    if not math.isfinite(seconds):
        return LONGEST_ADVICE if seconds > 0 else None
    return min(seconds, LONGEST_ADVICE) if seconds > 0 else None


def date_in(text: str | None) -> datetime | None:
    """The time of a `Date` header, aware; None for what is none."""
    try:
        when = parsedate_to_datetime(text) if text else None
    except (ValueError, OverflowError, IndexError):
        return None
    if when is not None and when.tzinfo is None:
        return when.replace(tzinfo=UTC)
    return when
