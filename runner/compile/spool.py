"""Request lines kept from compiling to sending, so that what goes out at once is rendered once.

They lie in files without a name, which are gone with the process, however that ends. What is read is what was written:
the hash of each chunk is in memory.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import IO

import msgspec

from runner.files import bytes_at, write_at

MOST_BYTES = 4 << 30
_SHARE = 4  # of what is free on the disk at most the fourth part: an upload takes as much once more
CHUNK_BYTES = 256 << 10


class Spool:
    """The lines of all jobs of one command, in a file; there is none before something is put there. Each process that
    compiles beside this one has a file of its own."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES, chunk_bytes: int = CHUNK_BYTES) -> None:
        """folder: on whose disk the lines lie. chunk_bytes: that one hash stands for."""
        self.chunk_bytes = chunk_bytes
        self._folder = folder
        self._most_bytes = most_bytes
        self._files: list[_File] = []
        self._own: _File | None = None
        self._is_closed = False

    @property
    def room(self) -> int:
        """How many bytes there is place for."""
        return 0 if self._is_closed else max(self._most_bytes - sum(file.end for file in self._files), 0)

    def put(self, data: bytes) -> Place | None:
        """Where the data lies now; None where there is no place for it. Then, as after `close`, nothing is taken."""
        if not self._is_closed:
            try:
                self._own = self._own or self._opened()
                if len(data) <= self.room:
                    self._own.write(data)
                    return Place(self._files.index(self._own), self._own.end - len(data))
            except OSError:
                pass  # a disk that is full costs no more than rendering again
            self.close()
        return None

    def lend(self) -> Lent | None:
        """A file that another process writes its lines to; None where there is no place for one."""
        if self._is_closed:
            return None
        try:
            file = self._opened()
        except OSError:
            return None
        return Lent(len(self._files) - 1, file.descriptor)

    def note(self, file: int, end: int) -> None:
        """Count what another process has written to a file."""
        self._files[file].end = end

    def read(self, place: Place, size: int) -> bytes:
        """What lies there; less, or nothing, where that cannot be read."""
        if self._is_closed:
            return b""
        try:
            return bytes_at(self._files[place.file].descriptor, size, place.at)
        except OSError:
            return b""

    def close(self) -> None:
        """Give the disk back."""
        self._is_closed = True
        for file in self._files:
            file.opened.close()

    def _opened(self) -> _File:
        """One more file. Raises OSError."""
        if not self._files:
            self._most_bytes = min(self._most_bytes, shutil.disk_usage(self._folder).free // _SHARE)
        self._files.append(_File(tempfile.TemporaryFile(dir=self._folder, buffering=0)))  # noqa: SIM115  # see `close`
        return self._files[-1]


class LentSpool:
    """The other side of `Spool.lend`: a file for the lines that this process makes."""

    def __init__(self, descriptor: int, number: int, chunk_bytes: int) -> None:
        """number: of the file on the other side."""
        self.chunk_bytes = chunk_bytes
        self._number = number
        self.room = 0  # bytes that may be put, as the other side says
        self._file = _File(open(descriptor, "r+b", buffering=0))  # noqa: SIM115  # as long as the process

    @property
    def end(self) -> int:
        return self._file.end

    def put(self, data: bytes) -> Place | None:
        """As `Spool.put`."""
        with suppress(OSError):
            if len(data) <= self.room:
                self._file.write(data)
                self.room -= len(data)
                return Place(self._number, self._file.end - len(data))
        return None

    def close(self) -> None:
        """Take nothing more."""
        self.room = 0


class _File:
    """A file without a name that lines are put into, one after the other."""

    def __init__(self, opened: IO[bytes]) -> None:
        self.opened = opened
        self.descriptor = opened.fileno()
        self.end = 0

    def write(self, data: bytes) -> None:
        """Raises OSError where it finds no place."""
        # never by the place of the file: the process that it is lent to has the same
        write_at(self.descriptor, data, self.end)
        self.end += len(data)


class Place(msgspec.Struct, frozen=True, array_like=True):
    file: int
    at: int


class Lent(msgspec.Struct, frozen=True):
    file: int
    descriptor: int


class KeptChunk(msgspec.Struct, array_like=True):
    """Some lines after others."""

    end: int  # ordinal of the first row behind it
    place: Place
    size: int
    sha256: bytes


class KeptLines:
    """The lines of one job, each with its newline: all of its rows, or none."""

    def __init__(self, spool: Spool | LentSpool) -> None:
        self._spool = spool
        self._chunks: list[KeptChunk] = []
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
        place = self._spool.put(data)
        self._held, self._held_bytes = [], 0
        if place is None:
            self._is_whole, self._chunks = False, []
            return
        self._chunks.append(KeptChunk(self._rows, place, len(data), hashlib.sha256(data).digest()))

    @property
    def chunks(self) -> list[KeptChunk] | None:
        """All lines, once `finish` was called; None where some found no place."""
        return self._chunks if self._is_whole else None

    def take(self, chunks: Sequence[KeptChunk] | None, rows: int) -> None:
        """Go on behind the lines of some rows that were put away elsewhere."""
        if chunks is None or not self._is_whole:
            self._is_whole, self._chunks = False, []
            self._spool.close()
            return
        for chunk in chunks:
            chunk.end += self._rows
        self._chunks.extend(chunks)
        self._rows += rows

    def runs(self, ordinals: Sequence[int], sizes: array[int]) -> Iterator[tuple[int, bytes]]:
        """Lines of the rows at `ordinals` (ascending) in order, and how many, as far as they are here as they were put.

        sizes: bytes of the line of each row of the job without its newline.
        """
        done = 0
        assert isinstance(self._spool, Spool), "what is lent is read where it was lent"
        while done < len(ordinals) and self._is_whole:
            number = bisect_right(self._chunks, ordinals[done], key=lambda chunk: chunk.end)
            chunk, first = self._chunks[number], self._chunks[number - 1].end if number else 0
            data = self._spool.read(chunk.place, chunk.size)
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
