"""One history from one seed: people edit, lose and restore, processes die, a remote errs; then all is well again."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.histories.author import Author
from tests.histories.clone import Clone, Done, Hangs, skewed
from tests.histories.ledger import Ledger
from tests.histories.manners import Manners, made_like, troubled

SETTLE_SECONDS = 0.6  # within which the remote's list shows a batch, on all but the worst days
ABSENCE_SECONDS = 1.5  # over which a batch must be missing to be given up, six times that once it ran
MOST_APPLIES = 14  # until all has settled once nothing goes wrong any more
KNOWN_CODES = (0, 1, 3, 4, 5, 6, 64, 130)  # 64: there is nothing to cancel, or no such job yet


@dataclass(slots=True)
class Consent:
    """Somebody allowed `who` to pay again, from `at` on. texts: for these requests only."""

    at: float
    who: str
    why: str
    texts: frozenset[str] | None = None


@dataclass(slots=True)
class History:
    """What happened, and what is wrong with it."""

    seed: int
    folder: Path
    told: list[tuple[float, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    consents: list[Consent] = field(default_factory=list)
    clones: list[Clone] = field(default_factory=list)
    commands: int = 0
    kills: int = 0
    pauses: int = 0
    twice: int = 0  # requests that were answered more than once
    counted: int = 0  # of them, those that runner counted or was told to ask again

    @property
    def ledger(self) -> Ledger:
        return Ledger.read(self.folder / "remote/ledger.jsonl")

    def note(self, words: str) -> None:
        self.told.append((time.time(), words))

    def blame(self, words: str) -> None:
        self.faults.append(words)
        self.note(f"BROKEN {words}")

    def log(self) -> Iterator[str]:
        """Everything in order: what was done here, and what the remote was asked."""
        path = self.folder / "remote/log"
        lines = path.read_text().splitlines() if path.exists() else []
        heard = [(float(at), f"    {words}") for at, words in (line.split(" ", 1) for line in lines)]
        began = min((at for at, _ in self.told), default=0.0)
        for at, words in sorted([*self.told, *heard], key=lambda one: one[0]):
            yield f"{at - began:8.3f} {words}"


class Play:
    """Draws and plays one history."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = random.Random(seed)
        self.history = History(seed, folder)
        self.author = Author(self.rng)
        self.made = made_like(self.rng)
        self.backups: list[Path] = []

    def play(self) -> History:
        """Everything, to its end. `faults` of the history hold what is wrong with it."""
        from tests.histories import checker

        rng, history = self.rng, self.history
        with self._remote() as url:
            try:
                self._begin(url)
                for _ in range(rng.randrange(2, 6)):
                    self._step()
                self._calm_down()
                checker.check(history)
            except Hangs as hangs:
                history.blame(f"hangs: {hangs}")
        return history

    # -- the remote

    @contextmanager
    def _remote(self) -> Iterator[str]:
        folder = self.history.folder / "remote"
        folder.mkdir(parents=True)
        command = [sys.executable, "-m", "tests.histories.server", str(folder), str(self.history.seed)]
        with (folder / "words").open("wb") as words:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stderr=words, stdout=words, cwd=Path(__file__).parents[2]
            )
        try:
            until = time.monotonic() + 20
            while not (folder / "port").exists():
                assert process.poll() is None and time.monotonic() < until, (folder / "words").read_text()
                time.sleep(0.01)
            self.url = f"http://127.0.0.1:{(folder / 'port').read_text()}"
            yield f"{self.url}/v1"
        finally:
            process.kill()
            process.communicate()

    def _behave(self, manners: Manners) -> None:
        body = json.dumps(asdict(manners)).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/_manners", body), timeout=10).close()
        self.history.note(f"the remote: {manners.shown() or 'as usual'}")

    # -- the story

    def _begin(self, url: str) -> None:
        rng, history = self.rng, self.history
        lines = rng.choice((3, 10, 1000))
        times = f"settle_s: {SETTLE_SECONDS}, min_poll_s: 0.05, max_poll_s: 0.3, defer_s: 0.3"
        times += f", absence_s: {ABSENCE_SECONDS}, late_s: 2.0, file_visibility_error: {{window_s: 3.0}}"
        overrides = f"{{{times}, limits: {{lines: {lines}}}}}"
        names = ("a", "b") if rng.random() < 0.35 else ("a",)
        for name in names:
            calls = history.folder / "remote/calls"
            clone = Clone(name, history.folder / name, url, overrides, calls, self.author.wanted)
            clone.pull(self.author.wanted)
            history.clones.append(clone)
        history.note(f"seed {history.seed}: {len(names)} clones, {lines} lines a batch, made like: {self.made.shown()}")
        self._behave(self.made)

    def _step(self) -> None:
        rng = self.rng
        is_bad = rng.random() < 0.7
        self._behave(troubled(rng, self.made, SETTLE_SECONDS) if is_bad else self.made)
        clone = rng.choice(self.history.clones)
        self._set_clock(clone)
        if rng.random() < 0.5:
            self._edit()
        match rng.choice(("run", "run", "kill", "kill", "kill", "pause", "both", "state", "state", "retry", "cancel")):
            case "run":
                self._apply(clone)
            case "kill":
                self._kill(clone)
            case "pause":
                self._pause(clone)
            case "both":
                self._both(clone)
            case "state":
                self._handle_state(clone)
                self._apply(clone)
            case "retry":
                self._retry(clone)
                self._apply(clone)
            case "cancel":
                self._apply(clone, "--no-wait")
                self._run(clone, "cancel", rng.choice(clone.wanted.jobs).name)
                self._apply(clone)

    def _set_clock(self, clone: Clone) -> None:
        if self.rng.random() < 0.15 and skewed():
            clone.ahead = self.rng.choice((-90_000, -300, 300, 90_000))
        elif self.rng.random() < 0.5:
            clone.ahead = 0
        if clone.ahead:
            self.history.note(f"the clock of {clone.name} is {clone.ahead} s ahead")

    def _edit(self) -> None:
        words = self.author.edit()
        self.history.note(f"somebody {words}")
        for clone in self.history.clones:
            draw = self.rng.random()
            if clone.name == "a" or draw < 0.5:
                clone.pull(self.author.wanted)
            elif draw < 0.8:
                clone.pull(self.author.another())
                self.history.note(f"{clone.name} has other rows")

    def _words(self) -> tuple[str, ...]:
        wait = self.rng.choice((("--no-wait",), ("--wait", "1s"), ("--wait", "4s"), ("--wait", "4s")))
        return "apply", "specs/", "-y", "--poll", "0.05", *wait

    def _apply(self, clone: Clone, *more: str) -> Done:
        return self._told(clone, clone.run(*self._words(), *more))

    def _run(self, clone: Clone, *words: str) -> Done:
        return self._told(clone, clone.run(*words))

    def _told(self, clone: Clone, done: Done) -> Done:
        """Keep what a command said, and look at once for what must never be."""
        self.history.commands += 1
        self.history.told.append((done.began, f"{clone.name}$ runner {' '.join(done.words)}"))
        said = "".join(f"\n             | {line}" for line in done.said.splitlines() if line.strip())
        self.history.note(f"{clone.name}: exit {done.code} of `{done.words[0]}`{said}")
        if "Traceback" in done.err or (done.code >= 0 and done.code not in KNOWN_CODES):
            self.history.blame(f"crash: `{' '.join(done.words)}` ended with {done.code}: {done.err[-600:]}")
        if done.words[0] == "apply" and done.code in (0, 4):
            self._check_that_answers_stay(clone)
        return done

    def _check_that_answers_stay(self, clone: Clone) -> None:
        """What a results file has answered once it goes on to answer, as long as it is wanted and nobody removes it."""
        now = clone.answers()
        wanted = {text for job in clone.wanted.jobs for _, text in clone.wanted.requests(job)}
        for text, answer in clone.shown.items():
            if text in wanted and text not in now:
                self.history.blame(f"lost: {clone.name}: `{text}` was answered `{answer}`, and now it is not")
        clone.shown.update(now)

    # -- processes that die, and that sleep

    def _kill(self, clone: Clone) -> None:
        rng = self.rng
        for _ in range(rng.choice((1, 1, 2, 3))):
            command = clone.start(*self._words())
            if command.reaches(rng.choice((0, 1, 2, 3, 4, 5, 8, 12)), rng.choice((0.0, 0.002, 0.01, 0.05, 0.3))):
                self.history.kills += 1
                command.signal(signal.SIGKILL)
            self._told(clone, command.end())
        if rng.random() < 0.6:
            self._apply(clone)

    def _pause(self, clone: Clone) -> None:
        """It sleeps over a time in which much may happen, as a laptop does whose lid is closed."""
        rng = self.rng
        command = clone.start(*self._words())
        if command.reaches(rng.choice((1, 2, 3, 4, 5, 8)), rng.choice((0.0, 0.002, 0.02))):
            self.history.pauses += 1
            command.signal(signal.SIGSTOP)
            time.sleep(rng.choice((0.2, 1.0, 2.0)))
            if rng.random() < 0.5:
                self._apply(rng.choice(self.history.clones))
            command.signal(signal.SIGCONT)
        self._told(clone, command.end())

    def _both(self, clone: Clone) -> None:
        """Two at once: in two clones, or in one."""
        other = self.rng.choice(self.history.clones)
        commands = [(one, one.start(*self._words())) for one in (clone, other)]
        if self.rng.random() < 0.4 and commands[1][1].reaches(self.rng.choice((1, 2, 3, 5)), 0.005):
            self.history.kills += 1
            commands[1][1].signal(signal.SIGKILL)
        for one, command in commands:
            self._told(one, command.end())

    # -- what becomes of `.runner/`

    def _handle_state(self, clone: Clone) -> None:
        rng = self.rng
        clones = self.history.clones
        match rng.choice(("back up", "back up", "lose", "restore", "copy", "outputs")):
            case "back up":
                self._back_up(clone)
                if rng.random() < 0.7:
                    self._edit()
                self._kill(clone)
                self._restore(clone)
            case "restore":
                self._restore(clone)
            case "copy" if len(clones) > 1:
                other = next(one for one in clones if one is not clone)
                if clone.state.exists():
                    shutil.rmtree(other.state, ignore_errors=True)
                    shutil.copytree(clone.state, other.state)
                    self.history.note(f"the state of {clone.name} is copied over that of {other.name}")
            case "outputs":
                self._lose_outputs(clone)
            case _:
                if rng.random() < 0.3:
                    self._lose_outputs(clone)
                time.sleep(rng.choice((0.0, SETTLE_SECONDS, 2.0)))
                shutil.rmtree(clone.state, ignore_errors=True)
                self.history.note(f"{clone.name} loses its state")

    def _back_up(self, clone: Clone) -> None:
        if clone.state.exists():
            self.backups.append(self.history.folder / f"backup-{len(self.backups)}")
            shutil.copytree(clone.state, self.backups[-1])
            self.history.note(f"the state of {clone.name} is backed up")

    def _restore(self, clone: Clone) -> None:
        if self.backups:
            backup = self.rng.choice(self.backups)
            shutil.rmtree(clone.state, ignore_errors=True)
            shutil.copytree(backup, clone.state)
            self.history.note(f"{clone.name} gets the state of {backup.name}")
            if self.rng.random() < 0.3:
                self._lose_outputs(clone)

    def _lose_outputs(self, clone: Clone) -> None:
        shutil.rmtree(clone.root / "results", ignore_errors=True)
        clone.shown.clear()
        self.history.note(f"the results of {clone.name} are removed")

    # -- asking again

    def _retry(self, clone: Clone) -> None:
        job = self.rng.choice(clone.wanted.jobs)
        replaces = self.rng.random() < 0.3
        if replaces:
            texts = frozenset(text for _, text in clone.wanted.requests(job))
            self.history.consents.append(Consent(time.time(), clone.name, "retry --replace", texts))
        self._run(clone, "retry", job.name, *(("--replace",) if replaces else ()))

    # -- the end

    def _calm_down(self) -> None:
        """Nothing goes wrong any more. Everybody applies until all has settled; what is advised is followed."""
        self.history.note("calm")
        self._behave(self.made.calm())
        time.sleep(2 * SETTLE_SECONDS)  # what was late has arrived
        clones = self.history.clones
        for clone in clones:
            clone.ahead = 0
        settled = [self._settle(clone) for clone in clones]
        if len(clones) > 1:  # what each learns of the other, and has still to count
            settled = [self._settle(clone) for clone in clones]
        for clone, is_settled in zip(clones, settled, strict=True):
            if is_settled:
                self._check_that_nothing_is_left(clone)

    def _settle(self, clone: Clone) -> bool:
        done = None
        more: tuple[str, ...] = ()
        for _ in range(MOST_APPLIES):
            done = self._run(clone, "apply", "specs/", "-y", "--poll", "0.05", "--wait", "5s", *more)
            if done.code == 0:
                return True
            more = self._follow_advice(clone, done)
            time.sleep(0.2 if done.code in (3, 4) else SETTLE_SECONDS)
        assert done is not None
        self.history.blame(f"stuck: {clone.name} ends with {done.code} after {MOST_APPLIES} applies without a fault")
        return False

    def _follow_advice(self, clone: Clone, done: Done) -> tuple[str, ...]:
        """Do what the command suggests. More words for the next apply."""
        for flag in ("--first-run", "--confirm-repay"):
            if flag in done.said:
                if flag == "--confirm-repay" or self.made.labels == "kept":
                    self.history.blame(f"asks in vain: {flag} of {clone.name}: {done.said[-400:]}")
                self.history.consents.append(Consent(time.time(), clone.name, flag))
                return (flag,)
        for address in dict.fromkeys(re.findall(r"runner retry ([\w:=,-]+)", done.said)):
            self._run(clone, "retry", address)
        for address in dict.fromkeys(re.findall(r"runner state resolve ([\w:=,-]+)", done.said)):
            self._resolve(clone, address)
        return ()

    def _resolve(self, clone: Clone, address: str) -> None:
        """Decide as somebody does who has looked it up in the vendor's console."""
        told = self._run(clone, "state", "resolve", address)
        ids = [batch for batch in self.history.ledger.batches if batch in told.said]
        self._run(clone, "state", "resolve", address, *(("--adopt", ids[-1]) if ids else ("--clear",)))

    def _check_that_nothing_is_left(self, clone: Clone) -> None:
        made = len(self.history.ledger.batches)
        plan = self._run(clone, "plan", "specs/", "--detailed-exitcode")
        if plan.code != 0:
            self.history.blame(f"not empty: the next plan of {clone.name} ends with {plan.code}: {plan.out[-400:]}")
        again = self._run(clone, "apply", "specs/", "-y", "--poll", "0.05", "--wait", "5s")
        if again.code != 0 or len(self.history.ledger.batches) != made:
            self.history.blame(f"not idempotent: one apply more of {clone.name} ends with {again.code}")
