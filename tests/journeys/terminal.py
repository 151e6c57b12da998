"""A command on a terminal of its own: what it shows, what is typed, how it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.journeys.lab import KEY, RUNNER

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CTRL_C, CTRL_D = "\x03", "\x04"


@dataclass
class Terminal:
    """The master's end. `shown` is everything so far, without colours and with plain line ends."""

    pid: int
    master: int
    raw: bytes = b""
    code: int | None = None

    @property
    def shown(self) -> str:
        return _COLOURS.sub("", self.raw.decode(errors="replace")).replace("\r\n", "\n")

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        """Read until `text` is shown."""
        until = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < until, f"`{text}` was not shown:\n{self.shown}"
            assert self._read(until) or text in self.shown, f"it ended without `{text}`:\n{self.shown}"

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def end(self, seconds: float = 60.0) -> int:
        """The exit code, once it has ended."""
        until = time.monotonic() + seconds
        while self._read(until):
            assert time.monotonic() < until, f"it does not end:\n{self.shown}"
        while self.code is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.code = os.waitstatus_to_exitcode(status)
            assert time.monotonic() < until, "it does not end"
            time.sleep(0.01)
        assert "Traceback" not in self.shown, self.shown
        assert KEY not in self.shown
        return self.code

    def _read(self, until: float) -> bool:
        """Whether there may be more."""
        ready, _, _ = select.select([self.master], [], [], max(0.0, min(until - time.monotonic(), 0.2)))
        if not ready:
            return True
        try:
            part = os.read(self.master, 1 << 16)
        except OSError:  # nobody holds the other end any more
            return False
        self.raw += part
        return bool(part)


@contextlib.contextmanager
def terminal(
    root: Path, environ: Mapping[str, str], *words: str, columns: int = 100, command: list[str] = RUNNER
) -> Iterator[Terminal]:
    """`runner WORDS` in `root`, with a terminal as its stdin, stdout and stderr that also sends its signals."""
    pid, master = pty.fork()
    if pid == 0:
        try:
            os.chdir(root)
            os.execvpe(command[0], [*command, *words], {**environ, "TERM": "xterm"})
        finally:
            os._exit(127)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    made = Terminal(pid, master)
    try:
        yield made
    finally:
        if made.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
            os.waitpid(pid, 0)
        os.close(master)
