"""A clone of the project: a folder, and the real `runner` command in it, which can be killed or paused."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.histories.author import Job, Wanted
from tests.histories.server import KEY

RUNNER = [sys.executable, "-m", "runner"]
LONGEST_SECONDS = 90.0  # of one command; what takes longer hangs


@functools.cache
def skewed() -> str:
    """A library that gives a process a wrong clock; empty where there is no compiler to make it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        return ""
    folder = Path(tempfile.mkdtemp(prefix="runner-skew-"))
    library = folder / "skew.so"
    made = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(Path(__file__).with_name("skew.c")), "-ldl"]
    return str(library) if subprocess.run(made, capture_output=True).returncode == 0 else ""


@dataclass(slots=True)
class Done:
    """A command that ended: `code` is negative for a signal."""

    who: str
    words: tuple[str, ...]
    code: int
    out: str
    err: str
    began: float
    ended: float

    @property
    def said(self) -> str:
        return f"{self.out}\n{self.err}"


class Command:
    """`runner WORDS`, under way."""

    def __init__(self, clone: Clone, words: tuple[str, ...]) -> None:
        clone.serial += 1
        self._clone = clone
        self._words = words
        self._files = [clone.root.parent / f"{clone.name}-{clone.serial}.{name}" for name in ("out", "err")]
        self._before = clone.calls.stat().st_size
        self._began = time.time()
        with self._files[0].open("wb") as out, self._files[1].open("wb") as err:
            self.process = subprocess.Popen(
                [*RUNNER, *words],
                cwd=clone.root,
                env=clone.environ(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def reaches(self, calls: int, seconds: float) -> bool:
        """Wait for so many requests to reach the remote from now on, then a while; False where it ended before."""
        until = time.monotonic() + 20
        while self._clone.calls.stat().st_size - self._before < calls:
            if self.process.poll() is not None or time.monotonic() > until:
                return False
            time.sleep(0.001)
        time.sleep(seconds)
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)

    def end(self) -> Done:
        """Wait for it. Raises Hangs."""
        try:
            code = self.process.wait(LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            raise Hangs(f"`{' '.join(self._words)}` did not end: {self._text()[1][-2000:]}") from None
        done = Done(self._clone.name, self._words, code, *self._text(), self._began, time.time())
        self._clone.done.append(done)
        return done

    def _text(self) -> list[str]:
        return [file.read_text(errors="replace") for file in self._files]


class Hangs(Exception):
    """A command that does not end."""


@dataclass(slots=True)
class Clone:
    """ahead: seconds that its clock is. calls: a file with a byte for each request that the remote got."""

    name: str
    root: Path
    url: str
    overrides: str
    calls: Path
    wanted: Wanted
    ahead: int = 0
    serial: int = 0
    done: list[Done] = field(default_factory=list)
    shown: dict[str, str] = field(default_factory=dict)  # answers seen in its results, by what was asked

    def pull(self, wanted: Wanted) -> None:
        """Have the files say this."""
        self.wanted = wanted
        (self.root / "specs").mkdir(parents=True, exist_ok=True)
        (self.root / "data").mkdir(exist_ok=True)
        (self.root / "specs/lab.yaml").write_text(wanted.spec(self.url, self.overrides))
        for dataset in wanted.rows:
            (self.root / f"data/{dataset}.csv").write_text(wanted.table(dataset))

    def environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "TMPDIR") if name in os.environ}
        home = str(self.root.parent / f"home-{self.name}")
        kept |= {"HOME": home, "RUNNER_HOME": home, "LAB_KEY": KEY, "PYTHONWARNINGS": "error"}
        if self.ahead:
            kept |= {"LD_PRELOAD": skewed(), "SKEW_SECONDS": str(self.ahead)}
        return kept

    def run(self, *words: str) -> Done:
        return Command(self, words).end()

    def start(self, *words: str) -> Command:
        return Command(self, words)

    # -- its state and its outputs

    @property
    def state(self) -> Path:
        return self.root / ".runner"

    def lines(self, job: Job) -> list[dict[str, Any]] | None:
        """A results file; None where there is none."""
        path = self.root / job.output
        if not path.exists():
            return None
        return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]

    def answers(self) -> dict[str, str]:
        """What the results files answer, by what was asked: answers begin with it. A file may be older than an edit."""
        lines = [line for job in self.wanted.jobs for line in self.lines(job) or ()]
        return {line["answer"].partition(" :: ")[0]: line["answer"] for line in lines if line["answer"] is not None}
