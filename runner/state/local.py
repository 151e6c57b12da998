"""Memory on this machine: the folder `.runner/`. Its paths, its processes and the file of its lock are known here."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from runner.clock import Clock
from runner.errors import StateError
from runner.job.calls import JOURNAL, RAW, Journal, States
from runner.state.author import Author
from runner.state.base import ForkedStore, Store
from runner.state.disk import DATABASE, read
from runner.state.home import Home, Watched
from runner.state.journal import DiskJournal, read_states
from runner.state.lock import LOCK_FILES, holder_of, project_lock
from runner.state.objects import DiskObjects
from runner.state.overlay import ForkedObjects, copy_state
from runner.state.records import Records, Snapshot

_CLEARING_TRIES = 50
_PAUSE_SECONDS = 0.1


class LocalMemory:
    """The memory in `home`. The parts that write are arguments; what is recorded is opened when it is first asked for.

    open_store: opens the folder of the records. objects: those in `home` if None. journal: of a file, of that for its
    answers, and of so many calls.
    """

    def __init__(
        self,
        home: Home,
        *,
        open_store: Callable[[Path], Store],
        objects: DiskObjects | None = None,
        journal: Callable[[Path, Path, int], Journal] = DiskJournal,
    ) -> None:
        self._home = home
        self._open_store = open_store
        self._objects = objects or DiskObjects(home.objects)
        self._journal = journal
        self._store: Store | None = None
        self._author: Author | None = None

    @cached_property
    def records(self) -> Records:
        self._store = self._open_store(self._home.state)
        return Records(self._store, self._author)

    def snapshot(self) -> Snapshot:
        return self.records.snapshot()

    @property
    def objects(self) -> DiskObjects:
        return self._objects

    @property
    def folder(self) -> Path:
        return self._home.folder

    @property
    def scratch(self) -> Path:
        return self._home.tmp

    @property
    def caches(self) -> Path:
        return self._home.memo

    def watched(self) -> Watched | None:
        return watched_in(self._home)

    def journal(self, batch: str, rows: int) -> Journal:
        place = self.objects.place
        return self._journal(place(f"{batch}/{JOURNAL}"), place(f"{batch}/{RAW}"), rows)

    def states(self, batch: str) -> States | None:
        path = self.objects.path(f"{batch}/{JOURNAL}")
        return read_states(path) if path.exists() else None

    @contextmanager
    def lock(self, command: str, *, clock: Clock, wait_seconds: float = 0.0) -> Iterator[None]:
        with project_lock(self._home.folder, command=command, now=clock.now(), wait_seconds=wait_seconds):
            if self._store is not None:
                self.snapshot()
            self._author = Author(command, clock, self._home.root, os.environ)
            if self._store is not None:
                self.records.author = self._author
            yield

    def holder(self) -> str:
        return holder_of(self._home.folder)

    def fork(self, name: str = "") -> LocalMemory:
        return NamedFork(self._home, name) if name else Fork(self._home)

    def clear(self) -> None:
        raise AssertionError("only what a fork left is ever cleared")

    def close(self) -> None:
        if self._store is not None:
            self._store.close()


class _Forked(LocalMemory):
    """A memory over the one in `base`, which is only read; what is written lies in `home`."""

    def __init__(self, home: Home, base: Home, *, open_store: Callable[[Path], Store]) -> None:
        super().__init__(home, open_store=open_store, objects=ForkedObjects(home.objects, base.objects))
        self._base = base

    @property
    def caches(self) -> Path:
        return self._base.memo

    def watched(self) -> Watched | None:
        return watched_in(self._base)

    def journal(self, batch: str, rows: int) -> Journal:
        for name in (f"{batch}/{JOURNAL}", f"{batch}/{RAW}"):
            here, there = self.objects.place(name), self.objects.path(name)
            if there != here and there.exists():
                shutil.copyfile(there, here)  # gone on with here alone
        return super().journal(batch, rows)


class Fork(_Forked):
    """A memory over the one in `base`, in a folder that is deleted when it is closed."""

    def __init__(self, base: Home) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="runner-")
        home = Home(Path(self._folder.name))
        home.tmp.mkdir(mode=0o700)
        super().__init__(home, base, open_store=lambda folder: ForkedStore(read(base.state)))

    def close(self) -> None:
        super().close()
        self._folder.cleanup()


class NamedFork(_Forked):
    """A memory over the one in `base`, in the folder of this name below it, made and emptied by `clear`.

    The records of the base are copied first: SQLite leaves files beside a database that it only reads, and a fork that
    says it changes nothing must not.
    """

    def __init__(self, base: Home, name: str) -> None:
        super().__init__(Home(base.folder / name), base, open_store=self._copied)

    def _copied(self, folder: Path) -> Store:
        with tempfile.TemporaryDirectory(dir=self.scratch) as copy:
            copy_state(self._base.state, Path(copy))
            return ForkedStore(read(Path(copy)))

    @contextmanager
    def lock(self, command: str, *, clock: Clock, wait_seconds: float = 0.0) -> Iterator[None]:
        for folder in (self._base.folder, self.folder):
            if folder.is_symlink():
                raise StateError(f"`{folder}` is a link; runner keeps its state in a folder of its own")
            folder.mkdir(mode=0o700, exist_ok=True)
        with super().lock(command, clock=clock, wait_seconds=wait_seconds):
            yield

    def clear(self) -> None:
        for entry in self.folder.iterdir():
            if entry.name in LOCK_FILES:  # held while the rest is cleared
                continue
            if entry.is_symlink() or not entry.is_dir():  # links are removed, never followed
                entry.unlink()
            else:
                _remove(entry)
        self._home.prepare()


def watched_in(home: Home) -> Watched:
    """The database and its logs, and what lies beside it: files there are removed, or spoiled, by others alone."""
    objects = [Path(folder, name) for folder, _, names in os.walk(home.objects) for name in (*names, "")]
    database = home.state / DATABASE
    return Watched((database, *objects), (Path(f"{database}-wal"), Path(f"{database}-journal")))


def _remove(folder: Path) -> None:
    """Remove a folder; the server of a rehearsal that was killed may write a last file into it."""
    for left in reversed(range(_CLEARING_TRIES)):
        try:
            shutil.rmtree(folder)
            return
        except FileNotFoundError:
            return
        except OSError:
            if not left:
                raise
            time.sleep(_PAUSE_SECONDS)
