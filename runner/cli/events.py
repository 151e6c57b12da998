"""`--events FILE`: what happens while a command runs, one JSON object a line, for programs that watch it.

The words are those of the log, and a few more for what is never recorded: progress, warnings, bytes on their way. A
file that cannot be written any more stops no command.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

import click
import msgspec

from runner.apply.reporter import Progress
from runner.cli.pace import Paces
from runner.cli.saying import say
from runner.cli.watcher import Watcher
from runner.clock import Clock
from runner.errors import RemoteError, RunnerError, UsageError
from runner.job.events import VERSION, Event, What
from runner.remotes.transport.waits import Moving

HEARTBEAT_SECONDS = 60.0  # a job on which nothing changes is told of this seldom
_MOST_WAITING = 1 << 20  # bytes that a slow reader may leave unread, beyond what its pipe holds


class Line(Event, frozen=True, omit_defaults=True, kw_only=True):
    """One line of the file: an event of the log as it was written down, or what is told and in no log.

    What does not apply is left out; readers pass over what they do not know.
    """

    version: int
    text: str = ""  # in words
    done: int | None = None  # rows
    total: int | None = None
    tokens: int | None = None
    per_second: float | None = None  # rows, or calls
    left_seconds: float | None = None  # about, until all is done
    seen_at: datetime | None = None  # when its remote last spoke of the job
    sent_bytes: int | None = None
    received_bytes: int | None = None
    exit_code: int | None = None


current: ContextVar[EventFile | None] = ContextVar("current", default=None)  # of the command that runs


class EventFile:
    """Lines, each written at once. What went wrong with that is there to be taken and told, once.

    Raises UsageError for a file that cannot be opened.
    """

    def __init__(self, path: str) -> None:
        if path == "-":
            raise UsageError(
                "`--events -`: stdout is for the answer", hint="name a file or a pipe, or write `--events /dev/stderr`"
            )
        self.path = path
        self.code = 0  # of the command, once it has one
        self._waiting = b""
        self._is_over = False
        self._lock = threading.RLock()
        self._trouble: str | None = None  # empty once it was taken
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, 0o644)
        except OSError as error:
            is_pipe = error.errno == errno.ENXIO
            raise UsageError(
                f"`--events {path}`: {'nobody reads this pipe' if is_pipe else error.strerror}",
                hint="open it for reading first" if is_pipe else "",
            ) from error
        if not stat.S_ISFIFO(os.fstat(self._descriptor).st_mode):
            os.set_blocking(self._descriptor, True)  # it may be our own stderr under another name

    def write(self, line: Line) -> None:
        """Append one line, and what an earlier try left."""
        with self._lock:
            if self._is_over:
                return
            self._waiting += msgspec.json.encode(line) + b"\n"
            try:
                while self._waiting:
                    self._waiting = self._waiting[os.write(self._descriptor, self._waiting) :]
            except BlockingIOError:
                if len(self._waiting) >= _MOST_WAITING:
                    self._failed("its reader does not keep up", is_for_good=True)
            except OSError as error:
                # A disk that is full may have room again
                is_for_good = error.errno == errno.EPIPE or len(self._waiting) >= _MOST_WAITING
                self._failed(error.strerror or str(error), is_for_good=is_for_good)

    def _failed(self, why: str, *, is_for_good: bool) -> None:
        if self._trouble is None:
            self._trouble = f"`{self.path}` cannot be written: {why}; the command goes on without its events"
        if is_for_good:
            self._waiting = b""
            self.close()

    def trouble(self) -> str:
        """What went wrong; empty where nothing did, and once it was told."""
        with self._lock:
            found, self._trouble = self._trouble, "" if self._trouble is not None else None
        return found or ""

    def close(self) -> None:
        with self._lock:
            if not self._is_over:
                self._is_over = True
                os.close(self._descriptor)


@contextmanager
def written_to(path: str, clock: Clock, command: str) -> Iterator[EventFile]:
    """Have the watchers of this command tell a file too; how it began is written first, and how it ended last."""
    file = EventFile(path)
    token = current.set(file)
    code = 1
    try:
        file.write(Line(version=VERSION, event=What.BEGAN, at=clock.now(), command=command))
        yield file
        code = file.code
    except BaseException as error:
        code = _code_of(error)
        raise
    finally:
        current.reset(token)
        file.write(Line(version=VERSION, event=What.FINISHED, at=clock.now(), command=command, exit_code=code))
        file.close()
        if trouble := file.trouble():
            say(f"warning: {trouble}", err=True)


def _code_of(error: BaseException) -> int:
    match error:
        case RunnerError():
            return error.exit_code
        case click.exceptions.Exit():
            return error.exit_code
        case click.ClickException():
            return 64
        case KeyboardInterrupt() | click.Abort():
            return 130
        case _:
            return 1


class Telling:
    """A Watcher that tells a file what it is told, and then another watcher."""

    def __init__(self, inner: Watcher, file: EventFile, clock: Clock) -> None:
        self._inner = inner
        self._file = file
        self._clock = clock
        self._paces = Paces()
        self._shown: dict[str, tuple[Progress, float]] = {}
        self.interrupted = inner.interrupted
        self.close = inner.close

    def happened(self, event: Event) -> None:
        known = {name: getattr(event, name) for name in Event.__struct_fields__}
        self._write(Line(version=VERSION, **known))

    def step(self, text: str) -> None:
        self._tell(What.STEP, text=text)
        self._inner.step(text)

    def warn(self, text: str) -> None:
        self._tell(What.WARNED, text=text)
        self._inner.warn(text)

    def progress(self, jobs: Sequence[Progress]) -> None:
        now = self._clock.monotonic()
        self._paces.note(jobs, now)
        for job in jobs:
            before, at = self._shown.get(job.address, (None, 0.0))
            if before is not None and _is_same(before, job) and now - at < HEARTBEAT_SECONDS:
                continue
            self._shown[job.address] = job, now
            pace = self._paces.of(job)
            self._tell(
                What.PROGRESS,
                job=job.address,
                state=job.phase,
                done=job.done,
                total=job.total,
                failed=job.failed,
                tokens=job.tokens,
                usd=job.usd,
                estimated_usd=job.most_usd,
                per_second=pace.per_second,
                left_seconds=pace.left_seconds,
                seen_at=job.seen_at,
            )
        self._inner.progress(jobs)

    def silent(self, since: Mapping[str, float]) -> None:
        for who in since:
            self._tell(What.SILENT, provider=who)
        self._inner.silent(since)

    def moving(self, calls: Mapping[str, Moving]) -> None:
        for who, one in calls.items():
            self._tell(What.MOVING, provider=who, sent_bytes=one.sent, received_bytes=one.received)
        self._inner.moving(calls)

    def retried(self, who: str, error: RemoteError, wait_seconds: float, number: int, most: int) -> None:
        self._tell(What.AGAIN, provider=who, text=error.message, left_seconds=wait_seconds)
        self._inner.retried(who, error, wait_seconds, number, most)

    def _tell(self, event: What, **fields: object) -> None:
        line = Line(version=VERSION, event=event, at=self._clock.now())
        self._write(msgspec.structs.replace(line, **fields))

    def _write(self, line: Line) -> None:
        self._file.write(line)
        if trouble := self._file.trouble():
            self._inner.warn(trouble)


def _is_same(before: Progress, now: Progress) -> bool:
    """Whether a reader would learn nothing new but that it was seen again."""
    return (before.phase, before.done, before.total, before.failed) == (now.phase, now.done, now.total, now.failed)
