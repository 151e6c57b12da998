"""Request lines kept from compiling to sending, so that what goes out at once is rendered once.

They lie in a file without a name, which is gone with the process, however that ends. What is read is what was written:
the hash of each chunk is in memory.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO

import msgspec

MOST_BYTES = 4 << 30
_SHARE = 4  # of what is free on the disk at most the fourth part: an upload takes as much once more
CHUNK_BYTES = 256 << 10


class Spool:
    """The file of one command, for the lines of all its jobs. There is none before something is put there."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES, chunk_bytes: int = CHUNK_BYTES) -> None:
        """folder: on whose disk the lines lie. chunk_bytes: that one hash stands for."""
        self.chunk_bytes = chunk_bytes
        self._folder = folder
        self._most_bytes = most_bytes
        self._file: IO[bytes] | None = None
        self._end = 0
        self._is_closed = False

    def put(self, data: bytes) -> int | None:
        """Where the data lies now; None where there is no place for it. Then, as after `close`, nothing is taken."""
        if self._is_closed:
            return None
        try:
            if self._file is None:
                self._most_bytes = min(self._most_bytes, shutil.disk_usage(self._folder).free // _SHARE)
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115  # see `close`
            at = self._end
            if at + len(data) <= self._most_bytes:
                self._file.seek(at)
                if self._file.write(data) == len(data):
                    self._end = at + len(data)
                    return at
        except OSError:
            pass  # a disk that is full costs no more than rendering again
        self.close()
        return None

    def read(self, at: int, size: int) -> bytes:
        """What lies there; less, or nothing, where that cannot be read."""
        if self._file is None or self._is_closed:
            return b""
        try:
            self._file.seek(at)
            return self._file.read(size)
        except OSError:
            return b""

    def close(self) -> None:
        """Give the disk back."""
        self._is_closed = True
        if self._file is not None:
            self._file.close()


class _Chunk(msgspec.Struct, frozen=True):
    """Some lines after others."""

    end: int  # ordinal of the first row behind it
    at: int
    size: int
    sha256: bytes


class KeptLines:
    """The lines of one job, each with its newline: all of its rows, or none."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._chunks: list[_Chunk] = []
        self._held: list[bytes] = []  # of the chunk that is being filled
        self._held_bytes = self._rows = 0
        self._is_whole = True

    def add(self, lines: Iterable[Iterable[bytes]], rows: int) -> None:
        """Take the lines of the next rows, in parts."""
        if not self._is_whole:
            return
        data = b"".join(chain.from_iterable(lines))
        self._held.append(data)
        self._held_bytes += len(data)
        self._rows += rows
        if self._held_bytes >= self._spool.chunk_bytes:
            self.finish()

    def finish(self) -> None:
        """Put away what is held."""
        if not self._held:
            return
        data = b"".join(self._held)
        at = self._spool.put(data)
        self._held, self._held_bytes = [], 0
        if at is None:
            self._is_whole, self._chunks = False, []
            return
        self._chunks.append(_Chunk(self._rows, at, len(data), hashlib.sha256(data).digest()))

    def runs(self, ordinals: Sequence[int], sizes: array[int]) -> Iterator[tuple[int, bytes]]:
        """Lines of the rows at `ordinals` (ascending) in order, and how many, as far as they are here as they were put.

        sizes: bytes of the line of each row of the job without its newline.
        """
        done = 0
        while done < len(ordinals) and self._is_whole:
            number = bisect_right(self._chunks, ordinals[done], key=lambda chunk: chunk.end)
            chunk, first = self._chunks[number], self._chunks[number - 1].end if number else 0
            data = self._spool.read(chunk.at, chunk.size)
            if hashlib.sha256(data).digest() != chunk.sha256:
                self._is_whole = False
                return
            until = bisect_right(ordinals, chunk.end - 1, done)
            here = ordinals[done:until]
            yield len(here), data if len(here) == chunk.end - first else b"".join(_picked(data, first, here, sizes))
            done = until


def _picked(data: bytes, first: int, ordinals: Sequence[int], sizes: array[int]) -> Iterator[bytes]:
    """The lines of some of the rows of a chunk that begins with the row `first`."""
    at = 0
    for ordinal in ordinals:
        at += sum(sizes[first:ordinal]) + ordinal - first
        end = at + sizes[ordinal] + 1
        yield data[at:end]
        at, first = end, ordinal + 1
