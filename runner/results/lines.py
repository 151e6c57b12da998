"""Raw files by line: a streaming scan with offsets, and lines read again at an offset.

Lines end at b"\\n" and nowhere else: U+2028, U+0085 and form feeds are ordinary characters of an answer.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

CHUNK_BYTES = 1 << 20
LONGEST_LINE_BYTES = 1 << 28
_STUMP_BYTES = 1024  # what is kept of such a line: no JSON object is whole in it, so it is reported


def scan(path: Path, *, longest_bytes: int = LONGEST_LINE_BYTES) -> Iterator[tuple[int, bytes]]:
    """(offset, line without its newline) of every line; the last one may lack its newline.

    A line of more than longest_bytes comes as its first kilobyte, so that memory stays bounded.
    """
    for runs in scan_runs(path, longest_bytes=longest_bytes):
        yield from runs


def scan_runs(path: Path, *, longest_bytes: int = LONGEST_LINE_BYTES) -> Iterator[list[tuple[int, bytes]]]:
    """The same, many lines at a time: as many as a chunk of the file holds."""
    with path.open("rb", buffering=0) as source:
        offset = 0
        parts: list[bytes] = []  # of a line that began in an earlier chunk
        held = 0  # its length so far, also of what is not kept
        while chunk := source.read(CHUNK_BYTES):
            pieces = chunk.split(b"\n")
            last = pieces.pop()
            run = []
            for piece in pieces:
                if held:
                    run.append((offset, _whole(parts, held, piece, longest_bytes)))
                    offset += held + len(piece) + 1
                    parts, held = [], 0
                else:
                    run.append((offset, piece))
                    offset += len(piece) + 1
            if last:
                held += len(last)
                if held <= longest_bytes:
                    parts.append(last)
                else:
                    del parts[1:]
                    parts = parts or [last[:_STUMP_BYTES]]
            yield run
        if held:
            yield [(offset, _whole(parts, held, b"", longest_bytes))]


def _whole(parts: list[bytes], held: int, piece: bytes, longest_bytes: int) -> bytes:
    """The line out of its parts, or only a stump of it when it is too long to be held."""
    if held + len(piece) > longest_bytes:
        return parts[0][:_STUMP_BYTES]
    return b"".join((*parts, piece))


class RawLines:
    """Lines at known offsets of many files: few open files, and a block read ahead for neighbours.

    Result files come in any order. While the offsets asked for run forward a large block is read, else a small one.
    """

    SMALL, LARGE = 1 << 12, 1 << 16
    OPEN_FILES = 32

    def __init__(self) -> None:
        self._open: OrderedDict[Path, _Window] = OrderedDict()

    def at(self, path: Path, offset: int) -> bytes:
        """The line that begins at `offset`, without its newline. Raises OSError."""
        window = self._open.get(path)
        if window is None:
            if len(self._open) >= self.OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            window = self._open[path] = _Window(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        elif len(self._open) == self.OPEN_FILES:  # else nothing is ever closed, and order is idle
            self._open.move_to_end(path)
        return window.line(offset)

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def __enter__(self) -> RawLines:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


class _Window:
    """One open file and the last block read from it."""

    __slots__ = ("_block", "_fd", "_next", "_start")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._block = b""
        self._start = 0  # where the block begins
        self._next = 0  # where the line after the last one begins

    def line(self, offset: int) -> bytes:
        position = offset - self._start
        if 0 <= position < len(self._block):
            end = self._block.find(b"\n", position)
            if end >= 0:
                self._next = self._start + end + 1
                return self._block[position:end]
        size = RawLines.LARGE if 0 <= offset - self._next < RawLines.LARGE else RawLines.SMALL
        block = os.pread(self._fd, size, offset)
        end = block.find(b"\n")
        while end < 0:
            more = os.pread(self._fd, max(len(block), RawLines.LARGE), offset + len(block))
            if not more:
                end = len(block)
                break
            end = more.find(b"\n")
            end = end + len(block) if end >= 0 else -1
            block += more
        self._next = offset + end + 1
        line = block[:end]
        # A line of many megabytes is not worth keeping.
        self._start, self._block = (offset, block) if len(block) <= 4 * RawLines.LARGE else (0, b"")
        return line

    def close(self) -> None:
        os.close(self._fd)
