"""What happens while a command waits: a table of jobs, redrawn on a terminal; a line for every change elsewhere.

A remote that hangs is waited for with a word, on a terminal with the time it has taken; one that is asked again is
warned of, once for each cause.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from runner.apply.reporter import Progress
from runner.cli import voice
from runner.cli.saying import columns_of, folded
from runner.cli.suggest import carried, given, root
from runner.cli.unchanged import running
from runner.cli.watcher import Watcher
from runner.clock import Clock
from runner.errors import RemoteError

if TYPE_CHECKING:
    from runner.cli.pace import Paces
    from runner.job.events import Event
    from runner.remotes.transport.waits import Moving

PLAIN_SECONDS = 60.0  # without a terminal, a word at least this seldom while nothing but counts changes
MOST_LINES = 8  # jobs that have a line each then; of more there is one of all
CAUSE_SECONDS = 600.0  # what did not happen for so long is a new cause when it does, and is told again


def watcher(clock: Clock, *, quiet: bool) -> Watcher:
    """Whatever suits stderr: redrawn lines on a terminal, plain ones elsewhere, warnings alone when quiet.

    Under `--events` it tells that file as well.
    """
    shown = _of_stderr(clock, quiet=quiet)
    if "runner.cli.events" not in sys.modules:  # nobody asked for events
        return shown
    from runner.cli import events

    file = events.current.get()
    return shown if file is None else events.Telling(shown, file, clock)


def _of_stderr(clock: Clock, *, quiet: bool) -> Watcher:
    if not quiet and sys.stderr.isatty() and not voice.is_dumb():
        return Redrawn(clock, sys.stderr)
    return PlainLines(clock, sys.stderr, quiet=quiet)


def aside(clock: Clock) -> Aside:
    """For a command that does nothing but look, or one thing: no word but of remotes that keep it waiting."""
    return Aside(watcher(clock, quiet=False))


class Aside:
    def __init__(self, watched: Watcher) -> None:
        self.silent = watched.silent
        self.moving = watched.moving
        self.happened = watched.happened
        self.interrupted = watched.interrupted
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

    def retried(
        self, to: PlainLines | Redrawn, who: str, error: RemoteError, wait_seconds: float, number: int, most: int
    ) -> None:
        """Warn of the first try that failed, and say of those that follow for the same cause that they follow."""
        cause = who, type(error), error.status  # their words may differ, as by a request's id
        is_first, is_next = self.is_new(cause), self.is_new((*cause, number))
        wait = f"{wait_seconds:.1f}" if wait_seconds < 10 else f"{wait_seconds:.0f}"
        again = f"trying again in {wait} s (try {number} of {most})"
        if is_first:
            to.warn(f"{error.message}; {again}")
        elif is_next:
            to.step(f"`{who}`: {again}")


class PlainLines:
    """One line when the phase of a job changes, and now and then."""

    def __init__(self, clock: Clock, out: TextIO, *, quiet: bool = False) -> None:
        self._clock = clock
        self._paths, self._folder = given.get(), root.get()  # told from other threads as well
        self._out = out
        self._command = running.get()
        self._quiet = quiet
        self._phases: dict[str, str] = {}
        self._paces: Paces | None = None
        self._told, self._told_at = False, clock.monotonic()
        self._moved_at = clock.monotonic()
        self._causes = _Causes(clock)

    def step(self, text: str) -> None:
        if not self._quiet:
            self._print(text)

    def warn(self, text: str) -> None:
        self._print(f"warning: {text}")

    def progress(self, jobs: Sequence[Progress]) -> None:
        from runner.cli.jobtable import cells_of, line_of, total_of  # not before there is something to wait for

        now = self._clock.monotonic()
        paces = self._paces = _noted(self._paces, jobs, now)
        changed = [job for job in jobs if self._phases.get(job.address) != job.phase]
        self._phases = {job.address: job.phase for job in jobs}
        if now - self._told_at >= PLAIN_SECONDS or not self._told:
            told = list(jobs) if len(jobs) <= MOST_LINES else [*changed, total_of(jobs)]
            self._told, self._told_at = bool(jobs), now
        else:
            told = changed
        for job in told:
            self.step(line_of(cells_of(job, paces.of(job), self._clock.now())))

    def moving(self, calls: Mapping[str, Moving]) -> None:
        now = self._clock.monotonic()
        if not calls:
            self._moved_at = now
        elif now - self._moved_at >= PLAIN_SECONDS:
            self._moved_at = now
            for who, moving in calls.items():
                self.step(_on_their_way(who, moving))

    def silent(self, since: Mapping[str, float]) -> None:
        for who in since:
            if self._causes.is_new(who):
                self.step(f"waiting for `{who}` ...")

    def retried(self, who: str, error: RemoteError, wait_seconds: float, number: int, most: int) -> None:
        self._causes.retried(self, who, error, wait_seconds, number, most)

    def happened(self, event: Event) -> None:
        pass  # a step says it

    def interrupted(self, text: str) -> None:
        os.write(self._out.fileno(), f"\n{text}\n".encode())  # a signal's handler must not use the buffer

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

    def __init__(self, clock: Clock, out: TextIO) -> None:
        self._clock = clock
        self._paths, self._folder = given.get(), root.get()
        self._command = running.get()
        self._out = out
        self._jobs: Sequence[Progress] = ()
        self._silent: Mapping[str, float] = {}
        self._moving: Mapping[str, Moving] = {}
        self._paces: Paces | None = None
        self._causes = _Causes(clock)
        from runner.cli.screen import Screen

        self._screen = Screen(out, self._lines)  # remotes fall silent, and speak, on other threads

    def step(self, text: str) -> None:
        self._print(voice.plain(text))

    def warn(self, text: str) -> None:
        self._print(f"warning: {voice.plain(text)}")

    def progress(self, jobs: Sequence[Progress]) -> None:
        self._paces = _noted(self._paces, jobs, self._clock.monotonic())
        self._jobs = jobs
        self._screen.draw()

    def silent(self, since: Mapping[str, float]) -> None:
        self._silent = since
        self._screen.draw()

    def moving(self, calls: Mapping[str, Moving]) -> None:
        self._moving = calls
        self._screen.draw()

    def retried(self, who: str, error: RemoteError, wait_seconds: float, number: int, most: int) -> None:
        self._causes.retried(self, who, error, wait_seconds, number, most)

    def happened(self, event: Event) -> None:
        pass

    def interrupted(self, text: str) -> None:
        self._screen.scroll(f"\n{text}")

    def close(self) -> None:
        self._jobs, self._silent, self._moving = (), {}, {}
        self._screen.clear()

    def _lines(self, columns: int, lines: int) -> list[str]:
        now = self._clock.monotonic()
        waits = [f"waiting for `{who}` ... {voice.elapsed(max(now - at, 0.0))}" for who, at in self._silent.items()]
        waits += [_on_their_way(who, moving) for who, moving in self._moving.items()]
        waits = [folded(voice.plain(line), columns).split("\n")[0] for line in waits][: max(lines - 2, 0)]
        if not self._jobs or self._paces is None:
            return waits
        from runner.cli.jobtable import FEWEST_LINES, drawn

        room = min(max(lines - len(waits), 1), max(lines // 2, FEWEST_LINES))
        return [*drawn(self._jobs, self._paces.of, self._clock.now(), columns=columns, lines=room), *waits]

    def _print(self, text: str) -> None:
        if self._command is not None:
            self._command.said = None
        self._screen.scroll(folded(carried(text, self._paths, self._folder), columns_of(self._out)))


def _noted(paces: Paces | None, jobs: Sequence[Progress], now: float) -> Paces:
    """The paces of jobs, with where they are now."""
    if paces is None:
        from runner.cli.pace import Paces

        paces = Paces()
    paces.note(jobs, now)
    return paces


def _on_their_way(who: str, moving: Moving) -> str:
    """`lab: 12.4 MB sent so far`."""
    sent = f"{voice.size(moving.sent)} sent" if moving.sent >= moving.received else ""
    received = f"{voice.size(moving.received)} received" if moving.received > moving.sent else ""
    return f"`{who}`: {sent or received} so far"
