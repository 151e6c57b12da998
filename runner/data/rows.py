"""Open a dataset: the suffix picks the reader, and every row carries the place it came from."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from runner.data import csv, files, jsonl, parquet
from runner.data.files import FileStamp, Source, expand, signature
from runner.data.picks import Picks
from runner.errors import DataError, Mark

__all__ = ["FileStamp", "Source", "SourceRow", "expand", "open_rows", "signature"]

_encode = msgspec.json.Encoder().encode
_READERS = {".jsonl": jsonl.read, ".csv": csv.read, ".parquet": parquet.read}


class SourceRow(msgspec.Struct, frozen=True, gc=False):
    """One row as it was read. `line` counts lines of the file from 1 (Parquet: rows)."""

    row: dict[str, Any]
    file: str  # relative to the project root
    line: int
    number: int  # position in the whole dataset, from 0

    @property
    def mark(self) -> Mark:
        return Mark(self.file, self.line)

    @property
    def json(self) -> bytes:
        """The row as one compact JSON object, without a line break."""
        return _encode(self.row)


def open_rows(dataset: Source, root: Path, at: Iterable[int] | None = None) -> Iterator[SourceRow]:
    """Rows of all files of a dataset in order, streamed.

    at: positions in the dataset, ascending; the others are skipped without being decoded where the format allows it,
    and reading stops after the last. None reads all.
    Raises DataError with the file and line, or with the dataset's place in the specs.
    """
    picks = Picks(at)
    number = -1
    for name in expand(dataset, root):
        if picks.every:
            start = number + 1
            for number, (line, row) in enumerate(_read(root, name, picks), start):
                yield SourceRow(row, name, line, number)
        elif not picks.done:
            for line, row in _read(root, name, picks):
                yield SourceRow(row, name, line, picks.position)


def _read(root: Path, name: str, picks: Picks) -> Iterator[tuple[int, dict[str, Any]]]:
    form, packing = files.kind_of(name)
    try:
        with files.open_bytes(root / name, packing, Mark(name)) as file:
            yield from _READERS[form](file, name, picks)
    except (EOFError, zlib.error) as error:
        raise DataError(f"the compressed file is damaged: {error}", mark=Mark(name)) from error
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror or error}", mark=Mark(name)) from error
