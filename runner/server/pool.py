"""Threads for engines that wait: daemons, so that a request in flight never keeps a stopping server alive."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Pool:
    """`size` threads that run jobs in the order they came."""

    def __init__(self, size: int, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._size = size
        # not a ThreadPoolExecutor: the interpreter waits for its threads when it ends, here for an answer that may take
        # minutes
        for number in range(size):
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def put(self, job: Callable[[], None]) -> None:
        """Run `job` soon. It must not raise."""
        self._jobs.put(job)

    def close(self) -> None:
        """Let the threads end after what is queued; does not wait for them."""
        # one for each thread, behind what is queued
        for _ in range(self._size):
            self._jobs.put(None)
