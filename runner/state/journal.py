"""What happened to each request of one calls batch: an append-only log beside the answers it speaks of.

A blind create is safe only if its intent is durable before it goes out, and its receipt right after. The answers are
written first, then the entries that point at them, so the journal never promises a line that is not there.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from runner import files
from runner.errors import StateError
from runner.job.calls import CallEntry, CallStep, State, States
from runner.state.commits import DAMAGED, Read, commit, header
from runner.state.grouped import Grouped, Item

__all__ = ["CallEntry", "CallStep", "DiskJournal", "State", "States", "read_states"]


class DiskJournal(Grouped):
    """The journal in `path` and the answers in `raw`, opened for more. Open it only under the project's lock.

    rows: requests of the batch; a journal that is not there yet is made for as many. What a crash left half written
    at the end of either file is cut off. Raises StateError: damaged, of another batch, or not a file of ours.
    """

    def __init__(self, path: Path, raw: Path, rows: int) -> None:
        self._path = path
        if not path.exists():
            _create(path, raw, rows)
        self._journal = _opened(path)
        try:
            read = Read(path, _content(self._journal))
            if read.states.rows != rows:
                raise StateError(f"`{path}` is of a calls batch of {read.states.rows:,} requests, not of {rows:,}")
            super().__init__(read.states)
            self._id, self._size = read.id, read.size
            self._raw = _opened(raw, may_create=True)
        except BaseException:
            os.close(self._journal)
            raise
        try:
            self._raw_size = self.states.raw_bytes
            _cut(raw, self._raw, self._raw_size)
            _cut(path, self._journal, self._size)
            files.sync_folder(raw.parent)
        except BaseException:
            self.close()
            raise

    def _make_durable(self, group: list[Item]) -> None:
        # Answers first. A kill between the two files leaves bytes that no entry names, and they are cut off at the next
        # start; the other way about, an entry would name an answer that is not there, of a request that was paid for.
        lines = self.placed(group, self._raw_size)
        entries = commit(self._id, self._size, [entry for item in group for entry in item.entries])
        try:
            if lines:
                self._put(self._raw, lines, self._raw_size)
            self._put(self._journal, entries, self._size)
        except OSError as error:
            raise StateError(
                f"`{self._path}` cannot be written: {error.strerror}",
                hint="make room and run again; what the remote took meanwhile is held until you decide",
            ) from error
        self._raw_size += len(lines)
        self._size += len(entries)

    def _put(self, descriptor: int, data: bytes, at: int) -> None:
        """Durably. Raises OSError."""
        _write(descriptor, data, at)

    def close(self) -> None:
        """Waits for nobody: close it when no thread appends any more."""
        with self._changed:
            self._error = self._error or StateError(f"`{self._path}` is closed")
        os.close(self._journal)
        os.close(self._raw)


def read_states(path: Path) -> States:
    """What a journal says, for those who only look: nothing is cut off, and no lock is needed. Raises StateError."""
    descriptor = _opened(path, writes=False)
    try:
        return Read(path, _content(descriptor)).states
    finally:
        os.close(descriptor)


def _create(path: Path, raw: Path, rows: int) -> None:
    """A journal without entries: whole or not at all. Answers whose journal is gone are not written over."""
    if raw.exists() and raw.stat().st_size:
        raise StateError(f"`{raw}` holds answers, but `{path}` is gone", hint=DAMAGED)
    files.write(path, header(rows))


def _opened(path: Path, *, writes: bool = True, may_create: bool = False) -> int:
    flags = (os.O_RDWR if writes else os.O_RDONLY) | (os.O_CREAT if may_create else 0)
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"`{path}` cannot be opened: {error.strerror}", hint=DAMAGED) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StateError(f"`{path}` is not a regular file", hint=DAMAGED)
    return descriptor


def _cut(path: Path, descriptor: int, size: int) -> None:
    """Drop what follows the last byte that counts. Raises StateError when the file is shorter than that."""
    found = os.fstat(descriptor).st_size
    if found < size:
        raise StateError(f"`{path}` is cut short: {found:,} of {size:,} bytes are left", hint=DAMAGED)
    if found > size:
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)


def _write(descriptor: int, data: bytes, at: int) -> None:
    """Durably. Raises OSError."""
    files.write_at(descriptor, data, at)
    os.fsync(descriptor)


def _content(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()
