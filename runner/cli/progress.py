"""What happens while a command waits: one line a job, redrawn on a terminal; a line for every change elsewhere.

A remote that hangs is waited for with a word, on a terminal with the time it has taken; one that is asked again is
warned of, once for each cause.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TextIO

from runner.apply.reporter import Progress
from runner.cli import voice
from runner.cli.saying import columns_of, folded
from runner.cli.suggest import carried, given, root
from runner.cli.unchanged import running
from runner.clock import Clock
from runner.errors import RemoteError

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live
    from rich.table import Table

PLAIN_SECONDS = 30.0  # without a terminal, a line at least this seldom while nothing but counts changes
CAUSE_SECONDS = 600.0  # what did not happen for so long is a new cause when it does, and is told again
SEEN_SECONDS = 10.0  # a remote that said something since needs no mention


class Watcher(Protocol):
    """A Reporter that is told when the work is over."""

    def step(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def progress(self, jobs: Sequence[Progress]) -> None: ...
    def silent(self, since: Mapping[str, float]) -> None: ...
    def retried(self, who: str, error: RemoteError, wait_seconds: float, number: int, most: int) -> None: ...
    def close(self) -> None: ...


def watcher(clock: Clock, *, quiet: bool) -> Watcher:
    """Whatever suits stderr: redrawn lines on a terminal, plain ones elsewhere, warnings alone when quiet."""
    if not quiet and sys.stderr.isatty() and not voice.is_dumb():
        return Redrawn(clock)
    return PlainLines(clock, sys.stderr, quiet=quiet)


def aside(clock: Clock) -> Aside:
    """For a command that does nothing but look, or one thing: no word but of remotes that keep it waiting."""
    return Aside(watcher(clock, quiet=False))


class Aside:
    def __init__(self, watched: Watcher) -> None:
        self.silent = watched.silent
        self.retried = watched.retried
        self.close = watched.close

    def step(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def progress(self, jobs: Sequence[Progress]) -> None:
        pass


class _Causes:
    """What was told before. Many calls meet the same trouble, at once and one after the other."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[object, float] = {}
        self._lock = threading.Lock()

    def is_new(self, cause: object) -> bool:
        """Whether this happens for the first time, or for the first time in a long while."""
        with self._lock:
            now = self._clock.monotonic()
            before = self._last.get(cause)
            self._last[cause] = now
        return before is None or now - before > CAUSE_SECONDS


def _again(error: RemoteError, wait_seconds: float, number: int, most: int) -> str:
    wait = f"{wait_seconds:.1f}" if wait_seconds < 10 else f"{wait_seconds:.0f}"
    return f"{error.message}; trying again in {wait} s (try {number} of {most})"


def _cause_of(who: str, error: RemoteError, number: int) -> object:
    """Two errors of one cause may differ in their words, as by the id of the request."""
    return who, type(error), error.status, number


class PlainLines:
    """One line when the phase of a job changes, and now and then."""

    def __init__(self, clock: Clock, out: TextIO, *, quiet: bool = False) -> None:
        self._clock = clock
        self._paths, self._folder = given.get(), root.get()  # told from other threads as well
        self._out = out
        self._command = running.get()
        self._quiet = quiet
        self._said: dict[str, tuple[str, float]] = {}
        self._causes = _Causes(clock)

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
                self.step("  ".join(filter(None, _cells(job, self._clock))))

    def silent(self, since: Mapping[str, float]) -> None:
        for who in since:
            if self._causes.is_new(who):
                self.step(f"waiting for `{who}` ...")

    def retried(self, who: str, error: RemoteError, wait_seconds: float, number: int, most: int) -> None:
        if self._causes.is_new(_cause_of(who, error, number)):
            self.warn(_again(error, wait_seconds, number, most))

    def close(self) -> None:
        pass

    def _print(self, text: str) -> None:
        if self._command is not None:
            self._command.said = None
        text = folded(carried(voice.plain(text), self._paths, self._folder), columns_of(self._out))
        self._out.write(f"{text}\n")
        self._out.flush()


class Redrawn:
    """The running jobs stay at the bottom of the terminal, and what is waited for; what was done scrolls by above."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._paths, self._folder = given.get(), root.get()
        self._command = running.get()
        self._jobs: Sequence[Progress] = ()
        self._silent: Mapping[str, float] = {}
        self._causes = _Causes(clock)
        self._lock = threading.RLock()  # remotes fall silent, and speak, on other threads
        self._live: Live | None = None

    def step(self, text: str) -> None:
        self._print(voice.plain(text))

    def warn(self, text: str) -> None:
        self._print(f"warning: {voice.plain(text)}")

    def progress(self, jobs: Sequence[Progress]) -> None:
        with self._lock:
            self._jobs = jobs
            self._redraw()

    def silent(self, since: Mapping[str, float]) -> None:
        with self._lock:
            self._silent = since
            self._redraw()

    def retried(self, who: str, error: RemoteError, wait_seconds: float, number: int, most: int) -> None:
        if self._causes.is_new(_cause_of(who, error, number)):
            self.warn(_again(error, wait_seconds, number, most))

    def close(self) -> None:
        with self._lock:
            self._jobs, self._silent = (), {}
            self._redraw()

    def _redraw(self) -> None:
        if self._jobs or self._silent:
            self._display().refresh()
        elif self._live is not None:
            self._live.stop()
            self._live = None

    def _display(self) -> Live:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, highlight=False, no_color=not voice.has_colour())
            self._live = Live(console=console, get_renderable=self._shown, refresh_per_second=1, transient=True)
            self._live.start()
        return self._live

    def _shown(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        now = self._clock.monotonic()
        waits = [
            Text(f"waiting for `{who}` ... {voice.elapsed(max(now - at, 0.0))}") for who, at in self._silent.items()
        ]
        return Group(*([self._table()] if self._jobs else []), *waits)

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for job in self._jobs:
            table.add_row(*(Text(cell) for cell in _cells(job, self._clock)))
        return table

    def _print(self, text: str) -> None:
        if self._command is not None:
            self._command.said = None
        text = folded(carried(text, self._paths, self._folder), columns_of(sys.stderr))
        with self._lock:
            if self._live is not None:
                self._live.console.print(text, markup=False, soft_wrap=True)
            else:
                sys.stderr.write(f"{text}\n")


def _cells(job: Progress, clock: Clock) -> tuple[str, ...]:
    """How long its batches have been under way, whenever this command began, and whether that is still so."""
    now = clock.now()
    seconds = max((now - job.since).total_seconds(), 0.0) if job.since else 0.0
    return job.address, job.phase, f"{job.done:,}/{job.total:,}", voice.elapsed(seconds), _seen(job, seconds, now)


def _seen(job: Progress, seconds: float, now: datetime) -> str:
    """When its remote last spoke of it; nothing where that was just now."""
    if job.seen_at is None:
        return "not seen yet" if seconds >= SEEN_SECONDS else ""
    ago = (now - job.seen_at).total_seconds()
    return f"last seen {voice.elapsed(ago)} ago" if ago >= SEEN_SECONDS else ""
