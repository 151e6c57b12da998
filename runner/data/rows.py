"""Open a dataset: the suffix picks the reader, and every row carries the place it came from."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from runner.data import csv, files, jsonl, parquet
from runner.data.block import Block, SourceRow
from runner.data.files import FileStamp, Source, expand, signature
from runner.data.picks import Picks
from runner.errors import DataError, Mark

__all__ = ["Block", "FileStamp", "Source", "SourceRow", "expand", "open_blocks", "open_rows", "signature"]

_BLOCK_ROWS = 512


def open_rows(dataset: Source, root: Path, at: Iterable[int] | None = None) -> Iterator[SourceRow]:
    """Rows of all files of a dataset in order, streamed. Arguments and errors as of `open_blocks`."""
    return chain.from_iterable(open_blocks(dataset, root, at))


def open_blocks(
    dataset: Source, root: Path, at: Iterable[int] | None = None, *, checked: bool = True
) -> Iterator[Block]:
    """Rows of all files of a dataset in order, in runs. An error comes after the rows before it.

    at: positions in the dataset, ascending; the others are skipped without being decoded where the format allows it,
    and reading stops after the last. None reads all. checked: False leaves out what costs time and was done when the
    same bytes were read before.
    Raises DataError with the file and line, or with the dataset's place in the specs.
    """
    picks = Picks(at)
    for name in expand(dataset, root):
        if not picks.done:
            yield from _read(root, name, picks, checked)


def _read(root: Path, name: str, picks: Picks, checked: bool) -> Iterator[Block]:
    form, packing = files.kind_of(name)
    try:
        with files.open_bytes(root / name, packing, Mark(name)) as file:
            if form == ".jsonl":
                yield from jsonl.read(file, name, picks, checked=checked)
            else:
                yield from _blocks(form, file, name, picks)
    except (EOFError, zlib.error) as error:
        raise DataError(f"the compressed file is damaged: {error}", mark=Mark(name)) from error
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror or error}", mark=Mark(name)) from error


def _blocks(form: str, file: IO[bytes], name: str, picks: Picks) -> Iterator[Block]:
    """Rows of a reader that gives them one by one, in runs."""
    rows = (csv.read if form == ".csv" else parquet.read)(file, name, picks)
    while True:
        lines: list[int] = []
        numbers: list[int] = []
        values: list[dict[str, Any]] = []
        error = None
        try:
            for line, row in islice(rows, _BLOCK_ROWS):
                lines.append(line)
                numbers.append(picks.position)
                values.append(row)
        except (DataError, EOFError, zlib.error, OSError) as raised:
            error = raised
        if values:
            yield Block(name, lines, picks.among(len(values)) if picks.every else numbers, values)
        if error is not None:
            raise error
        if len(values) < _BLOCK_ROWS:
            return
