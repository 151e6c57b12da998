"""One process of ours beside this one: what we send it and what it answers travel in frames over two pipes.

It has an environment without keys, sees Ctrl-C only through us, and ends when its pipe closes, so it never outlives us.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import runner
from runner.compile.frames import LENGTH, framed

SILENCE_SECONDS = 60  # a chunk takes milliseconds; processor time is limited by the process itself
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")


class WorkerDied(Exception):
    """The process ended or fell silent: a row took too much, or it was killed."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"the process ended with {code}")
        self.code = code  # negative: a signal; None: it was silent and we ended it


class Process:
    """A module of ours that runs beside us. Frames are answered in order; more than one may be under way."""

    def __init__(self, module: str, *arguments: str, fds: Sequence[int] = ()) -> None:
        """fds: of files that it has as well. Raises OSError."""
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        home = str(Path(runner.__file__).parents[1])
        self._process = subprocess.Popen(
            # -P: a `jinja2.py` in the current directory is not ours to import
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # hashes of texts without chance: whatever walks over a set in there comes out in the same order each time
            env=environment | {"PYTHONPATH": home, "PYTHONHASHSEED": "0"},
            process_group=0,  # Ctrl-C is for us: the process ends when we do
            pass_fds=fds,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        # Neither side may wait for the other: while we write a frame, it may be writing the answer to the one before,
        # and with both pipes full nobody would read.
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._stdout, False)
        self._unsent = bytearray()
        self._heard = bytearray()
        self._is_closed = False
        self._code: int | None = None  # that it ended with, where it did by itself
        self.under_way = 0

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._is_closed = True
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def tell(self, data: bytes) -> None:
        """Queue what is not answered."""
        self._unsent += framed(data)

    def ask(self, data: bytes) -> None:
        """Queue what is answered, and hand over as much as the process takes now. Raises WorkerDied."""
        self.tell(data)
        self.under_way += 1
        self._move(0)

    def answer(self) -> bytes:
        """Wait for the oldest answer under way. Raises WorkerDied."""
        if (data := self.answer_within(SILENCE_SECONDS)) is None:
            self.close()
            raise WorkerDied(None)
        return data

    def answer_within(self, seconds: float) -> bytes | None:
        """The oldest answer under way; None where nothing more is heard for so long. Raises WorkerDied."""
        while (data := self._whole_frame()) is None:
            if not self._move(seconds):
                return None
        return data

    def _whole_frame(self) -> bytes | None:
        if len(self._heard) < LENGTH.size:
            return None
        end = LENGTH.size + LENGTH.unpack_from(self._heard)[0]
        if len(self._heard) < end:
            return None
        data = memoryview(self._heard)[LENGTH.size : end].tobytes()
        del self._heard[:end]
        self.under_way -= 1
        return data

    def _move(self, seconds: float) -> bool:
        """Write and read what is possible now, waiting at most `seconds` for anything to be."""
        if self._is_closed:  # the numbers of its pipes may be those of other files by now
            raise WorkerDied(self._code)
        # `poll`, since `select` fails for descriptors above 1,023. One piece a turn, then a look at both pipes again: a
        # process that is kept from writing its results reads no more rows, and would never take the rest.
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN)
        if self._unsent:
            poll.register(self._stdin, select.POLLOUT)
        ready = poll.poll(seconds * 1000)
        for pipe, _ in ready:
            try:
                if pipe == self._stdout:
                    self._read()
                else:
                    del self._unsent[: os.write(self._stdin, self._unsent[: 1 << 20])]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._died()
        return bool(ready)

    def _read(self) -> None:
        piece = os.read(self._stdout, 1 << 20)
        if not piece:
            self._died()
        self._heard += piece

    def _died(self) -> None:
        self._code = self._process.wait()
        self.close()
        raise WorkerDied(self._code)
