"""Remotes that keep us waiting: which of them say nothing now, and which have to be asked again, told to a listener;
and how many bytes have gone out and come in.

A call that waits for a reply cannot look at the clock itself, so a thread of its own does, while calls are under way.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import msgspec

from runner.clock import Clock
from runner.errors import RemoteError

MOMENT_SECONDS = 2.0  # of silence, before anybody is told
TELL_SECONDS = 1.0  # between two words about how many bytes are on their way
LARGE_BYTES = 1_000_000  # in one call: below, nobody is told of it
_LOOK_SECONDS = 0.1
_PAUSE = threading.Event()  # never set: a look at the clock must not be cut short, nor move a clock of a test


class Moving(msgspec.Struct, frozen=True):
    """Bytes of the large calls to one provider that are under way."""

    sent: int
    received: int


class Listener(Protocol):
    """Who is told. From any thread, one thing at a time."""

    def moving(self, calls: Mapping[str, Moving]) -> None:
        """The providers that much is sent to or received from now, about once a second; empty once all is over."""
        ...

    def silent(self, since: Mapping[str, float]) -> None:
        """The providers that say nothing now, each with the monotonic second it fell silent at; empty once all do."""
        ...

    def retried(self, who: str, error: RemoteError, wait_seconds: float, number: int, most: int) -> None:
        """A try failed, and http try `number` of at most `most` follows after a while."""
        ...


class Call:
    """One try of a call. `since`: when something last went out, or came in where that counts."""

    def __init__(self, who: str, clock: Clock) -> None:
        self.who = who
        self.since = clock.monotonic()
        self.is_told = False
        self.sent = self.received = 0  # bytes on the wire
        self._clock = clock

    def moved(self) -> None:
        self.since = self._clock.monotonic()

    @property
    def is_large(self) -> bool:
        return self.sent + self.received >= LARGE_BYTES


class Waits:
    """The calls under way, of any thread and to any remote. Without a listener it only counts them."""

    def __init__(self, clock: Clock, listener: Listener | None = None, moment_seconds: float = MOMENT_SECONDS) -> None:
        self._clock = clock
        self._listener = listener
        self._moment = moment_seconds
        self._calls: set[Call] = set()
        self._told: Mapping[str, float] = {}
        self._moving: Mapping[str, Moving] = {}
        self._moving_at = -math.inf
        self._lock = threading.RLock()
        self._watch: threading.Thread | None = None  # while calls are under way

    @contextmanager
    def call(self, who: str) -> Iterator[Call]:
        """A try is made. Once it is over nobody is told any more that it lasts: a question may come next."""
        call = Call(who, self._clock)
        if self._listener is None:
            yield call
            return
        with self._lock:
            self._calls.add(call)
            if self._watch is None:
                self._watch = threading.Thread(target=self._look, name="waits", daemon=True)
                self._watch.start()
        try:
            yield call
        finally:
            with self._lock:
                self._calls.discard(call)
                if call.is_told:
                    self._tell()
                if self._moving and not any(one.is_large for one in self._calls):
                    self._moving = {}
                    self._listener.moving({})

    def retried(self, who: str, error: RemoteError, wait_seconds: float, number: int, most: int) -> None:
        if self._listener is not None:
            self._listener.retried(who, error, wait_seconds, number, most)

    def _look(self) -> None:
        while True:
            _PAUSE.wait(_LOOK_SECONDS)
            with self._lock:
                self._tell()
                self._tell_moving()
                if not self._calls:
                    self._watch = None
                    return

    def _tell_moving(self) -> None:
        now = self._clock.monotonic()
        large = [call for call in self._calls if call.is_large]
        if not large or now - self._moving_at < TELL_SECONDS or self._listener is None:
            return
        moving: dict[str, Moving] = {}
        for call in large:
            before = moving.get(call.who, Moving(0, 0))
            moving[call.who] = Moving(before.sent + call.sent, before.received + call.received)
        self._moving, self._moving_at = moving, now
        self._listener.moving(moving)

    def _tell(self) -> None:
        """What changed since it was told last."""
        until = self._clock.monotonic() - self._moment
        silent: dict[str, float] = {}
        for call in self._calls:
            if call.since <= until:
                call.is_told = True
                silent[call.who] = min(call.since, silent.get(call.who, call.since))
        if silent != self._told and self._listener is not None:
            self._told = silent
            self._listener.silent(silent)
