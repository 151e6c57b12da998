"""What the worker needs to know of an API: how to judge an input file, read a line of it, and write a result."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from runner.server.engines.base import EngineReply, EngineRequest
from runner.server.records import BatchProblem, BatchState, File, StoredBatch


class InputVerdict(NamedTuple):
    """What validation found. Any problem fails the whole batch."""

    problems: list[BatchProblem]
    model: str = ""
    rows: int = 0
    enqueued_tokens: int = 0


class Published(NamedTuple):
    """The files of an ended batch, before they are recorded."""

    output: File | None
    error: File | None


class Dialect(Protocol):
    """One remote API, seen from the worker."""

    name: str
    is_queued: bool  # accepted batches wait, then start, before their rows are asked
    keeps_empty_files: bool  # a result file without lines is made all the same

    def check(self, batch: StoredBatch, source: Path, stopped: Callable[[], bool]) -> InputVerdict:
        """Judge the input at `source` (absent: the file is not to be seen). Ends early once `stopped()`."""
        ...

    def request_of(self, batch: StoredBatch, line: bytes) -> EngineRequest:
        """What an engine is asked by one line of a validated input."""
        ...

    def result_line(self, batch: StoredBatch, ordinal: int, custom_id: str, reply: EngineReply) -> bytes:
        """A line of the output or the error file, without its newline."""
        ...

    def unfinished_lines(
        self, batch: StoredBatch, rows: Iterator[tuple[int, bytes]], ending: BatchState
    ) -> Iterator[bytes]:
        """Error lines for rows (ordinal, input line) never asked, because their batch expired or was cancelled."""
        ...

    def result_file(self, batch: StoredBatch, file_id: str, *, is_output: bool, size_bytes: int, now: float) -> File:
        """The record of a result file: its name, purpose and expiry."""
        ...

    def record(self, db: sqlite3.Connection, before: StoredBatch, after: StoredBatch) -> None:
        """Write what else a change of a batch means, in the same transaction."""
        ...
