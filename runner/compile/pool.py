"""Our side of the rendering processes: start, feed, listen, end. One is enough; a second starts when two are needed."""

from __future__ import annotations

import atexit
import os
import select
import subprocess
import sys
from pathlib import Path

import msgspec

import runner
from runner.compile.frames import (
    LENGTH,
    Chunk,
    Done,
    Readings,
    Ready,
    RenderFailure,
    Reply,
    Request,
    Setup,
    decode_reply,
    framed,
)

CPU_SECONDS = 1_800  # of one process, over all jobs of a command; a usual row takes twenty millionths
SILENCE_SECONDS = 60  # a chunk takes milliseconds; processor time is limited by the process itself
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
_IDLE: list[Worker] = []


class WorkerDied(Exception):
    """The process ended or fell silent: a row took too much, or it was killed."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"the rendering process ended with {code}")
        self.code = code  # negative: a signal; None: it was silent and we ended it


class Worker:
    """One rendering process. Requests are answered in order; more than one may be under way."""

    def __init__(self, cpu_seconds: int = CPU_SECONDS) -> None:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        home = str(Path(runner.__file__).parents[1])
        self._process = subprocess.Popen(
            # -P: a `jinja2.py` in the current directory is not ours to import
            [sys.executable, "-P", "-m", "runner.compile.worker", str(cpu_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # hashes of texts without chance: whatever walks over a set in there comes out in the same order each time
            env=environment | {"PYTHONPATH": home, "PYTHONHASHSEED": "0"},
            process_group=0,  # Ctrl-C is for us: the process ends when we do
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        # Neither side may wait for the other: while we write a chunk, it may be writing the results of the one before,
        # and with both pipes full nobody would read.
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._stdout, False)
        self._unsent = bytearray()
        self._heard = bytearray()
        self.under_way = 0

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def setup(self, asked: Setup | Readings) -> RenderFailure | None:
        """Set what is done with the chunks that follow; why not, if a template or a pattern does not compile."""
        self._send(asked)
        reply = self._receive()
        assert isinstance(reply, Ready)
        return reply.failure

    def send(self, rows: list[msgspec.Raw]) -> None:
        """Queue a chunk of rows, each one JSON object, and hand over as much as the process takes now."""
        self._send(Chunk(rows))

    def receive(self) -> list[list[str | None] | RenderFailure | None]:
        """Wait for the results of the oldest chunk under way. Raises WorkerDied."""
        reply = self._receive()
        assert isinstance(reply, Done)
        return reply.results

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _send(self, message: Request) -> None:
        self._unsent += framed(message)
        self.under_way += 1
        self._move(0)

    def _receive(self) -> Reply:
        while (reply := self._whole_frame()) is None:
            if not self._move(SILENCE_SECONDS):
                self.close()
                raise WorkerDied(None)
        self.under_way -= 1
        return reply

    def _whole_frame(self) -> Reply | None:
        if len(self._heard) < LENGTH.size:
            return None
        end = LENGTH.size + LENGTH.unpack_from(self._heard)[0]
        if len(self._heard) < end:
            return None
        reply: Reply = decode_reply(memoryview(self._heard)[LENGTH.size : end].tobytes())
        del self._heard[:end]
        return reply

    def _move(self, seconds: float) -> bool:
        """Write and read what is possible now, waiting at most `seconds` for anything to be."""
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
        code = self._process.wait()
        self.close()
        raise WorkerDied(code)


def take() -> Worker:
    """An idle rendering process, or a new one."""
    while _IDLE:
        worker = _IDLE.pop()
        if worker.is_alive:
            return worker
        worker.close()
    return Worker()


def give_back(worker: Worker) -> None:
    """Keep it for the next job if it is at rest, end it otherwise."""
    if worker.under_way or len(_IDLE) >= 2:
        worker.close()
    else:
        _IDLE.append(worker)


@atexit.register
def close() -> None:
    """End all idle processes."""
    while _IDLE:
        _IDLE.pop().close()
