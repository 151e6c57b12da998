"""Many calls at once without threads: one after the other in an order that the seed gives, some inside of others.

A call that is under way while another one is made is what concurrency means to a remote. Here the second is made in
the middle of the first, so a crash finds several without an outcome, and a seed replays exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from itertools import count
from typing import Any

from tests.simulation.world import Crash, World

PENDING = "PENDING"  # as `concurrent.futures` has it
MOST_NESTED = 6


class Later(Future):  # type: ignore[type-arg]  # of whatever the task gives
    """A future whose task is done when somebody asks how far it is: `concurrent.futures.wait` reads `_state`."""

    def __init__(self, turns: Turns, task: Callable[[], Any], number: int) -> None:
        self._turns = turns
        self.task = task
        self._number = number
        super().__init__()

    def __hash__(self) -> int:
        """Sets of them are gone through in an order that the seed gives."""
        return self._number

    @property
    def _state(self) -> str:
        if self._at == PENDING:
            self._turns.somebody_waits()
        return self._at

    @_state.setter
    def _state(self, at: str) -> None:
        self._at = at

    def result(self, timeout: float | None = None) -> Any:
        while self._at == PENDING:
            self._turns.take_one()
        self._turns.not_yet_told.discard(self)
        return super().result(timeout)


class Turns(Executor):
    """Does what is submitted, one task at a time, once somebody waits for any."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pending: list[Later] = []
        self.not_yet_told: set[Later] = set()  # done, and nobody has heard
        self._numbers = count()
        self._depth = 0
        self._is_over = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **more: Any) -> Later:
        later = Later(self, lambda: fn(*args, **more), next(self._numbers))
        self._pending.append(later)
        return later

    def somebody_waits(self) -> None:
        """Do something, unless there is something to hear of already."""
        if not self._depth and not self._is_over and (not self.not_yet_told or self._world.rng.random() < 0.3):
            self.take_one()

    def meanwhile(self) -> None:
        """In the middle of one task: others get their turn."""
        while self._pending and 0 < self._depth < MOST_NESTED and self._world.rng.random() < 0.5:
            self.take_one()

    def take_one(self) -> None:
        """Do one of the tasks that wait."""
        later = self._pending.pop(self._world.rng.randrange(len(self._pending)))
        self._depth += 1
        later._at = "RUNNING"
        try:
            given = later.task()
        except Crash:
            self._is_over = True
            raise
        except Exception as error:
            later.set_exception(error)
        else:
            later.set_result(given)
        finally:
            self._depth -= 1
        self.not_yet_told.add(later)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._is_over = True
