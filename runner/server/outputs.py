"""The result files of a batch that ends: spooled lines in another order than the input, and the rows never asked."""

from __future__ import annotations

import mmap
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from runner.server.dialect import Dialect, Published
from runner.server.faults.switches import Faults
from runner.server.home import Home
from runner.server.records import Batch, File, Row, State
from runner.server.run import SPOOLS

_SHUFFLE_ROWS = 65_536  # lines change places within this many
_FLUSH_BYTES = 1 << 20


def publish(
    home: Home,
    dialect: Dialect,
    batch: Batch,
    rows: list[Row],
    faults: Faults,
    now: float,
    new_id: Callable[[], str],
) -> Published:
    """Write the files of `batch`, which has `rows` done; most dialects make none without lines.

    Everything is on the disk when this returns. Doing it again makes other files: the caller records the last ones.
    """
    folder = home.work(batch.id)
    shuffle = random.Random(batch.id)  # noqa: S311  # an order, not a secret; the same one after a restart

    def written(*, is_output: bool) -> File | None:
        mine = [row for row in rows if row.is_ok == is_output]
        if is_output:
            mine = _tampered(mine, faults)
        rest = iter(()) if is_output else _unfinished(batch, dialect, folder, rows)
        file_id = new_id()
        size = _write(
            home, file_id, folder / SPOOLS[is_output], _shuffled(mine, shuffle), rest, keep=dialect.keeps_empty_files
        )
        if size is None:
            return None
        return dialect.result_file(batch, file_id, is_output=is_output, size_bytes=size, now=now)

    return Published(written(is_output=True), written(is_output=False))


def _tampered(rows: list[Row], faults: Faults) -> list[Row]:
    missing, twice = faults.look("missing_lines"), faults.look("duplicate_lines")
    kept = rows[int(missing.value) :] if missing else rows
    return kept + kept[: int(twice.value)] if twice else kept


def _shuffled(rows: list[Row], shuffle: random.Random) -> Iterator[Row]:
    for start in range(0, len(rows), _SHUFFLE_ROWS):
        block = rows[start : start + _SHUFFLE_ROWS]
        if len(block) > 1:
            in_order = list(block)
            while block == in_order and len(set(in_order)) > 1:
                shuffle.shuffle(block)
        yield from block


def _unfinished(batch: Batch, dialect: Dialect, folder: Path, rows: list[Row]) -> Iterator[bytes]:
    """Error lines of the rows that were never asked."""
    if batch.ending is None:
        return
    done = bytearray(batch.total)
    for row in rows:
        done[row.ordinal] = 1
    with (folder / "input.jsonl").open("rb") as lines:
        left = ((n, line) for n, line in enumerate(lines) if n < len(done) and not done[n])
        for line in dialect.unfinished_lines(batch, left, State(batch.ending)):
            yield line + b"\n"


def _write(
    home: Home, file_id: str, spool: Path, rows: Iterator[Row], rest: Iterator[bytes], *, keep: bool
) -> int | None:
    """Write the spooled lines of `rows`, then `rest`; the size in bytes, None where no file was made."""
    part = home.incoming()
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=_FLUSH_BYTES) as out:
        _copy(spool, rows, out)
        out.writelines(rest)
        out.flush()
        size = out.tell()
        if size or keep:
            os.fsync(out.fileno())
    if not size and not keep:
        part.unlink()
        return None
    part.replace(home.content(file_id))
    return size


def _copy(spool: Path, rows: Iterator[Row], out: BinaryIO) -> None:
    first = next(rows, None)
    if first is None:
        return
    with spool.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as lines:
        out.write(lines[first.offset : first.offset + first.size + 1])
        out.writelines(lines[row.offset : row.offset + row.size + 1] for row in rows)
