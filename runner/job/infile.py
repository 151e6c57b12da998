"""Packed runs that stay in their files: a set of a million keys, an index of a batch. Slices of them are read."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from operator import eq
from typing import IO

from runner.errors import StateError

_PIECE = 1 << 20
_BLOCK = 1 << 12  # bytes that are read where fewer are asked for: searches end near where they were


class InFile:
    """Bytes that are in a file and stay there, which is open as long as this is known."""

    __slots__ = ("__weakref__", "_at", "_block", "_file", "_size", "_start")

    def __init__(self, file: IO[bytes], at: int, size: int) -> None:
        self._file, self._at, self._size = file, at, size
        self._start, self._block = 0, b""  # what was read last for a short slice

    @classmethod
    def owning(cls, file: IO[bytes], size: int) -> InFile:
        """All of a file that nobody else closes."""
        found = cls(file, 0, size)
        weakref.finalize(found, file.close)
        return found

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, asked: slice) -> bytes:
        start, end, step = asked.indices(self._size)
        if step != 1:
            return self[:][asked]
        if end - start >= _BLOCK:
            return self._read(start, end)
        if not (self._start <= start and end <= self._start + len(self._block)):
            first = start - start % _BLOCK
            self._block = self._read(first, min(first + 2 * _BLOCK, self._size))
            self._start = first
        return self._block[start - self._start : max(end, start) - self._start]

    def _read(self, start: int, end: int) -> bytes:
        data = os.pread(self._file.fileno(), end - start, self._at + start)
        if len(data) != end - start:
            raise StateError("a file was cut while it was read", hint="run the command again")
        return data


Run = bytes | InFile


def pieces(run: Run) -> Iterator[bytes]:
    """All of it, a megabyte at a time."""
    for start in range(0, len(run), _PIECE):
        yield run[start : start + _PIECE]


def are_same(left: Run, right: Run) -> bool:
    """Whether two runs hold the same bytes."""
    return len(left) == len(right) and all(map(eq, pieces(left), pieces(right)))
