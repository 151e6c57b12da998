"""A throwaway store behind the face of memory: everything in one process, to show what a store has to bring.

Who opens the same `Shelf` shares what is on it, as two machines would share a team's store: each has only a folder of
its own for files on their way, and what it was not told through the face, it does not know.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from runner.clock import Clock
from runner.errors import LockedError, StateError
from runner.job.calls import JOURNAL, RAW, States
from runner.job.infile import Run
from runner.job.recorded import ResultObject
from runner.state.author import Author
from runner.state.base import NOTHING, Document, Documents, meet
from runner.state.commits import Read, commit, header
from runner.state.grouped import Grouped, Item
from runner.state.records import Records, Snapshot


@dataclass
class Shelf:
    """What is durable: all that two openers have in common."""

    documents: Documents = NOTHING
    objects: dict[str, bytes] = field(default_factory=dict)
    journals: dict[str, tuple[bytearray, bytearray]] = field(default_factory=dict)  # by batch; and the answers
    lock: threading.Lock = field(default_factory=threading.Lock)
    holder: str = ""
    events: list[Document] = field(default_factory=list)
    environments: dict[str, Shelf] = field(default_factory=dict)

    def open(self, root: Path, *, writes: bool, environment: str = "") -> InMemory:
        shelf = self.environments.setdefault(environment, Shelf()) if environment else self
        return InMemory(shelf, root, writes=writes)

    def writing(self) -> None:
        """Somebody is about to write; a test may come between."""

    def forked(self) -> Shelf:
        return Shelf(self.documents, dict(self.objects), deepcopy(self.journals))


class ShelfStore:
    def __init__(self, shelf: Shelf, *, writes: bool) -> None:
        self._shelf, self._writes = shelf, writes

    def read(self) -> Documents:
        return self._shelf.documents

    def events(self) -> Iterator[Document]:
        return reversed(self._shelf.events)

    def write(self, changes: Mapping[str, Document | None], expected: int, events: Sequence[Document] = ()) -> int:
        assert self._writes, "opened for reading"
        self._shelf.writing()
        meet(expected, self._shelf.documents.serial)
        self._shelf.documents = self._shelf.documents.after(changes)
        self._shelf.events += events
        return self._shelf.documents.serial

    def fill(self, documents: Documents, events: Sequence[Document]) -> None:
        meet(0, self._shelf.documents.serial)
        self._shelf.documents, self._shelf.events = documents, [*events]

    def close(self) -> None:
        pass


class ShelfObjects:
    """Bytes on the shelf. A file is brought to this opener's own folder when somebody asks for its path."""

    def __init__(self, shelf: Shelf, folder: Path) -> None:
        self._shelf, self._folder = shelf, folder

    def write(self, name: str, data: bytes) -> str:
        self._shelf.objects[name] = data
        return hashlib.sha256(data).hexdigest()

    def read(self, name: str, sha256: str) -> bytes:
        data = self._shelf.objects.get(name)
        if data is None or hashlib.sha256(data).hexdigest() != sha256:
            raise StateError(f"`{name}` is gone, or not what was written")
        return data

    def stored(self, name: str, sha256: str) -> bytes:
        return self.read(name, sha256)

    def write_set(self, keys: Run) -> str:
        name = f"sets/{hashlib.sha256(keys[:]).hexdigest()}"
        self.write(name, keys[:])
        return name

    def read_set(self, name: str) -> bytes:
        return self.read(name, name.removeprefix("sets/"))

    def stored_set(self, name: str) -> bytes:
        return self.read_set(name)

    def keep_sets(self, names: Collection[str]) -> None:
        for name in [name for name in self._shelf.objects if name.startswith("sets/") and name not in names]:
            del self._shelf.objects[name]

    def pack(self, batch: str, result: ResultObject) -> None:
        """Nothing: the shelf has room."""

    def place(self, name: str) -> Path:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def keep(self, batch: str, name: str) -> ResultObject:
        data = self.path(f"{batch}/{name}").read_bytes()
        return ResultObject(name, len(data), self.write(f"{batch}/{name}", data))

    def path(self, name: str) -> Path:
        batch, _, file = name.partition("/")
        data = self._shelf.objects.get(name)
        if data is None and file == RAW and batch in self._shelf.journals:
            data = bytes(self._shelf.journals[batch][1])
        if data is not None:
            self.place(name).write_bytes(data)
        return self._folder / name

    def remove(self, batch: str) -> None:
        for name in [name for name in self._shelf.objects if name.startswith(f"{batch}/")]:
            del self._shelf.objects[name]
        self._shelf.journals.pop(batch, None)


class ShelfJournal(Grouped):
    def __init__(self, batch: str, journal: bytearray, raw: bytearray, rows: int) -> None:
        self._journal, self._raw = journal, raw
        if not journal:
            journal += header(rows)
        read = Read(Path(batch), bytes(journal))
        if read.states.rows != rows:
            raise StateError(f"`{batch}` is of {read.states.rows:,} calls, not of {rows:,}")
        super().__init__(read.states)
        self._id = read.id
        del journal[read.size :], raw[self.states.raw_bytes :]  # what a crash left half written

    def _make_durable(self, group: list[Item]) -> None:
        self._raw += self.placed(group, len(self._raw))
        entries = [entry for item in group for entry in item.entries]
        self._journal += commit(self._id, len(self._journal), entries)

    def close(self) -> None:
        pass


class InMemory:
    """One opener of a shelf."""

    def __init__(self, shelf: Shelf, root: Path, *, writes: bool = True) -> None:
        self._shelf, self._root, self._writes = shelf, root, writes
        self._here = tempfile.TemporaryDirectory(prefix="runner-shelf-")
        self._records = Records(ShelfStore(shelf, writes=writes))
        for folder in (self.scratch, self.caches):
            folder.mkdir()
        self._objects = ShelfObjects(shelf, self.folder / "objects")

    @property
    def records(self) -> Records:
        return self._records

    def snapshot(self) -> Snapshot:
        return self._records.snapshot()

    @property
    def objects(self) -> ShelfObjects:
        return self._objects

    @property
    def folder(self) -> Path:
        return Path(self._here.name)

    @property
    def scratch(self) -> Path:
        return self.folder / "tmp"

    @property
    def caches(self) -> Path:
        return self.folder / "memo"

    def watched(self) -> None:
        """Only asking tells what others recorded."""

    def journal(self, batch: str, rows: int) -> ShelfJournal:
        return ShelfJournal(batch, *self._shelf.journals.setdefault(batch, (bytearray(), bytearray())), rows)

    def states(self, batch: str) -> States | None:
        if batch not in self._shelf.journals:
            return None
        return Read(Path(JOURNAL), bytes(self._shelf.journals[batch][0])).states

    @contextmanager
    def lock(self, command: str, *, clock: Clock, wait_seconds: float = 0.0) -> Iterator[None]:
        if not self._shelf.lock.acquire(timeout=max(wait_seconds, 0.001)):
            raise LockedError(f"another command is working on this project: {self._shelf.holder}")
        try:
            self._shelf.holder = command
            self.snapshot()
            self.records.author = Author(command, clock, self._root, os.environ)
            yield
        finally:
            self._shelf.lock.release()

    def fork(self, name: str = "") -> InMemory:
        return InMemory(self._shelf.forked(), self._root)

    def clear(self) -> None:
        shutil.rmtree(self.folder / "objects", ignore_errors=True)

    def close(self) -> None:
        self._here.cleanup()
