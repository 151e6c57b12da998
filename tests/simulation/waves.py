"""One history of recordings from one seed: calls that may be taken or not, decisions of a person, appliers that die."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from runner.apply import resolve
from runner.apply.desire import AnyCompiled
from runner.apply.result import Result
from runner.apply.session import Session
from runner.errors import DataError, RunnerError
from runner.job.calls import JOURNAL, CallStep
from runner.job.capabilities import Capabilities, Content, Transport
from runner.job.project import Project, ProviderBlock
from runner.plan.guard import Guards
from runner.remotes.registry import card_of
from runner.remotes.transport.calls import Calls
from runner.remotes.vendor import Provider as Client
from runner.state.journal import read_states
from tests.simulation import audit
from tests.simulation.audit import CallHistory
from tests.simulation.author import Author
from tests.simulation.calls import CallHabits, CallRemote
from tests.simulation.commands import CALM_POLL, Commands, SimulatedRemotes, Telling
from tests.simulation.history import Applier, Line
from tests.simulation.listener import ACCOUNT, SimulatedListener
from tests.simulation.memory import SimulatedMemory, SimulatedRecords
from tests.simulation.recordings import RecordingsSpec, SimulatedAudio, SimulatedJournal, project_of
from tests.simulation.remote import NEVER
from tests.simulation.rows import PROVIDER, JobSpec, Row
from tests.simulation.scenario import Scenario
from tests.simulation.world import Crash, SimulatedClock, World

MOST_PASSES = 80  # of an apply that is run every ten minutes, after the last fault
BETWEEN_PASSES = 600.0


class RecordingsAuthor(Author):
    """Who declares jobs of recordings."""

    on_unknown = "hold"

    def _declared(self, address: str, rows: list[Row]) -> JobSpec:
        return RecordingsSpec(address, rows, self._output(), on_unknown=self.on_unknown)

    def _output(self) -> str:
        return f"results/{self._jobs}/" if self._rng.random() < 0.3 else f"results/{self._jobs}.jsonl"

    def edit(self) -> None:
        """Change something. A recording is the same for every job that means it."""
        before = {row for spec in self.specs for row in spec.rows}
        super().edit()
        changed = dict({row for spec in self.specs for row in spec.rows} - before)
        for spec in self.specs:
            spec.rows = [(name, changed.get(name, text)) for name, text in spec.rows]

    def change_policy(self) -> str:
        """What is to be done about calls of unknown outcome; the same for all jobs."""
        self.on_unknown = "resubmit" if self.on_unknown == "hold" else "hold"
        for spec in self.specs:
            spec.on_unknown = self.on_unknown
        self._world.note("user", f"on_unknown: {self.on_unknown}")
        return self.on_unknown


class WaveCommands(Commands):
    """The commands over jobs of recordings, and `runner state resolve`."""

    guards = Guards(confirm_repay=("*",), first_run=True)

    def __init__(self, history: CallHistory, author: RecordingsAuthor, profile: dict[str, float]) -> None:
        super().__init__(history, author)
        self._calls = history
        self._profile = profile
        self._card = card_of(ProviderBlock(PROVIDER, "fireworks-audio", overrides=profile), Content.RECORDING)

    def _listener(self, clock: SimulatedClock) -> SimulatedListener:
        return SimulatedListener(self._calls.calls, self._card, int(self._profile["parallelism"]))

    def session(self, applier: Applier) -> Session:
        world = self._world
        clock = SimulatedClock(world)
        listener = self._listener(clock)
        remotes = ListeningRemotes(listener, clock)
        declared = self.declared(applier, remotes)
        return Session(
            project=declared.project,
            desired=declared.desired,
            compiled=declared.compiled,
            memory=SimulatedMemory(
                applier.home, applier.store, applier.objects, journal=partial(SimulatedJournal, world=world)
            ),
            remotes=remotes,
            clock=clock,
            reporter=Telling(world, applier.name),
            stop=threading.Event(),
            poll_seconds=CALM_POLL if world.is_calm else None,
            pool=listener.pool,
        )

    def _compiled(self, root: Path) -> tuple[Project, Mapping[str, AnyCompiled]]:
        specs = self._author.specs
        project = project_of("project", specs, root, self._history.max_attempts, self._profile)  # type: ignore[arg-type]
        rows = {spec.address: spec.rows for spec in specs}
        return project, {job.address: SimulatedAudio(job, rows[job.address], self._world) for job in project.jobs}  # type: ignore[arg-type]

    def _died(self, applier: Applier) -> None:
        """Note what was under way. Never more than the calls that may be."""
        history = self._calls
        history.died_at.append(self._world.seconds)
        for batch in SimulatedRecords(applier.store).batches():
            path = applier.objects.path(batch.key) / JOURNAL
            if batch.is_active and path.exists():
                open_calls = list(read_states(path).at(CallStep.INTENT))
                keys = applier.objects.read(f"{batch.key}/keys", batch.keys_sha256)
                history.cut.update(keys[16 * number : 16 * number + 16] for number in open_calls)
                if len(open_calls) > self._profile["parallelism"]:
                    history.blame(f"held: {len(open_calls)} calls were under way when the process died")

    def cancel(self, applier: Applier) -> None:
        self._calls.cancelled.update(self._out(applier))  # one of the waves is cancelled
        super().cancel(applier)

    def _out(self, applier: Applier) -> Iterator[bytes]:
        """The recordings that were sent, or may have been, and are not answered yet."""
        for batch in SimulatedRecords(applier.store).batches():
            path = applier.objects.path(batch.key) / JOURNAL
            if batch.is_active and path.exists():
                states = read_states(path)
                keys = applier.objects.read(f"{batch.key}/keys", batch.keys_sha256)
                numbers = (number for step in (CallStep.INTENT, CallStep.RECEIPT) for number in states.at(step))
                yield from (keys[16 * number : 16 * number + 16] for number in numbers)

    def resolve(self, applier: Applier, *, is_right: bool) -> int:
        """A person decides about some of what is held, not always rightly; how much was held."""
        session, rng = self.session(applier), self._world.rng
        held: list[resolve.HeldCall] = []
        try:
            held = [one for spec in self._author.specs for one in resolve.held(session, spec.address)]
            for one in {one.key: one for one in held}.values():
                if is_right or rng.random() < 0.7:
                    self._decide(session, one, is_right=is_right)
        except (Crash, RunnerError) as error:
            self._world.note("user", f"resolve: {error!r}")
        return len(held)

    def _decide(self, session: Session, one: resolve.HeldCall, *, is_right: bool) -> None:
        now, rng = self._world.seconds, self._world.rng
        there = [c for c in self._calls.calls.calls if c.key == one.key and c.taken_at <= now < c.gone_at == NEVER]
        if is_right:
            there = [c for c in there if c.told_at == NEVER or c.id == one.remote_id]
        step = rng.choice((CallStep.CLEARED, CallStep.REPEATED))
        account, remote_id = rng.choice(("", ACCOUNT)), ""
        if there and (is_right or rng.random() < 0.5):
            step, remote_id = CallStep.RECEIPT, there[-1].id
        elif rng.random() < 0.1 and not is_right:
            step, remote_id = CallStep.RECEIPT, "rec-misread"
        elif rng.random() < 0.1 and not is_right:
            step, account = CallStep.RECEIPT, ""  # under the id that is on record, if one is
        else:
            account = ""
        self._world.note("user", f"resolves {one.name} of {one.batch.key} as {step.name} {remote_id}")
        self._calls.decided.append((now, one.key, step, remote_id or one.remote_id))
        try:
            resolve.resolve(session, one.batch.owner, (one.name,), resolve.Decision(step, remote_id, account))
        except RunnerError as error:
            self._calls.decided.pop()
            self._world.note("user", f"resolve: {error!r}")


class ListeningRemotes(SimulatedRemotes):
    """One remote for recordings under one name."""

    def __init__(self, listener: SimulatedListener, clock: SimulatedClock) -> None:
        self._listener = listener
        self._calls = Calls(listener, clock)

    def card(self, name: str, content: Content = Content.RECORDING, transport: Transport | None = None) -> Capabilities:
        return self._listener.card

    def open(self, name: str, content: Content = Content.RECORDING, transport: Transport = Transport.BATCH) -> Client:
        return self._calls


class WaveScenario(Scenario):
    """Draws and plays one history of recordings."""

    caller_of: type[RecordingsAuthor] = RecordingsAuthor
    commands_of: type[WaveCommands] = WaveCommands

    def __init__(self, seed: int, folder: Path, *, is_brief: bool = False) -> None:
        self.is_brief = is_brief
        self.world = world = World(seed)
        rng = self.rng = world.rng
        self.folder = folder
        self.appliers_kind = "one"
        habits = _habits(rng)
        self.calls = CallRemote(world, habits)
        attempts = rng.choice((2, 3, 3, 4))
        profile = {
            "parallelism": rng.choice((1, 2, 4)),
            "min_poll_s": rng.choice((10.0, 60.0)),
            "max_poll_s": rng.choice((60.0, 600.0)),
            "defer_s": rng.choice((5.0, 60.0)),
        }
        self.is_cron = rng.random() < 0.3  # every apply is a single pass
        self.author = author = self.caller_of(world)
        author.on_unknown = rng.choice(("hold", "resubmit"))
        kind = f"blind, {author.on_unknown}{', cron' * self.is_cron}"
        self.history: CallHistory = CallHistory(
            seed, world, None, attempts, kind, True, calls=self.calls, may_reopen=True
        )  # type: ignore[arg-type]
        self.history.policies.append((0.0, author.on_unknown))
        author.begin()
        self.commands = self.commands_of(self.history, author, profile)
        self.first = self._applier("a", folder / "a")
        self.second = None
        self.rates = (
            rng.choice((0.0, 0.0, 0.003, 0.01, 0.04)),
            rng.choice((0.0, 0.03, 0.1, 0.25)),
            rng.choice((0.0, 0.01)),
        )
        world.note(
            "world",
            f"seed {seed}: {kind}, crash {self.rates[0]}, fault {self.rates[1]}, {attempts} attempts,",
            profile,
            habits,
        )

    def _provider(self, name: str) -> None:
        """Each session opens its own."""

    def _happen(self) -> None:
        draw = self.rng.random()
        if draw < 0.4:
            self.commands.resolve(self.first, is_right=False)
        elif draw < 0.5:
            self.history.policies.append((self.world.seconds, self.author.change_policy()))
        super()._happen()

    def _cancel_elsewhere(self) -> None:
        """There is nowhere to do it."""

    def _lose_state(self, applier: Applier, *, keeps_outputs: bool) -> None:
        self.history.counted += audit.counted_in(applier)
        super()._lose_state(applier, keeps_outputs=keeps_outputs)

    def _is_remembered(self, line: Line) -> bool:
        return line.answer is not None or line.is_held

    def _check(self) -> None:
        audit.check(self.history)

    def _settle(self, applier: Applier) -> Result | None:
        if not self.is_cron:
            return super()._settle(applier)
        result = None
        for _ in range(MOST_PASSES):
            result = self._run(applier, wait=0.0)
            if result is not None and not result.is_running and not result.errors and not result.plan.submissions:
                return result
            self.world.seconds += BETWEEN_PASSES
        if result is not None and self._is_in_the_way(result):
            return None
        self.history.blame(f"stuck: not settled after {MOST_PASSES} single passes without a fault")
        return None

    def _is_in_the_way(self, result: Result) -> bool:
        """Whether a transcript waits to be moved away: of a recording that left, where now another has its name."""
        return bool(result.errors) and all(isinstance(one.error, DataError) for one in result.errors)

    def _decide(self, applier: Applier) -> None:
        if self.commands.resolve(applier, is_right=True) and self.rng.random() < 0.8:
            self._settle(applier)
        super()._decide(applier)

    def _check_idempotence(self, applier: Applier) -> None:
        super()._check_idempotence(applier)
        audit.check_duplicates(self.history)

    def _made(self) -> int:
        return len(self.calls.sent)


def _habits(rng: random.Random) -> CallHabits:
    def often(*rates: float) -> float:
        return rng.choice((0.0, 0.0, *rates))

    return CallHabits(
        lag=often(5.0, 100.0),
        lateness=often(1.0, 1000.0),
        final=often(0.1, 0.3),
        retry=often(0.1, 0.4),
        losses=often(0.05, 0.2),
        odd=often(0.2),
        slow=often(0.3),
    )
