"""Rounds of a kill sweep: a project of its own, an `apply` that is killed, a plain one that goes on, and a count.

A rig is one provider with a server behind it that counts what it was asked; every round begins with `fresh`.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from runner.state.disk import DiskStore
from tests import warm
from tests.journeys.audio.lab import SPEC as AUDIO_SPEC
from tests.journeys.audio.lab import AudioLab, sound
from tests.journeys.fireworks.lab import SPEC as FIRE_SPEC
from tests.journeys.fireworks.lab import Account, FireLab
from tests.journeys.lab import SPEC, Lab

REPOSITORY = Path(__file__).parents[2]
RECORDINGS = 2
GRADE = """\
  grade:
    dataset: said
    prompt: grade
    model: echo
    output: results/grade.jsonl
    checks: {helpful: {judge: judge, model: echo, verdicts: {good: 1, bad: 0}}}
"""
PAIRS = """\
  other: {dataset: rows, prompt: plead, model: echo, output: results/other.jsonl}
  duel:
    dataset: duels
    prompt: which
    model: echo
    output: results/duel.jsonl
    checks: {better: {preference: {first: uno, second: dos, tie: neither}}}
"""
SOON = 12  # boundaries, from where an apply begins


@dataclass
class Killed:
    """What was left of an `apply` that may have been killed."""

    is_dead: bool
    crossed: list[str]


def killed(lab: Lab, number: int, *words: str) -> Killed:
    """Run `killer` in the project until boundary `number`; 0: to its end."""
    command = ["tests.journeys.killer", str(lab.root), str(number), *words]
    done = warm.run(*command, cwd=REPOSITORY, env=lab.environ(), timeout=60)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return Killed(done.returncode != 0, done.stdout.splitlines())


@dataclass
class Figures:
    """What a number of rounds added up to."""

    rounds: int = 0
    kills: int = 0
    said: int = 0  # possible duplicates, as runner counts them
    twice: int = 0  # duplicates, as the server counts them
    held: int = 0

    def __add__(self, other: Figures) -> Figures:
        mine, others = (vars(one).values() for one in (self, other))
        return Figures(*map(sum, zip(mine, others, strict=True)))


@dataclass
class Rig:
    """words: for `killer`. calls: how many may be in flight at once, where the remote cannot be searched."""

    lab: Lab
    words: tuple[str, ...] = ()
    calls: int = 0
    serial: int = field(default=0, init=False)
    first: ClassVar[tuple[str, ...]] = ()  # words of a first apply

    def fresh(self) -> None:
        """A project that was never applied, and requests that nobody asked before."""
        self.serial += 1
        self.lab.apply_anew()

    def check(self, kills: int, opened: int | None) -> Figures:
        """Whether plain applies bring everything, and only once.

        opened: how many calls of the killed one were on record and had no receipt; None where that is not known.
        """
        raise NotImplementedError

    def kill(self, number: int, *words: str) -> Killed:
        return killed(self.lab, number, *self.words, *words)

    def round(self, *numbers: int) -> Figures | None:
        """Killed at each of these boundaries in turn, then checked. None where not even the first came to its end."""
        self.fresh()
        kills, crossed = 0, list[str]()
        for number in numbers:
            done = self.kill(number)
            crossed += done.crossed
            kills += done.is_dead
            if not done.is_dead:
                break
        if not kills:
            return None
        opened = open_calls(crossed) if len(numbers) == 1 else None
        try:
            figures = self.check(kills, opened)
            assert self.lab.run("plan").stdout == "Nothing to do\n"
            assert [path.name for path in self.lab.root.rglob("*.part")] == [], "left behind"
            assert list((self.lab.root / ".runner/tmp").iterdir()) == []
        except AssertionError as error:
            error.add_note(f"killed at {numbers}, after {crossed[-4:]}")
            raise
        return figures + Figures(rounds=1, kills=kills)

    def sweep(self, numbers: Iterable[int]) -> Figures:
        """A round for each boundary, until there are no more."""
        total = Figures()
        for number in numbers:
            if (figures := self.round(number)) is None:
                break
            total += figures
        return total

    def again_and_again(self, rounds: int, boundaries: int, rng: random.Random) -> Figures:
        """Rounds of two to five kills in a row: one anywhere, the others while what is left is put right."""
        total = Figures()
        for _ in range(rounds):
            numbers = [rng.randint(1, boundaries), *(rng.randint(1, SOON) for _ in range(rng.randint(1, 4)))]
            total += self.round(*numbers) or Figures(rounds=1)
        return total


def at(crossed: list[str], step: str) -> int:
    """The number of the boundary where a step comes first."""
    return crossed.index(step) + 1


def open_calls(crossed: list[str]) -> int:
    """Intents that are on record and whose receipt is not, where one recording is sent at a time."""
    return crossed.count("after commit INTENT") - crossed.count("after commit RECEIPT")


@dataclass
class OpenAIRig(Rig):
    """expires: the first batch does, with half of its rows done; the others go in a second one.

    stops: batches stay as they are, with few rows done, until the killed command is.

    packs: answers are long enough for their file to be packed in the end.
    """

    expires: bool = False
    stops: bool = False
    packs: bool = False

    @property
    def project(self) -> str:
        return f"kill{self.serial}"

    def fresh(self) -> None:
        super().fresh()
        spec = SPEC.replace("max_tokens: 16", "max_tokens: 1600") if self.packs else SPEC
        self.lab.spec(spec.replace("project: lab", f"project: {self.project}").replace("Say", f"Say {self.serial}"))
        self.lab.server.fault(
            expire_at={"value": 0.5, "count": 1} if self.expires else None, hold=0.2 if self.stops else None
        )

    def mine(self) -> list[dict[str, Any]]:
        batches = self.lab.server.batches()
        return [batch for batch in batches if batch["metadata"]["runner_project"] == self.project]

    def check(self, kills: int, opened: int | None) -> Figures:
        self.lab.server.fault(hold=None)
        self.lab.apply()
        self.answered([10, 5] if self.expires else [10])
        if self.packs:
            raw = [path.name for path in self.lab.root.glob(".runner/objects/*/0.jsonl*")]
            assert raw == ["0.jsonl.zst"]
            (self.lab.root / "results/answers.jsonl").unlink()
            self.lab.apply()  # written anew of what is packed
            self.answered([10])
        return Figures()

    def answered(self, sent: list[int]) -> None:
        """sent: the rows of each batch."""
        assert [len(self.lab.server.ids_of(batch)) for batch in self.mine()] == sent
        assert [row["custom_id"] for row in self.lab.results()] == [f"r{n}" for n in range(10)]
        assert all(row["error"] is None for row in self.lab.results())
        self.told({batch["id"] for batch in self.mine()})

    def told(self, remote_ids: set[str]) -> None:
        """The log tells of each batch once that it was sent or found, and once that it came home."""
        events = json.loads(self.lab.run("history", "-n", "1000", "-o", "json").stdout)["events"]
        for kinds in (("batch.submitted", "batch.adopted"), ("batch.collected",)):
            found = [one["remote_id"] for one in events if one["event"] in kinds]
            assert sorted(found) == sorted(remote_ids), (kinds, events)
        serials = [(one["serial"], one.get("part", 0)) for one in events]
        assert serials == sorted(set(serials))


@dataclass
class PruneRig(OpenAIRig):
    """A project that is settled, whose files at the remote are deleted."""

    def fresh(self) -> None:
        super().fresh()
        self.lab.apply()

    def check(self, kills: int, opened: int | None) -> Figures:
        self.lab.run("prune", "-y")
        assert self.lab.server.get("/v1/files")["data"] == []
        assert self.lab.apply().stdout == "Nothing to do\n"
        assert [row["error"] for row in self.lab.results()] == [None] * 10
        with closing(DiskStore(self.lab.root / ".runner" / "state")) as store:
            documents = store.read().by_key
        assert documents["project"]["deleting"] == {}, "all that was named is known to be gone"
        assert [set(one["deleted"]) for key, one in documents.items() if key.startswith("batch/")] == [
            {"upload", "results"}
        ]
        return Figures()


@dataclass
class ChainRig(OpenAIRig):
    """A job, one about its answers, and a judge of that: each asks its rows in one batch."""

    def fresh(self) -> None:
        super().fresh()
        path = self.lab.root / "specs/lab.yaml"
        text = path.read_text().replace("datasets:\n", "datasets:\n  said: {from: answers, as: said}\n")
        prompts = 'prompts:\n  grade: {user: "Grade {{ said }}"}\n  judge: {user: "A good {{ answer }}"}\n'
        path.write_text(text.replace("prompts:\n", prompts).replace("jobs:\n", f"jobs:\n{GRADE}"))

    def check(self, kills: int, opened: int | None) -> Figures:
        self.lab.apply()
        self.answered([10, 10, 10])
        answers = [row["answer"] for row in self.lab.results()]
        for way, said in (("grade", "Grade"), ("grade.helpful", "A good echo: Grade")):
            found = [row["answer"] for row in self.lab.results(f"results/{way}.jsonl")]
            assert found == [f"echo: {said} {answer}" for answer in answers], way
        scores = self.lab.results("results/grade.scores.jsonl")
        assert [row["checks"]["helpful"]["status"] for row in scores] == ["right"] * 10
        return Figures()


@dataclass
class PairsRig(OpenAIRig):
    """Two jobs over the same rows, and a judge of both that finds the second better, whichever is shown first."""

    def fresh(self) -> None:
        super().fresh()
        path = self.lab.root / "specs/lab.yaml"
        text = path.read_text().replace("datasets:\n", "datasets:\n  duels: {pairs: [answers, other]}\n")
        say = "{{ 'uno' if 'Plead' in first else 'dos' }} of {{ first | fenced }} and {{ second | fenced }}"
        prompts = f'prompts:\n  plead: {{user: "Plead {self.serial} {{{{ word }}}}"}}\n  which: {{user: "{say}"}}\n'
        path.write_text(text.replace("prompts:\n", prompts).replace("jobs:\n", f"jobs:\n{PAIRS}"))

    def check(self, kills: int, opened: int | None) -> Figures:
        self.lab.apply()
        self.answered([10, 10, 20])
        scores = self.lab.results("results/duel.scores.jsonl")
        ids = sorted(f"r{n}-{order}" for n in range(10) for order in ("ab", "ba"))
        assert sorted(row["custom_id"] for row in scores) == ids
        assert {row["checks"]["better"]["status"] for row in scores} == {"right"}
        return Figures()


@dataclass
class FireworksRig(Rig):
    """The job expires with half of its rows done; the remote goes on with the others in a second one.

    stops: jobs stay as they are, with few rows done, until the killed command is.
    """

    lab: FireLab
    stops: bool = False

    def fresh(self) -> None:
        super().fresh()
        self.lab.account = Account(self.lab.server, f"{self.lab.account.name.partition('-k')[0]}-k{self.serial}")
        self.lab.spec(FIRE_SPEC.replace("project: lab", f"project: kill-{self.serial}"))
        self.lab.account.fault(expire_at={"value": 0.5, "count": 1}, hold=0.2 if self.stops else None)

    def check(self, kills: int, opened: int | None) -> Figures:
        self.lab.account.fault(hold=None)
        self.lab.apply()
        self.lab.whole()
        assert self.lab.account.states() == ["EXPIRED", "COMPLETED"]
        assert self.lab.account.asked_of_jobs() == [10, 5]
        assert len(self.lab.account.uploads()) == 1
        assert self.lab.account.rows_asked() == 10
        return Figures()


@dataclass
class AudioRig(Rig):
    """resubmits: what the spec says of a call whose outcome nobody knows. provider: `fireworks-audio` or `embedded`."""

    lab: AudioLab
    resubmits: bool = True
    provider: str = "fireworks-audio"
    output: str = "results/calls.jsonl"
    recordings: int = RECORDINGS

    def fresh(self) -> None:
        super().fresh()
        for folder in ("calls", "transcripts"):
            shutil.rmtree(self.lab.root / folder, ignore_errors=True)
        for number in range(self.recordings):
            self.lab.put(f"calls/c{number:03}.wav", sound(f"{self.serial} {self.output} {number}"))
        text = AUDIO_SPEC.replace("results/calls.jsonl", self.output)
        if self.provider == "embedded":
            text = text.partition("providers:")[0].replace("fireworks-audio", "embedded").replace("whisper-v3", "echo")
        if self.resubmits:
            text = text.replace("    model: ear\n", "    model: ear\n    on_unknown: resubmit\n    max_attempts: 9\n")
        self.lab.spec(text)

    def kept(self) -> int:
        """How many submissions the server accepted in this round."""
        files = [str(file.relative_to(self.lab.root)) for file in (self.lab.root / "calls").iterdir()]
        return sum(len(self.lab.ids_of(file)) for file in files)

    def check(self, kills: int, opened: int | None) -> Figures:
        return self._check_counted(kills, opened) if self.resubmits else self._check_held(kills, opened)

    def _check_counted(self, kills: int, opened: int | None) -> Figures:
        self.apply()
        said = sum(batch["possible_duplicates"] for batch in self.lab.batches())
        twice = self.kept() - self.recordings
        assert 0 <= twice <= said <= self.calls * kills
        assert said == opened or opened is None or self.calls > 1
        self.whole()
        return Figures(said=said, twice=twice)

    def _check_held(self, kills: int, opened: int | None) -> Figures:
        done = self.apply(code=None)
        held = self.lab.held()
        assert done.returncode == (5 if held else 0)
        assert len(held) <= self.calls * kills
        assert len(held) == opened or opened is None or self.calls > 1
        assert all(f"`{one['row']}` is held" in done.stderr for one in held) or kills > 1
        assert self.kept() <= self.recordings
        assert all(len(self.lab.ids_of(one["row"])) <= 1 for one in held)
        ways = [self._way_of(one["row"], number) for number, one in enumerate(held)]
        for one, way in zip(held, ways, strict=True):
            self.lab.run("state", "resolve", "calls", "--row", one["row"], *way)
        self.apply()
        assert self.kept() == self.recordings
        assert sum(batch["possible_duplicates"] for batch in self.lab.batches()) == ways.count(("--resubmit",))
        self.whole()
        return Figures(held=len(held))

    def _way_of(self, row: str, number: int) -> tuple[str, ...]:
        """As a person decides who looks at the remote's own console: it is there, or it is not."""
        if ids := self.lab.ids_of(row):
            return "--adopt", ids[0], "--account", "runner"
        return ("--resubmit",) if (number + self.serial) % 2 else ("--clear",)

    def apply(self, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        return self.lab.apply("-y", "--first-run", code=code)

    def whole(self) -> None:
        if self.output.endswith("/"):
            rows = self.lab.results(f"{self.output}_results.jsonl")
            texts = [(self.lab.root / self.output / row["transcript"]).read_text() for row in rows]
            assert len(texts) == self.recordings and all("synthetic" in text for text in texts)
            names = sorted(path.name for path in (self.lab.root / self.output).rglob("*") if path.is_file())
            assert names == sorted(["_results.jsonl", *(Path(row["transcript"]).name for row in rows)])
        else:
            self.lab.whole(self.recordings)


class EmbeddedLab(AudioLab):
    """Recordings for `provider: embedded`, whose server is a child of each command and dies with it."""

    def __post_init__(self) -> None:
        pass  # there is nobody to ask yet

    def ids_of(self, path: str) -> list[str]:
        if not (self.server.directory / "world.sqlite").exists():
            return []
        return super().ids_of(path)
