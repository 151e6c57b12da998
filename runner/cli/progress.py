"""Progress while apply waits: one line a job, redrawn on a terminal; a line for every change elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

from runner.apply.reporter import Progress
from runner.cli import voice
from runner.cli.saying import columns_of, folded
from runner.cli.suggest import carried, given
from runner.clock import Clock

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

PLAIN_SECONDS = 30.0  # without a terminal, a line at least this seldom while nothing but counts changes


class Watcher(Protocol):
    """A Reporter that is told when the work is over."""

    def step(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def progress(self, jobs: Sequence[Progress]) -> None: ...
    def close(self) -> None: ...


def watcher(clock: Clock, *, quiet: bool) -> Watcher:
    """Whatever suits stderr: redrawn lines on a terminal, plain ones elsewhere, warnings alone when quiet."""
    if not quiet and sys.stderr.isatty() and not voice.is_dumb():
        return Redrawn(clock)
    return Plain(clock, sys.stderr, quiet=quiet)


class Plain:
    """One line when the phase of a job changes, and now and then."""

    def __init__(self, clock: Clock, out: TextIO, *, quiet: bool = False) -> None:
        self._clock = clock
        self._paths = given.get()  # told from other threads as well
        self._out = out
        self._quiet = quiet
        self._said: dict[str, tuple[str, float]] = {}

    def step(self, text: str) -> None:
        if not self._quiet:
            self._print(text)

    def warn(self, text: str) -> None:
        self._print(f"warning: {text}")

    def progress(self, jobs: Sequence[Progress]) -> None:
        now = self._clock.monotonic()
        for job in jobs:
            phase, at = self._said.get(job.address, ("", float("-inf")))
            if phase != job.phase or now - at >= PLAIN_SECONDS:
                self._said[job.address] = (job.phase, now)
                self.step("  ".join(_cells(job, self._clock)))

    def close(self) -> None:
        pass

    def _print(self, text: str) -> None:
        text = folded(carried(voice.plain(text), self._paths), columns_of(self._out))
        self._out.write(f"{text}\n")
        self._out.flush()


class Redrawn:
    """The running jobs stay at the bottom of the terminal; what was done scrolls by above them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._paths = given.get()
        self._jobs: Sequence[Progress] = ()
        self._live: Live | None = None

    def step(self, text: str) -> None:
        self._print(voice.plain(text))

    def warn(self, text: str) -> None:
        self._print(f"warning: {voice.plain(text)}")

    def progress(self, jobs: Sequence[Progress]) -> None:
        self._jobs = jobs
        if jobs:
            self._display().refresh()
        else:
            self.close()

    def close(self) -> None:
        if self._live is not None:
            self._jobs = ()
            self._live.stop()
            self._live = None

    def _display(self) -> Live:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, highlight=False, no_color=not voice.has_colour())
            self._live = Live(console=console, get_renderable=self._table, refresh_per_second=1, transient=True)
            self._live.start()
        return self._live

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for job in self._jobs:
            table.add_row(*(Text(cell) for cell in _cells(job, self._clock)))
        return table

    def _print(self, text: str) -> None:
        text = folded(carried(text, self._paths), columns_of(sys.stderr))
        if self._live is not None:
            self._live.console.print(text, markup=False, soft_wrap=True)
        else:
            sys.stderr.write(f"{text}\n")


def _cells(job: Progress, clock: Clock) -> tuple[str, ...]:
    """The last one says how long its batches have been under way, whenever this command began."""
    seconds = (clock.now() - job.since).total_seconds() if job.since else 0.0
    return job.address, job.phase, f"{job.done:,}/{job.total:,}", voice.elapsed(max(seconds, 0.0))
