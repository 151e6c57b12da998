"""What a history is made of: time that only moves when somebody waits, one source of chance, and a log of all of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from runner.clock import left_of
from runner.job.recorded import Stop

if TYPE_CHECKING:
    from tests.simulation.remote import RemoteBatch

BEGIN = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
MOST_SLEEPS = 600  # of one apply; nothing in a history takes that many


class Crash(BaseException):
    """The process dies here. Not an Exception: nothing may catch it and go on."""


class Stuck(BaseException):
    """An apply waits and waits."""


class Words:
    """Something in the log that is put into words only when somebody reads it; it may not change until then."""

    def __init__(self, say: Callable[[], str]) -> None:
        self._say = say

    def __str__(self) -> str:
        return self._say()


class World:
    """Time, chance, the log, and whether anything may still go wrong.

    Every place where a process can be stopped, or another one can come between, asks `boundary`.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.of_needs = random.Random(f"needs {seed}")  # changes nothing of a history without them
        self.of_selections = random.Random(f"selections {seed}")  # as few
        self.more = random.Random(~seed)  # for what came to be modelled later: histories stay much as they were
        self.seconds = 0.0
        self._now = 0.0, BEGIN
        self.log: list[tuple[float, str, tuple[object, ...]]] = []
        self.recorded: dict[str, list[float]] = {}  # by remote id, when it was written on record
        self.duplicates: dict[str, float] = {}  # by remote id, when it was first written down as a duplicate
        # by remote id, when its record said that it is stopped since it takes too long, whose it was, and what then
        self.told_to_stop: dict[str, list[tuple[float, str, Stop]]] = {}
        self.intents: dict[tuple[Path, int], float] = {}  # by journal and row, when the last was written
        self.off = timedelta()  # how far our own clock is ahead of the remote's
        self.crash_rate = 0.0
        self.fault_rate = 0.0
        self.stop_rate = 0.0
        self.other_rate = 0.0
        self.is_calm = False  # nothing goes wrong any more
        self.calm_at = 0.0
        self.is_commanded = False  # what is cancelled now, a person wants cancelled
        self.other: Callable[[], None] | None = None  # a pass of another applier
        self.stop: Callable[[], None] = lambda: None
        self.sends: Callable[[RemoteBatch], None] = lambda batch: None  # told of each create that is new
        self.sleeps = 0
        self._is_nested = False

    def now(self) -> datetime:
        if self._now[0] != self.seconds:  # asked far more often than it moves
            self._now = self.seconds, self.at(self.seconds)
        return self._now[1]

    @staticmethod
    def at(seconds: float) -> datetime:
        return BEGIN + timedelta(seconds=seconds)

    def note(self, who: str, *what: object) -> None:
        """Something happened. It is put into words only when somebody reads the log."""
        self.log.append((self.seconds, who, what))

    def told(self) -> Iterator[str]:
        """The log in words."""
        for seconds, who, what in self.log:
            yield f"{seconds:10.1f}  {who:7} {' '.join(map(str, what))}"

    def happens(self, probability: float) -> bool:
        """Whether something with this probability goes wrong; never once it is calm."""
        return not self.is_calm and probability > 0 and self.rng.random() < probability

    def boundary(self, where: str) -> None:
        """A place between two effects. Raises Crash."""
        if self.is_calm:
            return
        if self._is_nested:
            return
        draw = self.rng.random()
        if draw < self.crash_rate:
            self.note("world", f"crash {where}")
            raise Crash(where)
        draw -= self.crash_rate
        if draw < self.stop_rate:
            self.note("world", f"Ctrl-C {where}")
            self.stop()
            return
        draw -= self.stop_rate
        if draw < self.other_rate and self.other is not None:
            self._is_nested = True
            try:
                self.note("world", f"another applier {where}")
                self.other()
            finally:
                self._is_nested = False


class SimulatedClock:
    """The clock of one applier: `sleep` moves the world."""

    def __init__(self, world: World) -> None:
        self.until: float | None = None
        self.retry_seconds = float("inf")
        self._world = world

    def now(self) -> datetime:
        return self._world.now() + self._world.off

    def monotonic(self) -> float:
        return self._world.seconds

    def sleep(self, seconds: float) -> None:
        world = self._world
        world.seconds += min(seconds, left_of(self))
        world.sleeps += 1
        if world.sleeps > MOST_SLEEPS:
            raise Stuck(f"{MOST_SLEEPS} sleeps")
        world.boundary("asleep")
