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


class Clock(Protocol):
    """Wall time (aware, UTC) for records, monotonic seconds for waiting.

    until: the monotonic second at which the command's time is over, as `--wait` says; None where it has no bound.
    retry_seconds: how long one call may be tried again, at most.
    """

    until: float | None
    retry_seconds: float

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class RealClock:
    """The machine's clock. `sleep` is cut short once `stop` is set."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self.until: float | None = None
        self.retry_seconds = math.inf
        self._stop = stop or threading.Event()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        self._stop.wait(seconds)


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
        self._now += timedelta(seconds=seconds)
        self._elapsed += seconds


@contextmanager
def hurried(clock: Clock, seconds: float) -> Iterator[None]:
    """For what only looks, and has no `--wait`: a remote that says "later" is not waited for longer than this."""
    before, clock.until = clock.until, clock.monotonic() + seconds
    try:
        yield
    finally:
        clock.until = before
