"""One history from one seed: specs change, a remote has its habits, appliers die; then it is calm, and what remains?"""

from __future__ import annotations

import random
import shutil
import traceback
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from runner.apply.result import Result
from runner.errors import BlockedError, StateError
from runner.plan.remaining import Row
from runner.state.home import home_of
from tests.simulation import checker
from tests.simulation.author import Author
from tests.simulation.commands import CALM_POLL, Commands
from tests.simulation.history import Applier, Forgotten, History, Line, lines_in
from tests.simulation.memory import MemoryStore, Recorded, SimulatedObjects
from tests.simulation.provider import SimulatedProvider, card_of
from tests.simulation.remote import NEVER, Habits, Remote
from tests.simulation.world import Stuck, World

MOST_APPLIES = 12  # after the last fault
LIST_SECONDS = 15.0  # by then a list shows what was just sent
MOST_RETRIES = 3  # the name of a batch that was refused before the state was lost may be met again


class Scenario:
    """Draws and plays one history."""

    is_hasty = False
    tells_time = True
    keeps_state = False
    backs_up = False
    is_blind = False  # the remote cannot be searched: what it was not heard about, a person looks up
    named_share = 0.5  # of the histories
    is_of_one = False  # nobody else speaks for the project
    may_lose_state = True
    author_of: type[Author] = Author
    commands_of: type[Commands] = Commands
    may_prune = False
    may_lose_search = True  # what the remote was said to show of its batches may not be so

    def __init__(self, seed: int, folder: Path, *, is_brief: bool = False) -> None:
        self.is_brief = is_brief
        self.world = world = World(seed)
        rng = self.rng = world.rng
        self.folder = folder
        self.backups: list[tuple[Path, Recorded, dict[str, tuple[str, bytes]]]] = []
        self.is_hasty = seed % 8 == 7  # a state may be lost right after a create, before any list shows it
        is_named = rng.random() < self.named_share
        settle = 5.0 if is_named else 10.0
        self.appliers_kind = rng.choices(("one", "clones", "shared"), (8, 1, 1))[0]
        is_wild = rng.random() < 0.15
        if self.is_of_one:
            self.appliers_kind, is_wild = "one", False
        habits = _habits(rng, is_named, settle, is_wild)
        if self.may_lose_search and not is_named and _of_its_own(seed, "label") < 0.25:
            habits.label = "none" if _of_its_own(seed, "whose") < 0.5 else "a gateway's"
        is_late = not is_wild and _of_its_own(seed, "late") < 0.15
        if is_late:  # an unanswered create takes effect long after it was given up; its input is gone by then
            habits.lateness = 60.0 if _of_its_own(seed, "hour") < 0.5 else 3600.0
        self._suit(habits)
        self.remote = Remote(world, habits)
        self.tells_time = habits.tells_time = world.more.random() < 0.8
        # Where a state may be lost, or another searches, what is not shown is sent again, and nobody can know
        is_alone = self.appliers_kind == "one" and not is_wild
        self.keeps_state = (is_alone and world.more.random() < 0.5) or not self.may_lose_state
        if self.may_lose_search and is_alone and not is_named and not is_late and _of_its_own(seed, "blind") < 0.3:
            habits.blind = "lists" if _of_its_own(seed, "of what") < 0.5 else "marks"
            habits.label = "none" if habits.blind == "marks" else habits.label
            self.is_blind = self.keeps_state = True
        is_of_two = self.appliers_kind == "clones" and _of_its_own(seed, "hides") < 0.5
        habits.hides = 0.4 if self.keeps_state or is_of_two else 0.0
        self.backs_up = habits.blind == "marks" and _of_its_own(seed, "backup") < 0.7
        is_alone = self.appliers_kind == "one"  # whoever deletes is the one that fetches
        may_list = not (is_named or is_late or habits.blind or habits.is_inline or habits.by_results)
        habits.may_prune = self.may_prune = (
            is_alone and may_list and self.may_lose_search and _of_its_own(seed, "prune") < 0.3
        )
        self.prunes = random.Random(f"prunes {seed}")  # no secret
        lines, poll = rng.choice((2, 4, 50)), rng.choice((30.0, 300.0, 1800.0))
        self.card = card_of(habits, consistency_seconds=settle, lines=lines, poll_seconds=poll)
        attempts = rng.choice((2, 3, 3, 4))
        kind = f"{'named' if is_named else 'tagged'}, {self.appliers_kind}{', wild' * is_wild}{', late' * is_late}"
        kind += f", refuses {habits.blind}" if habits.blind else ""
        kind += ", inline" * habits.is_inline + ", by results" * habits.by_results
        is_tame = self.appliers_kind == "one" and not is_wild
        self.history = self._history(seed, attempts, kind, is_tame=is_tame)
        self.history.runs_late = is_late and not self.card.can_revoke
        self.author = self.author_of(world)
        self.author.begin()
        self.commands = self.commands_of(self.history, self.author)
        if habits.blind == "marks":  # nothing tells what was sent since a backup was made
            self.commands.guards = replace(self.commands.guards, first_run=False)
        self.first = self._applier("a", folder / "a")
        self.second = self._second_applier()
        rates = (0.0, 0.0, 0.01, 0.04, 0.1)
        self.rates = rng.choice(rates), rng.choice((0.0, 0.03, 0.1, 0.25)), rng.choice((0.0, 0.0, 0.01))
        world.note(
            "world",
            f"seed {seed}: {kind}, crash {self.rates[0]}, fault {self.rates[1]}, "
            f"{self.card.limits.lines} lines a batch, {attempts} attempts,",
            habits,
        )

    def _history(self, seed: int, attempts: int, kind: str, *, is_tame: bool) -> History:
        return History(seed, self.world, self.remote, attempts, kind, is_tame)

    def _suit(self, habits: Habits) -> None:
        """Make the habits those of another kind of remote."""

    def _applier(self, name: str, root: Path) -> Applier:
        store, home = MemoryStore(self.world), home_of(root)
        objects = SimulatedObjects(home.objects, self.world)
        applier = Applier(name, root, home, store, objects, self._provider(name))
        applier.prepare()
        self.history.appliers.append(applier)
        return applier

    def _provider(self, name: str) -> SimulatedProvider:
        return SimulatedProvider(self.remote, self.card, name)

    def _second_applier(self) -> Applier | None:
        """Another clone of the project, or somebody who shares the state and holds no lock."""
        if self.appliers_kind == "one":
            return None
        other = self._applier("b", self.folder / "b")
        if self.appliers_kind == "shared":
            other.root, other.store, other.objects = self.first.root, self.first.store, self.first.objects
        return other

    # -- the history

    def play(self) -> History:
        """Everything, to the end. The history; its `faults` hold what is wrong with it."""
        try:
            for _ in range(self.rng.randrange(1, 3) if self.is_brief else self.rng.randrange(2, 7)):
                self._set_rates()
                self._set_clock()
                self._happen()
                self._run(self.first, wait=self.rng.choice((0.0, 0.0, 300.0, 20_000.0)))
                if self.rng.random() < 0.2:
                    self._run(self.first, wait=0.0)  # and again at once
                if self.second is not None and self.rng.random() < 0.5:
                    self._run(self.second, wait=0.0)
                if self.may_prune and self.prunes.random() < 0.4:
                    self.commands.prune(self.prunes.choice([one for one in (self.first, self.second) if one]))
                self.world.seconds += self.rng.choice((0.3, 30.0, 3000.0, 30_000.0)) * self.rng.random()
                self._keep_backups()
            self._calm_down()
        except Stuck as stuck:
            self.history.blame(f"stuck: {stuck}")
        except Exception as error:
            self.history.blame(f"exception: {error!r}\n{traceback.format_exc()}")
        return self.history

    def _set_rates(self) -> None:
        world = self.world
        on = self.rng.random() < 0.8
        world.crash_rate, world.fault_rate, world.stop_rate = self.rates if on else (0.0, 0.0, 0.0)
        world.other_rate = 0.02 if self.second is not None else 0.0

    def _set_clock(self) -> None:
        """Ours goes wrong, or is put right; by more than minutes only where the remote says what time it is."""
        more = self.world.more
        if more.random() < 0.3:
            days = (-86_400.0, 86_400.0) if self.tells_time else ()
            self.world.off = timedelta(seconds=more.choice((0.0, -240.0, 240.0, *days)))

    def _run(self, applier: Applier, wait: float | None) -> Result | None:
        self._note_moved(applier)
        other = self.second if applier is self.first else self.first
        return self.commands.apply(applier, wait, (lambda: self.commands.one_pass(other)) if other else None)

    # -- what happens between two runs

    def _happen(self) -> None:
        for _ in range(self.rng.choice((0, 1, 1, 2))):
            draw = self.rng.random()
            if draw < 0.6:
                self.author.edit()
            elif draw < 0.75:
                replaces = self.rng.random() < 0.3
                if self.is_blind and self.world.more.random() < 0.7 and self.commands.look_up(self.first):
                    continue
                self.commands.retry(self.first, self.rng.choice(self.author.specs).address, replaces=replaces)
            elif draw < 0.85:
                self.commands.cancel(self.first)
            elif draw < 0.95:
                self._lose_state(self.first, keeps_outputs=self.rng.random() < 0.5)
            elif draw < 0.97:
                self._spoil_output(self.first)
            else:
                self._cancel_elsewhere()

    def _spoil_output(self, applier: Applier) -> None:
        """Somebody removes an output, or writes into it."""
        path = applier.root / self.rng.choice(self.author.specs).output
        if path.is_dir():
            shutil.rmtree(path)  # without its list, transcripts that are left would be taken for somebody else's
        elif path.is_file():
            before = path.read_bytes()
            path.unlink()
            if self.rng.random() < 0.5:
                path.write_bytes(before[: before.find(b"\n") + 1])
        self.world.note("user", f"spoils {path.name}")

    def _cancel_elsewhere(self) -> None:
        """Somebody stops a batch in the vendor's own console."""
        running = [batch for batch in self.remote.listed() if self.world.seconds < batch.over_at]
        if running:
            batch = self.rng.choice(running)
            batch.cancelled_at, batch.is_unwanted = self.world.seconds, True
            self.world.note("user", f"stops {batch.id} in the console")

    def _lose_state(self, applier: Applier, *, keeps_outputs: bool) -> None:
        if self.appliers_kind == "shared" or self.keeps_state:
            return
        self._wait_for_lists()
        kept = self._remembered(applier) if keeps_outputs else frozenset()
        applier.store = MemoryStore(self.world)
        applier.objects.forget()
        shutil.rmtree(applier.home.folder)
        if not keeps_outputs:
            shutil.rmtree(applier.root / "results", ignore_errors=True)
        applier.prepare()
        self.history.forgotten.append(Forgotten(self.world.seconds, applier.name, kept))
        self.world.note("user", f"loses the state of {applier.name}, keeps outputs: {keeps_outputs}")

    def _note_moved(self, applier: Applier) -> None:
        """Outputs may have been moved, or spoilt, since all memory was lost.

        A new memory reads back those that the specs name when it begins: no record says which were named before.
        """
        lost = [one for one in self.history.forgotten if one.who == applier.name]
        if lost and applier.store.get("project") is None:
            lost[-1].kept &= self._remembered(applier)

    def _keep_backups(self) -> None:
        """The state is backed up now and then, and sometimes an older one is put back."""
        if not self.backs_up:
            return
        applier, draw = self.first, self.world.more.random()
        if draw < 0.4:
            kept = self.folder / f"backup-{len(self.backups)}"
            shutil.copytree(applier.home.folder, kept)
            self.backups.append((kept, applier.store.now, applier.objects.kept()))
            self.world.note("user", f"makes {kept.name}")
        elif draw < 0.7 and self.backups:
            kept, now, written = self.world.more.choice(self.backups)
            self._wait_for_lists()
            applier.store = MemoryStore(self.world)
            applier.store.now = now
            shutil.rmtree(applier.home.folder)
            shutil.copytree(kept, applier.home.folder)
            applier.objects.restore(written)
            keeps_outputs = self.world.more.random() < 0.5
            if not keeps_outputs:
                shutil.rmtree(applier.root / "results", ignore_errors=True)
            remembered = self._remembered(applier) if keeps_outputs else frozenset()
            self.history.forgotten.append(Forgotten(self.world.seconds, applier.name, remembered))
            self.world.note("user", f"puts {kept.name} back, keeps outputs: {keeps_outputs}")

    def _wait_for_lists(self) -> None:
        if self.is_hasty:
            self.history.is_hasty = True
        elif self.history.is_tame:
            self.world.seconds += LIST_SECONDS

    def _remembered(self, applier: Applier) -> frozenset[bytes]:
        """What the outputs of the specs as they are now say enough about."""
        files = [lines_in(applier.root / spec.output) for spec in self.author.specs]
        return frozenset(line.key for lines in files for line in lines if self._is_remembered(line))

    def _is_remembered(self, line: Line) -> bool:
        """Whether a line of an output is enough to know what became of its request."""
        return line.answer is not None

    # -- the end

    def _calm_down(self) -> None:
        """No more faults: everybody gets to the end, then what waits for a person is asked again and gets there too."""
        self.world.is_calm, self.world.calm_at = True, self.world.seconds
        if self.may_prune:
            self.commands.prune(self.first)
        self.world.note("world", "calm")
        appliers = [self.first] if self.second is None else [self.first, self.second]
        for applier in appliers:
            result = self._settle(applier)
            if result is not None:
                by_address = {spec.address: spec for spec in self.author.specs}
                self.history.states[applier.name] = [
                    (by_address[part.address], list(rows.states))
                    for part, rows in zip(result.plan.jobs, result.plan.rows, strict=True)
                ]
        if self.history.shares_a_state and "b" in self.history.states:  # what the last has left is what both have
            self.history.states["a"] = self.history.states["b"]
        self._check()
        for applier in appliers:
            if not self.is_brief:
                self._redeem(applier)
            self._check_idempotence(applier)

    def _check(self) -> None:
        checker.check(self.history)

    def _is_in_the_way(self, result: Result) -> bool:
        """Whether all that is left waits for a person, because a name of ours is taken by the same requests.

        A state that was lost, or another clone, may have sent a set as the remainder of a batch that is gone by now,
        or from an upload where now a remainder would do. What stands there can then not be told from other work.
        And where two write the same raw file, with no lock between them, the damage is noticed and nothing shown.
        """
        if self.appliers_kind == "shared" and any(isinstance(one.error, StateError) for one in result.errors):
            return True
        knows_all = not self.history.forgotten and self.second is None
        are_blocked = all(isinstance(one.error, BlockedError) for one in result.errors)
        return self.remote.habits.is_named and bool(result.errors) and are_blocked and not knows_all

    def _settle(self, applier: Applier) -> Result | None:
        result = None
        for number in range(MOST_APPLIES):
            result = self._run(applier, wait=None)
            if result is not None and not result.is_running and not result.errors and not result.plan.submissions:
                return result
            # What blocks until a batch has ended is tried again then; some run for hours, and a few for a day
            self.world.seconds += CALM_POLL if result is not None and result.errors else 60
            if number == MOST_APPLIES // 2 and result is not None and result.errors:
                ends = [one.over_at for one in self.remote.batches if self.world.seconds < one.over_at < NEVER]
                self.world.seconds = min(ends, default=self.world.seconds)
        if self.history.is_damaged or (result is not None and not result.is_running and self._is_in_the_way(result)):
            return None
        self.history.blame(f"stuck: {applier.name} has not settled after {MOST_APPLIES} applies without a fault")
        return None

    def _redeem(self, applier: Applier) -> None:
        """What is blocked or failed is asked again of a remote in good health: then all of it is answered."""
        if applier.name not in self.history.states:
            return  # it is stuck
        result = None
        all_ok = all(state == Row.OK for _, states in self.history.states.get(applier.name, ()) for state in states)
        for _ in range(0 if all_ok else MOST_RETRIES):
            self._decide(applier)
            result = self._settle(applier)
            if result is None:
                return
            if all(part.counts.ok == part.counts.wanted for part in result.plan.jobs):
                break
        for part in result.plan.jobs if result else ():
            if part.counts.ok != part.counts.wanted:
                self.history.blame(f"stuck: after a retry {part.address} is at {part.counts}")

    def _check_idempotence(self, applier: Applier) -> None:
        """Once more changes nothing and asks for nothing."""
        if applier.name not in self.history.states or self.history.faults:
            return  # it is stuck
        made = self._made()
        again = self._run(applier, wait=None)
        # A batch that nobody wants any more may end meanwhile; then it is brought home, and outputs say so
        if again is not None and again.collected and any(batch.cut_keys for batch in self.remote.batches):
            return  # files that were short are whole by now, and what they say may be asked again
        if self._made() != made or again is None or (again.written and not again.collected):
            self.history.blame("not idempotent: an apply after everything was settled did something")

    def _decide(self, applier: Applier) -> None:
        """A person looks through all that waits for one."""
        if self.is_blind:
            self.commands.look_up(applier)
        for spec in self.author.specs:
            self.commands.retry(applier, spec.address, replaces=False)

    def _made(self) -> int:
        """How much the remote was ever asked for."""
        return len(self.remote.batches)


def _of_its_own(seed: int, what: str) -> float:
    """Chance that changes nothing else of a history."""
    return random.Random(f"{what} {seed}").random()


def _habits(rng: random.Random, is_named: bool, settle: float, is_wild: bool) -> Habits:
    def often(*rates: float) -> float:
        return rng.choice((0.0, 0.0, *rates))

    lag = often(settle * 0.3, settle * 0.45)
    return Habits(
        is_named=is_named,
        list_lag=lag if not is_wild else rng.choice((60.0, 3600.0)),
        lateness=often(settle * 0.45) if not is_wild else rng.choice((60.0, 3600.0)),
        whole_failures=often(0.1, 0.3),
        quota=0.0 if is_named else often(0.2, 0.5),  # a named one says so with 429 at the create
        expiries=often(0.2, 0.5),
        final_rows=often(0.1, 0.3),
        retry_rows=often(0.1, 0.4),
        late_results=often(0.5),
        very_late_results=often(0.1),
        losses=often(0.05),
        file_losses=often(0.05),
        slow_files=often(0.3),
        unknown_states=often(0.2),
        refuses_to_continue=often(0.2),
        cuts=often(0.1),
        short_files=often(0.2),
        silent_rows=often(0.3),
        unpaid=often(0.1),
        full_until=100_000.0 if not is_named and rng.random() < 0.02 else 0.0,
    )
