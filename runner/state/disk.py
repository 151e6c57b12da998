"""The Store on this machine's disk: diskcache made safe.

diskcache alone evicts what it likes, unpickles what it finds and loses the last commits in a power cut. So:
no eviction, no culling, full synchronous writes, values inline, a Disk that knows JSON text and nothing else,
and a checksum over every value. Looking opens the database read-only, past diskcache, which writes on opening.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from runner.errors import StateError
from runner.state import log
from runner.state.base import LOST, NOTHING, RAW_MODE, Document, Documents, ForkedStore, Store, meet

if TYPE_CHECKING:
    from diskcache import Cache

DATABASE = "cache.db"
_SERIAL = "serial"  # the key of the number of the last write; releases up to 0.1.0 keep none
_EVENT = "event/"  # the keys of events that are not in the file of the log yet
_MOST_EVENTS = 64  # in the database, which is checked as a whole whenever it is opened
_EVER_IN_IT = 1_000  # where the file cannot be written; the oldest are lost then
_UNREADABLE = (sqlite3.Error, UnicodeDecodeError)  # SQLite quotes damaged text in its errors


def seal(document: Document) -> str:
    """JSON text behind the first 16 hex digits of its SHA-256."""
    text = msgspec.json.encode(document, order="sorted").decode()
    return f"{hashlib.sha256(text.encode()).hexdigest()[:16]} {text}"


def unseal(key: str, sealed: object) -> Document:
    """The document of a sealed value. Raises StateError when it was changed or cut."""
    if isinstance(sealed, str):
        checksum, _, text = sealed.partition(" ")
        if hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16] == checksum:
            with contextlib.suppress(msgspec.MsgspecError, RecursionError):
                return msgspec.json.decode(text, type=dict[str, Any])
    raise StateError(f"the recorded state is damaged at `{key}`", hint=LOST)


class DiskStore:
    """Read and write. Open it only under the project's lock."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._cache: Cache | None = None
        self._opening = threading.Lock()  # several threads may be the first to write
        is_cut = (folder / f"{DATABASE}-journal").exists()  # by a command that was stopped: to be rolled back first
        found = None if is_cut else view(folder)  # diskcache writes on opening: not into what is damaged
        if isinstance(found, DiskView) and found.is_whole():
            self._view = found
        else:
            if found is not None:
                found.close()
            self._open()
            self._view = DiskView(folder)  # diskcache would take a row marked as expired for one that is not there
        for file in folder.iterdir():
            if not file.is_symlink() and file.stat().st_mode & 0o777 != 0o600:
                file.chmod(0o600)

    def _open(self) -> Cache:
        """The database to be written. Opening it writes, and waits for the disk: only what writes pays for that."""
        from runner.state.database import FAILURES, open_database

        with self._opening:
            if self._cache is None:
                try:
                    self._cache = open_database(self._folder)
                except FAILURES as error:
                    words = f"the state in `{self._folder}` cannot be opened: {error}"
                    raise StateError(words, hint=_way_out(error)) from error
            return self._cache

    def read(self) -> Documents:
        return self._view.read()

    def events(self) -> Iterator[Document]:
        return self._view.events()

    def write(self, changes: Mapping[str, Document | None], expected: int, events: Sequence[Document] = ()) -> int:
        return self._write(changes, expected, expected + 1, events)

    def fill(self, documents: Documents, events: Sequence[Document]) -> None:
        try:
            log.append(self._folder, map(msgspec.json.encode, events))
        except OSError as error:
            raise StateError(f"the state cannot be written: {error}") from error
        self._write(documents.by_key, 0, documents.serial, ())

    def _write(
        self, changes: Mapping[str, Document | None], expected: int, serial: int, events: Sequence[Document]
    ) -> int:
        from runner.state.database import Timeout

        cache = self._open()
        try:
            with cache.transact():  # nobody else writes in it
                meet(expected, self._view.serial())
                if events:
                    self._make_room(cache)
                for event in events:
                    cache.set(f"{_EVENT}{event['serial']:012d}/{event.get('part', 0):06d}", seal(event))
                for key, document in changes.items():
                    if document is None:
                        cache.delete(key)
                    else:
                        cache.set(key, seal(document))
                cache.set(_SERIAL, seal({_SERIAL: serial}))
        except (sqlite3.Error, Timeout, OSError) as error:
            raise StateError(
                f"the state cannot be written: {error}", hint="nothing was lost; make room and run again"
            ) from error
        return serial

    # An event is written with the record it tells of, in one transaction, and moved to the file of the log later: a
    # database that holds a year of them would take longer to open.
    def _make_room(self, cache: Cache) -> None:
        waiting = self._view.waiting()
        if len(waiting) < _MOST_EVENTS:
            return
        gone = list(waiting)
        try:
            log.append(self._folder, map(msgspec.json.encode, waiting.values()))
        except OSError:  # nothing that is done for a user stops for it
            gone = gone[:-_EVER_IN_IT]
        for key in gone:
            cache.delete(key)

    def close(self) -> None:
        self._view.close()
        if self._cache is not None:
            self._cache.close()


def _way_out(error: Exception) -> str:
    """What to do: a full disk damages nothing, and moving the state away would help nobody then."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    if code & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return "if the disk is full, make room and run again: nothing was lost; otherwise check the disk"
    if code & 0xFF == sqlite3.SQLITE_READONLY:
        return "a command was stopped while it wrote; `runner apply` puts that right"
    return LOST


class DiskView:
    """Read only: what `plan` and `status` open. Takes no lock and writes nothing."""

    def __init__(self, folder: Path) -> None:
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._folder = folder
        try:
            self._connection = sqlite3.connect(
                self._address_in(folder),
                uri=True,
                timeout=5,
                check_same_thread=False,  # SQLite takes one call at a time by itself
            )
            # A changed index can hide a record that is whole: 2 ms for a megabyte
            found = self._connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        except _UNREADABLE as error:
            raise StateError(f"the state in `{folder}` cannot be read: {error}", hint=_way_out(error)) from error
        if found != "ok":
            self._connection.close()
            raise StateError(f"the state in `{folder}` is damaged: {found}", hint=LOST)

    def _address_in(self, folder: Path) -> str:
        """What to open. Beside a database in WAL mode even readers write, which a read-only checkout forbids.

        There nobody else writes either; what a killed command left in the log is read from a copy.
        """
        if os.access(folder, os.W_OK):
            return f"{(folder / DATABASE).resolve().as_uri()}?mode=ro"
        log = folder / f"{DATABASE}-wal"
        if not (log.exists() and log.stat().st_size):
            return f"{(folder / DATABASE).resolve().as_uri()}?mode=ro&immutable=1"
        self._copy = tempfile.TemporaryDirectory(prefix="runner-state-")
        for file in (folder / DATABASE, log):
            shutil.copyfile(file, Path(self._copy.name) / file.name)
        return f"{(Path(self._copy.name) / DATABASE).as_uri()}?mode=rw"

    def read(self) -> Documents:
        found = self._select(f"WHERE key NOT GLOB '{_EVENT}*'")
        return Documents(_number(found.pop(_SERIAL, None)), found)

    def waiting(self) -> dict[str, Document]:
        """Events that are not in the file of the log yet, or are in both; the oldest first."""
        found = self._select(f"WHERE key GLOB '{_EVENT}*'")
        return {key: found[key] for key in sorted(found)}

    def events(self) -> Iterator[Document]:
        # The database first: what is moved meanwhile is then in both
        recent = list(self.waiting().values())
        yield from reversed(recent)
        try:
            for line in log.newest_first(self._folder):
                with contextlib.suppress(msgspec.MsgspecError, RecursionError):  # somebody wrote into it
                    event = msgspec.json.decode(line, type=dict[str, Any])
                    if event not in recent:
                        yield event
        except OSError as error:
            raise StateError(f"the log in `{self._folder}` cannot be read: {error.strerror}") from error

    def is_whole(self) -> bool:
        """Whether it was made to its end: its maker may have been killed, or out of room."""
        return bool(self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'Cache'").fetchall())

    def serial(self) -> int:
        """The number of the last write."""
        return _number(self._select("WHERE key = ?", _SERIAL).get(_SERIAL))

    def _select(self, where: str, *values: object) -> dict[str, Document]:
        """In one statement, so all of it is as of one write."""
        query = f"SELECT key, raw, mode, filename, value FROM Cache {where}"  # noqa: S608  # ours alone
        try:
            rows = self._connection.execute(query, values).fetchall()
        except _UNREADABLE as error:
            raise StateError(f"the state cannot be read: {error}", hint=_way_out(error)) from error
        found = {}
        for key, raw, mode, filename, value in rows:
            if raw != 1 or mode != RAW_MODE or filename is not None or not isinstance(key, str):
                raise StateError("the state holds something that runner did not write", hint=LOST)
            found[key] = unseal(key, value)
        return found

    def write(self, changes: Mapping[str, Document | None], expected: int, events: Sequence[Document] = ()) -> int:
        raise AssertionError("a view is never written to")

    def fill(self, documents: Documents, events: Sequence[Document]) -> None:
        raise AssertionError("a view is never written to")

    def close(self) -> None:
        self._connection.close()
        if self._copy is not None:
            self._copy.cleanup()


def view(folder: Path) -> Store:
    """The state in `folder` for reading; an empty one where there is none yet."""
    database = folder / DATABASE
    if not database.exists() or (database.is_file() and not database.stat().st_size):  # its maker was killed
        return ForkedStore(NOTHING)
    return DiskView(folder)


def read(folder: Path) -> Documents:
    """What the state in `folder` holds now. Raises StateError when it cannot be read."""
    with contextlib.closing(view(folder)) as store:
        return store.read()


def _number(document: Document | None) -> int:
    """Raises StateError for a serial that is none."""
    serial = document.get(_SERIAL) if document else 0
    if not isinstance(serial, int):
        raise StateError(f"the recorded state is damaged at `{_SERIAL}`", hint=LOST)
    return serial
