"""A large input file as parts that each fit one request, cut between lines and never copied."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from runner.errors import Refused
from runner.remotes.transport.content import FilePart

_BACK = 1 << 16  # bytes looked at in one step, backwards from where a part has to end


def cut(source: Path, largest: int) -> dict[str, FilePart]:
    """`part-000.jsonl` and so on to its bytes, in order; none is empty or larger than `largest`.

    Raises Refused when a single line is larger than that.
    """
    with source.open("rb") as file:
        return {f"part-{number:03}.jsonl": part for number, part in enumerate(_cut(file, source, largest))}


def _cut(file: BinaryIO, source: Path, largest: int) -> Iterator[FilePart]:
    total, start = file.seek(0, 2), 0
    while start < total:
        end = total if total - start <= largest else _line_end(file, start, start + largest)
        yield FilePart(source, start, end - start)
        start = end


def _line_end(file: BinaryIO, start: int, end: int) -> int:
    """Just behind the last newline in this range."""
    high = end
    while high > start:
        low = max(start, high - _BACK)
        file.seek(low)
        found = file.read(high - low).rfind(b"\n")
        if found >= 0:
            return low + found + 1
        high = low
    raise Refused(f"a request line is larger than the {end - start:,} bytes of one part of an upload")
