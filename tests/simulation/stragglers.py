"""Histories of batches that take too long, and of jobs that do not wait for them."""

from __future__ import annotations

import random

from runner.job.project import Stragglers, Then
from tests.simulation.author import Author
from tests.simulation.history import Applier
from tests.simulation.remote import Habits
from tests.simulation.rows import JobSpec
from tests.simulation.scenario import Scenario
from tests.simulation.world import World

LIMITS = (600, 3600, 21_600)  # seconds


class StragglerAuthor(Author):
    """Most jobs say how long they wait, and some say otherwise later."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.limits: list[tuple[float, dict[str, int]]] = []
        self._of_limits = random.Random(f"limits {world.rng.random()}")

    def begin(self) -> None:
        super().begin()
        self._note()

    def edit(self) -> None:
        if self._of_limits.random() < 0.15:
            spec = self._of_limits.choice(self.specs)
            spec.stragglers = self._limit()
            self._world.note("user", f"stragglers: {spec.address}: {spec.stragglers}")
        else:
            super().edit()
        self._note()

    def _declared(self, address: str, rows: list[tuple[str, str]]) -> JobSpec:
        spec = super()._declared(address, rows)
        spec.stragglers = self._limit()
        return spec

    def _limit(self) -> Stragglers | None:
        return Stragglers(self._of_limits.choice(LIMITS), Then.GIVE_UP) if self._of_limits.random() < 0.8 else None

    def _note(self) -> None:
        told = {spec.address: spec.stragglers.after_seconds for spec in self.specs if spec.stragglers}
        self.limits.append((self._world.seconds, told))


class StragglerScenario(Scenario):
    """A remote that gets stuck, and does not obey."""

    author_of = StragglerAuthor

    def _suit(self, habits: Habits) -> None:
        more = self.world.more
        habits.stuck = more.choice((0.2, 0.5))
        habits.stubborn = more.choice((0.0, 0.3, 0.8))
        habits.slow_cancels = more.choice((0.0, 600.0, 30_000.0))

    def _redeem(self, applier: Applier) -> None:
        """A person who asks again what was given up has the patience to wait for it."""
        for spec in self.author.specs:
            spec.stragglers = None
        super()._redeem(applier)

    def _check(self) -> None:
        assert isinstance(self.author, StragglerAuthor)
        self.history.limits = self.author.limits
        super()._check()
