"""The result files of a batch that ends: spooled lines in another order than the input, and the rows never asked."""

from __future__ import annotations

import mmap
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from runner.server.dialect import Dialect, Published
from runner.server.home import ServerHome
from runner.server.records import BatchState, DoneRow, File, StoredBatch
from runner.server.run import SPOOLS

# Real services promise no order, so clients that count lines instead of reading ids must not get away with it here.
_SHUFFLE_ROWS = 65_536  # lines change places within this many
_FLUSH_BYTES = 1 << 20


class Outputs:
    """Writes result files into the server's directory."""

    def __init__(self, home: ServerHome, new_id: Callable[[], str]) -> None:
        self._home = home
        self._new_id = new_id

    def publish(self, dialect: Dialect, batch: StoredBatch, rows: list[DoneRow], now: float) -> Published:
        """Write the files of `batch`, which has `rows` done; most dialects make none without lines.

        Everything is on the disk when this returns. Doing it again makes other files: the caller records the last ones.
        """
        folder = self._home.work(batch.id)
        shuffle = random.Random(batch.id)  # noqa: S311  # an order, not a secret; the same one after a restart

        def written(*, is_output: bool) -> File | None:
            mine = _shuffled(self.chosen(rows, is_output=is_output), shuffle)
            rest = iter(()) if is_output else _unfinished(batch, dialect, folder, rows)
            file_id = self._new_id()
            part = self._home.incoming()
            size = _write(part, folder / SPOOLS[is_output], mine, rest)
            if size == 0 and not dialect.keeps_empty_files:
                part.unlink()
                return None
            part.replace(self._home.content(file_id))
            return dialect.result_file(batch, file_id, is_output=is_output, size_bytes=size, now=now)

        return Published(written(is_output=True), written(is_output=False))

    def chosen(self, rows: list[DoneRow], *, is_output: bool) -> list[DoneRow]:
        """The rows whose lines go into one of the two files."""
        return [row for row in rows if row.is_ok == is_output]


def _shuffled(rows: list[DoneRow], shuffle: random.Random) -> Iterator[DoneRow]:
    for start in range(0, len(rows), _SHUFFLE_ROWS):
        block = rows[start : start + _SHUFFLE_ROWS]
        if len(block) > 1:
            in_order = list(block)
            # a shuffle may leave two lines as they were; the same lines twice can never change places
            while block == in_order and len(set(in_order)) > 1:
                shuffle.shuffle(block)
        yield from block


def _unfinished(batch: StoredBatch, dialect: Dialect, folder: Path, rows: list[DoneRow]) -> Iterator[bytes]:
    """Error lines of the rows that were never asked."""
    if batch.ending is None:
        return
    # a byte a row: a set of a million numbers would take tens of times that
    done = bytearray(batch.total)
    for row in rows:
        done[row.ordinal] = 1
    with (folder / "input.jsonl").open("rb") as lines:
        left = ((n, line) for n, line in enumerate(lines) if n < len(done) and not done[n])
        for line in dialect.unfinished_lines(batch, left, BatchState(batch.ending)):
            yield line + b"\n"


def _write(part: Path, spool: Path, rows: Iterator[DoneRow], rest: Iterator[bytes]) -> int:
    """Write the spooled lines of `rows`, then `rest`, durably to `part`; the size in bytes."""
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=_FLUSH_BYTES) as out:
        _copy(spool, rows, out)
        out.writelines(rest)
        out.flush()
        os.fsync(out.fileno())
        return out.tell()


def _copy(spool: Path, rows: Iterator[DoneRow], out: BinaryIO) -> None:
    # an empty file cannot be mapped: without a row the spool may be empty
    first = next(rows, None)
    if first is None:
        return
    with spool.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as lines:
        out.write(lines[first.offset : first.offset + first.size + 1])
        out.writelines(lines[row.offset : row.offset + row.size + 1] for row in rows)
