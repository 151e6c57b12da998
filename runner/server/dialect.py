"""What the worker needs to know of an API: how to judge an input file, read a line of it, and write a result."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from runner.server.engines.base import Ask, Reply
from runner.server.records import Batch, File, Problem, State


class Verdict(NamedTuple):
    """What validation found. Any problem fails the whole batch."""

    problems: list[Problem]
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

    def check(self, batch: Batch, source: Path, stopped: Callable[[], bool]) -> Verdict:
        """Judge the input at `source` (absent: the file is not to be seen). Ends early once `stopped()`."""
        ...

    def ask_of(self, batch: Batch, line: bytes) -> Ask:
        """What an engine is asked by one line of a validated input."""
        ...

    def result_line(self, batch: Batch, ordinal: int, custom_id: str, reply: Reply) -> bytes:
        """A line of the output or the error file, without its newline."""
        ...

    def unfinished_lines(self, batch: Batch, rows: Iterator[tuple[int, bytes]], ending: State) -> Iterator[bytes]:
        """Error lines for rows (ordinal, input line) never asked, because their batch expired or was cancelled."""
        ...

    def result_file(self, batch: Batch, file_id: str, *, is_output: bool, size_bytes: int, now: float) -> File:
        """The record of a result file: its name, purpose and expiry."""
        ...

    def record(self, db: sqlite3.Connection, before: Batch, after: Batch) -> None:
        """Write what else a change of a batch means, in the same transaction."""
        ...
