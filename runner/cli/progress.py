"""Progress while apply waits: one line a job, redrawn on a terminal; a line for every change elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from runner.apply.reporter import Progress
from runner.cli import voice
from runner.clock import Clock

PLAIN_SECONDS = 30.0  # without a terminal, a line at least this seldom while nothing but counts changes
_CLEAR_LINE = "\x1b[2K"
_UP = "\x1b[A"


class Terminal:
    """Writes steps and progress to stderr. On a terminal the running jobs stay at the bottom."""

    def __init__(
        self, clock: Clock, out: TextIO | None = None, *, quiet: bool = False, live: bool | None = None
    ) -> None:
        self._out = out or sys.stderr
        self._clock = clock
        self._quiet = quiet
        self._live = self._out.isatty() if live is None else live
        self._started: dict[str, float] = {}
        self._said: dict[str, tuple[str, float]] = {}
        self._drawn = 0

    def step(self, text: str) -> None:
        if not self._quiet:
            self._print(text)

    def warn(self, text: str) -> None:
        self._print(f"warning: {text}")

    def progress(self, jobs: Sequence[Progress]) -> None:
        if self._quiet:
            return
        for job in jobs:
            self._started.setdefault(job.address, self._clock.monotonic())
        if self._live:
            self._erase()
            for job in jobs:
                self._out.write(f"{self._line(job)}\n")
            self._drawn = len(jobs)
            self._out.flush()
        else:
            for job in jobs:
                self._say(job)

    def _say(self, job: Progress) -> None:
        """Without a terminal: when the phase changes, and now and then."""
        now = self._clock.monotonic()
        phase, at = self._said.get(job.address, ("", float("-inf")))
        if phase != job.phase or now - at >= PLAIN_SECONDS:
            self._said[job.address] = (job.phase, now)
            self._print(self._line(job))

    def _line(self, job: Progress) -> str:
        seconds = self._clock.monotonic() - self._started[job.address]
        return f"{job.address}  {job.phase}  {job.done:,}/{job.total:,}  {voice.elapsed(seconds)}"

    def _erase(self) -> None:
        self._out.write(f"{_UP}{_CLEAR_LINE}" * self._drawn)
        self._drawn = 0

    def _print(self, text: str) -> None:
        if self._live:
            self._erase()
        self._out.write(f"{voice.plain(text)}\n")
        self._out.flush()
