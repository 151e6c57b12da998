"""Some rows of a dataset that was read in segments: of the others not even the bytes are looked at."""

from __future__ import annotations

import io
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import IO, NamedTuple

from runner.data import files, jsonl
from runner.data.block import Bad, Block
from runner.data.csv import MAX_FIELD_CHARACTERS, Columns, columns_in, rows_under, text_of
from runner.data.files import expand
from runner.data.picks import Picks
from runner.data.rows import ignore, open_blocks, opened
from runner.data.segments import Segment
from runner.data.source import DataSource

_OfSegment = Callable[[bytes, int, str, Picks], Iterator[Block]]  # its bytes, and the number of its first line


class _Place(NamedTuple):
    """A segment that holds rows which are asked for."""

    segment: Segment
    row: int  # the number of its first row
    to_end: int  # bytes from its first one to the end of its file


def blocks_at(
    dataset: DataSource, root: Path, known: Sequence[Segment], at: Sequence[int], *, checked: bool = True
) -> Iterator[Block]:
    """What `rows.open_blocks` gives of these rows. known: the segments of the dataset as it is now.

    Where most of them hold such rows, or a file is packed, everything is read.
    """
    names = expand(dataset, root)
    places = _holding(known, at)
    if 2 * len(places) > len(known) or any(files.kind_of(name)[1] for name in names):
        yield from open_blocks(dataset, root, at, checked=checked)
        return
    picks, listener = Picks(at), ignore if dataset.skip_bad else None
    for number, some in groupby(places, key=lambda place: place.segment.file):
        name = names[number]
        with opened(dataset, root, name, listener) as (file, form):
            of_segment: _OfSegment = partial(_lines, checked=checked, bad=listener)
            if form not in (".jsonl", ".ndjson"):
                delimiter = dataset.delimiter or ("\t" if form == ".tsv" else None)
                of_segment = partial(_table, columns=_columns(file, name, delimiter), delimiter=delimiter)
            size = os.fstat(file.fileno()).st_size
            for place in some:
                file.seek(size - place.to_end)
                picks.position = place.row - 1
                yield from of_segment(file.read(place.segment.size_bytes), place.segment.first_line, name, picks)


def _holding(known: Sequence[Segment], at: Sequence[int]) -> list[_Place]:
    """The segments with rows that are asked for, in order."""
    sizes: dict[int, int] = {}
    for segment in known:
        sizes[segment.file] = sizes.get(segment.file, 0) + segment.size_bytes
    found, row, done = [], 0, 0
    for segment in known:
        end = row + segment.rows
        if done < len(at) and at[done] < end:
            found.append(_Place(segment, row, sizes[segment.file]))
            done = bisect_left(at, end, done)
        sizes[segment.file] -= segment.size_bytes
        row = end
    return found


def _lines(data: bytes, first: int, name: str, picks: Picks, *, checked: bool, bad: Bad | None) -> Iterator[Block]:
    return jsonl.of_lines(data.removesuffix(b"\n"), first, name, picks, checked=checked, bad=bad)


def _columns(file: IO[bytes], name: str, delimiter: str | None) -> Columns:
    """What the header of a table says. Raises DataError."""
    numbered = enumerate(iter(partial(file.readline, MAX_FIELD_CHARACTERS), b""), 1)
    columns = columns_in((text_of(number, line, name) for number, line in numbered), name, delimiter)
    assert columns is not None, "it has rows"
    return columns


def _table(
    data: bytes, first: int, name: str, picks: Picks, *, columns: Columns, delimiter: str | None
) -> Iterator[Block]:
    lines = (text_of(number, line, name) for number, line in enumerate(io.BytesIO(data), first))
    found = [(line, picks.position, row) for line, row in rows_under(lines, columns, name, delimiter, first, picks)]
    if found:
        numbered, numbers, rows = zip(*found, strict=True)
        yield Block(name, numbered, numbers, list(rows))
