"""Histories of batches that take too long, and of jobs that do not wait for them."""

from __future__ import annotations

import random
from concurrent.futures import Executor

from runner.job.capabilities import Capabilities, Content, Transport
from runner.job.project import Stragglers, Then
from runner.remotes.transport.calls import Calls
from runner.remotes.vendor import Provider
from tests.simulation import audit
from tests.simulation.asking import SimulatedAsker, note_cut, online_card
from tests.simulation.audit import CallHistory
from tests.simulation.author import Author
from tests.simulation.calls import CallHabits, CallRemote
from tests.simulation.commands import Commands, SimulatedRemotes
from tests.simulation.history import Applier, History
from tests.simulation.provider import SimulatedProvider
from tests.simulation.remote import Habits
from tests.simulation.rows import JobSpec
from tests.simulation.scenario import Scenario
from tests.simulation.world import SimulatedClock, World

LIMITS = (600, 3600, 21_600)  # seconds
PARALLELISM = 3


class StragglerAuthor(Author):
    """Most jobs say how long they wait, and some say otherwise later."""

    thens: tuple[Then, ...] = (Then.GIVE_UP,)

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
        chance = self._of_limits
        return Stragglers(chance.choice(LIMITS), chance.choice(self.thens)) if chance.random() < 0.8 else None

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


class LateAuthor(StragglerAuthor):
    """What a batch has not answered in time is mostly asked online."""

    thens = (Then.ONLINE, Then.ONLINE, Then.GIVE_UP)


class TwoSided(SimulatedRemotes):
    """A remote with a side for batches, and one that answers at once."""

    def __init__(self, provider: SimulatedProvider, asker: SimulatedAsker, clock: SimulatedClock) -> None:
        super().__init__(provider)
        self._asker = asker
        self._calls = Calls(asker, clock)

    def card(self, name: str, content: Content = Content.TEXT, transport: Transport | None = None) -> Capabilities:
        return self._asker.card if transport is Transport.ONLINE else super().card(name, content, transport)

    def open(self, name: str, content: Content = Content.TEXT, transport: Transport = Transport.BATCH) -> Provider:
        return self._calls if transport is Transport.ONLINE else super().open(name, content, transport)

    def pool(self, parallelism: int) -> Executor:
        return self._asker.pool(parallelism)


class LateCommands(Commands):
    """The commands over jobs that are asked on both sides."""

    def _remotes(self, applier: Applier, clock: SimulatedClock) -> SimulatedRemotes:
        assert self._history.online is not None
        asker = SimulatedAsker(self._history.online, online_card(4), PARALLELISM, clock)
        return TwoSided(applier.provider, asker, clock)

    def _died(self, applier: Applier) -> None:
        super()._died(applier)
        assert isinstance(self._history, CallHistory)
        self._history.cut |= note_cut(self._history.calls, applier, self._world.seconds)


class LateScenario(StragglerScenario):
    """One applier, whose jobs have online what batches leave: another clone knows nothing of what was asked there."""

    is_of_one = True
    author_of = LateAuthor
    commands_of = LateCommands

    def _history(self, seed: int, attempts: int, kind: str, *, is_tame: bool) -> History:
        more = self.world.more
        calls = CallRemote(self.world, CallHabits(final=more.choice((0.0, 0.2)), retry=more.choice((0.0, 0.3))))
        history = CallHistory(seed, self.world, self.remote, attempts, kind, is_tame, calls=calls, may_reopen=True)
        history.online = calls
        history.policies.append((0.0, "resubmit"))
        return history

    def _lose_state(self, applier: Applier, *, keeps_outputs: bool) -> None:
        assert isinstance(self.history, CallHistory)
        self.history.counted += audit.counted_in(applier)
        super()._lose_state(applier, keeps_outputs=keeps_outputs)

    def _check(self) -> None:
        super()._check()
        assert isinstance(self.history, CallHistory)
        audit.check_duplicates(self.history)

    def _made(self) -> int:
        assert isinstance(self.history, CallHistory)
        return super()._made() + len(self.history.calls.sent)
