"""Packed runs that stay in their files: a set of a million keys, an index of a batch. Slices of them are read.

A run is `bytes`, or lies in a file and is asked for slices just the same. So what compares and searches runs is written
once, and of a large one no more is in memory than it looks at.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Iterator
from mmap import mmap
from operator import eq
from typing import IO

from runner.errors import StateError
from runner.files import bytes_at, write_at

_PIECE = 1 << 20
_LARGE = 1 << 18  # bytes; a smaller run is held
_FILES = 64  # and so is what would need more open files than these
_BLOCK = 1 << 12  # bytes that are read where fewer are asked for: searches end near where they were


class InFile:
    """Bytes that are in a file and stay there, which is open as long as this is known."""

    __slots__ = ("__weakref__", "_at", "_file", "_near", "_size")

    def __init__(self, file: IO[bytes], at: int, size: int) -> None:
        self._file, self._at, self._size = file, at, size
        self._near = 0, b""  # what was read last for a short slice, and where it begins

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, asked: slice) -> bytes:
        start, end, step = asked.indices(self._size)
        if step != 1:
            return self[:][asked]
        if end - start >= _BLOCK:
            return self._read(start, end)
        first, block = self._near  # as one: threads ask for slices at the same time
        if not (first <= start and end <= first + len(block)):
            first = start - start % _BLOCK
            block = self._read(first, min(first + 2 * _BLOCK, self._size))
            self._near = first, block
        return block[start - first : max(end, start) - first]

    def loaded(self) -> mmap:
        """All of it, see `loaded`."""
        memory = mmap(-1, max(self._size, 1))
        for start in range(0, self._size, _PIECE):
            memory.write(self._read(start, min(start + _PIECE, self._size)))
        return memory

    def _read(self, start: int, end: int) -> bytes:
        data = bytes_at(self._file.fileno(), end - start, self._at + start)
        if len(data) != end - start:
            raise StateError("a file was cut while it was read", hint="run the command again")
        return data


Run = bytes | InFile
_open = weakref.WeakSet[InFile]()


def left_in(file: IO[bytes], size: int, at: int = 0) -> Run:
    """Bytes of a file that is closed with them: left there if they are many, and few files are open so."""
    found = InFile(file, at, size)
    if size >= _LARGE and len(_open) < _FILES:
        _open.add(found)
        weakref.finalize(found, file.close)
        return found
    with file:
        return found[:]


Loaded = bytes | mmap


def loaded(run: Run) -> Loaded:
    """All of it, for whoever looks here and there. Its memory goes back to the system with it: what `bytes` of
    this size have taken, the allocator keeps for more of them."""
    return run if isinstance(run, bytes) else run.loaded()


class Growing:
    """A run that is written bit by bit; a large one into a file without a name."""

    def __init__(self) -> None:
        self._held = bytearray()  # what is not in the file yet
        self._file: IO[bytes] | None = None
        self._end = 0  # of what is
        self._run: Run | None = None

    def write(self, data: bytes | memoryview) -> None:
        self._held += data
        if len(self._held) >= _LARGE:
            self._put()

    def _put(self) -> None:
        if self._file is None:
            from tempfile import TemporaryFile  # most sets are small

            self._file = TemporaryFile(buffering=0)  # noqa: SIM115  # closed with what is made of it
        write_at(self._file.fileno(), self._held, self._end)
        self._end += len(self._held)
        self._held.clear()

    def copy(self, run: Run, start: int, end: int) -> None:
        """Write a part of another one."""
        for at in range(start, end, _PIECE):
            self.write(run[at : min(at + _PIECE, end)])

    def run(self) -> Run:
        """All that was written. Nothing more is."""
        if self._run is None and self._file is not None:
            self._put()
            self._run = left_in(self._file, self._end)
        elif self._run is None:
            self._run = bytes(self._held)
        return self._run

    def close(self) -> None:
        """Give up what was written, where nobody asked for it."""
        if self._file is not None and self._run is None:
            self._file.close()


def pieces(run: Run) -> Iterator[bytes]:
    """All of it, a megabyte at a time."""
    for start in range(0, len(run), _PIECE):
        yield run[start : start + _PIECE]


def sha256_in(run: Run) -> str:
    """As hex."""
    total = hashlib.sha256()
    for piece in pieces(run):
        total.update(piece)
    return total.hexdigest()


def are_same(left: Run, right: Run) -> bool:
    """Whether two runs hold the same bytes."""
    return len(left) == len(right) and all(map(eq, pieces(left), pieces(right)))
