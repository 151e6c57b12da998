"""Our side of the rendering processes: start, feed, listen, end. One is enough; a second starts when two are needed."""

from __future__ import annotations

import atexit

import msgspec

from runner.compile.frames import Chunk, Done, Readings, Ready, RenderFailure, Reply, Setup, decode_reply, encode
from runner.compile.process import Process, WorkerDied

__all__ = ["CPU_SECONDS", "Worker", "WorkerDied", "close", "give_back", "take"]

CPU_SECONDS = 1_800  # of one process, over all jobs of a command; a usual row takes twenty millionths
_IDLE: list[Worker] = []


class Worker(Process):
    """One rendering process. Requests are answered in order; more than one may be under way."""

    def __init__(self, cpu_seconds: int = CPU_SECONDS) -> None:
        super().__init__("runner.compile.worker", str(cpu_seconds))
        self._asked: Setup | Readings | None = None

    def setup(self, asked: Setup | Readings) -> RenderFailure | None:
        """Set what is done with the chunks that follow; why not, if a template or a pattern does not compile."""
        if asked == self._asked:
            return None
        self._asked = None
        self.ask(encode(asked))
        reply = self._receive()
        assert isinstance(reply, Ready)
        if reply.failure is None:
            self._asked = asked
        return reply.failure

    def send(self, rows: list[msgspec.Raw]) -> None:
        """Queue a chunk of rows, each one JSON object, and hand over as much as the process takes now."""
        self.ask(encode(Chunk(rows)))

    def receive(self) -> list[list[str | None] | RenderFailure | None]:
        """Wait for the results of the oldest chunk under way. Raises WorkerDied."""
        reply = self._receive()
        assert isinstance(reply, Done)
        return reply.results

    def _receive(self) -> Reply:
        reply: Reply = decode_reply(self.answer())
        return reply


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
