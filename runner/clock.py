"""Time as an argument: the real clock, and one that a test moves by hand."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

# Seconds that a command which only looks spends on one round of polls, or on one search; that one which makes a single
# pass spends on trying a call again.
LONGEST_LOOK = 60.0
# Seconds beyond the command's time, for the answer to what was sent and could not be looked up later.
RECEIPT_SECONDS = 30.0


class Clock(Protocol):
    """Wall time (aware, UTC) for records, monotonic seconds for waiting.

    until: the monotonic second at which the command's time is over, as `--wait` says; None where it has no bound. No
    sleep lasts longer.
    retry_seconds: how long one call may be tried again, at most.
    """

    until: float | None
    retry_seconds: float

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class RealClock:
    """The machine's clock. `sleep` is cut short once `stop` is set, and when the command's time is over."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self.until: float | None = None
        self.retry_seconds = math.inf
        self._stop = stop or threading.Event()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        self._stop.wait(min(seconds, left_of(self)))


class FastClock:
    """Starts at a fixed instant; `sleep` moves it instead of waiting."""

    def __init__(self, start: datetime = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)) -> None:
        self.until: float | None = None
        self.retry_seconds = math.inf
        self._now = start
        self._elapsed = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        seconds = min(seconds, left_of(self))
        self._now += timedelta(seconds=seconds)
        self._elapsed += seconds


def left_of(clock: Clock) -> float:
    """Seconds until the command's time is over, 0 once it is."""
    return math.inf if clock.until is None else max(clock.until - clock.monotonic(), 0.0)


def is_over(clock: Clock) -> bool:
    """Whether the command's time is over."""
    return left_of(clock) <= 0


def slept(clock: Clock, seconds: float) -> bool:
    """Sleep; False when it was cut short, by Ctrl-C or by the end of the command's time."""
    before = clock.monotonic()
    clock.sleep(seconds)
    return clock.monotonic() - before >= seconds * 0.99  # a timer may fire a little early


@contextmanager
def extended(clock: Clock, seconds: float) -> Iterator[None]:
    """So much more time, for a call whose outcome could not be looked up later."""
    before = clock.until
    if before is not None:
        clock.until = before + seconds
    try:
        yield
    finally:
        clock.until = before


@contextmanager
def hurried(clock: Clock, seconds: float) -> Iterator[None]:
    """For what only looks, and has no `--wait`: a remote that says "later" is not waited for longer than this."""
    before, clock.until = clock.until, clock.monotonic() + seconds
    try:
        yield
    finally:
        clock.until = before
