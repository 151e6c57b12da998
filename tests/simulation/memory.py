"""What survives a crash: committed writes and finished objects, both in memory; what was not written is forgotten."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from runner.errors import StateError
from runner.job.recorded import Batch, JobRecord, ProjectRecord, Retry
from runner.state.base import Document
from runner.state.objects import Objects
from runner.state.records import PROJECT, Records, T
from tests.simulation.world import World

_Record = Batch | JobRecord | ProjectRecord | Retry


class MemoryStore:
    """Implements `state.base.Store`: all of a write, or nothing of it. What was not written dies with the process."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._documents: dict[str, Document] = {}
        self.read: dict[str, list[_Record]] = {}  # by prefix, what stands below it; forgotten when something changes
        self.in_order: list[Batch] | None = None
        self.read_of: dict[str, _Record] = {}  # by key; the same

    def get(self, key: str) -> Document | None:
        return self._documents.get(key)

    def list(self, prefix: str) -> Iterator[tuple[str, Document]]:
        for key in sorted(key for key in self._documents if key.startswith(prefix)):
            yield key, self._documents[key]

    def write(self, changes: Mapping[str, Document | None]) -> None:
        self._world.boundary("before a write")
        for key, document in changes.items():
            if document is None:
                self._documents.pop(key, None)
            else:
                self._documents[key] = document
                if document.get("remote_id"):
                    self._world.recorded.setdefault(document["remote_id"], []).append(self._world.seconds)
                for twin in document.get("twins", ()):
                    self._world.twins.setdefault(twin, self._world.seconds)
            self.read.pop(f"{key.partition('/')[0]}/", None)
            self.read_of.pop(key, None)
            self.in_order = None
            self._world.note("store", key, _Words(document))
        self._world.boundary("after a write")

    def close(self) -> None:
        pass


class SimulatedRecords(Records):
    """Records that are read once: a document never changes, it is replaced."""

    store: MemoryStore

    def _all(self, prefix: str, kind: type[T]) -> Iterator[T]:
        found = self.store.read.get(prefix)
        if found is None:
            known = self.store.read_of
            documents = list(self.store.list(prefix))
            for key, document in documents:
                if key not in known:
                    known[key] = next(_One(key, document).all(prefix, kind))
            found = self.store.read[prefix] = [known[key] for key, _ in documents]
        return iter(found)  # type: ignore[arg-type]  # of the kind its prefix says

    def project(self) -> ProjectRecord | None:
        known = self.store.read_of.get(PROJECT)
        if known is None and (known := super().project()) is not None:
            self.store.read_of[PROJECT] = known
        return known  # type: ignore[return-value]  # of the kind its key says

    def batches(self) -> list[Batch]:
        known = self.store.in_order
        if known is None:
            known = self.store.in_order = super().batches()
        return list(known)

    def batch(self, key: str) -> Batch | None:
        self._all("batch/", Batch)
        return self.store.read_of.get(f"batch/{key}")  # type: ignore[return-value]


class _One(Records):
    """One document, read as all records are."""

    def __init__(self, key: str, document: Document) -> None:
        self._only = key, document

    def all(self, prefix: str, kind: type[T]) -> Iterator[T]:
        self.store = self  # type: ignore[assignment]
        return self._all(prefix, kind)

    def list(self, prefix: str) -> Iterator[tuple[str, Document]]:
        yield self._only


class SimulatedObjects(Objects):
    """Objects in memory, raw result files apart; a crash may come before and after each of them."""

    def __init__(self, folder: Path, world: World) -> None:
        super().__init__(folder)
        self._world = world
        self._written: dict[str, tuple[str, bytes]] = {}  # with their SHA-256, as hex
        self._folders: dict[str, Path] = {}

    def folder_of(self, batch: str) -> Path:
        if batch not in self._folders:
            self._folders[batch] = super().folder_of(batch)
        return self._folders[batch]

    def write(self, name: str, data: bytes) -> str:
        self._world.boundary("before an object")
        digest = hashlib.sha256(data).hexdigest()
        self._written[name] = digest, data
        self._world.boundary("after an object")
        return digest

    def read(self, name: str, sha256: str) -> bytes:
        digest, data = self._written.get(name, ("", b""))
        if digest != sha256:
            raise StateError(f"`{name}` is not what was written")
        return data

    def write_set(self, keys: bytes) -> str:
        name = f"sets/{hashlib.sha256(keys).hexdigest()}"
        if name not in self._written:
            self.write(name, keys)
        return name

    def forget(self) -> None:
        """The folder is gone."""
        self._written.clear()
        self._folders.clear()


class _Words:
    """A document in the log: put into words only when somebody reads it."""

    def __init__(self, document: Document | None) -> None:
        self._document = document

    def __str__(self) -> str:
        document = self._document
        if document is None:
            return "removed"
        shown = ("stage", "phase", "remote_id", "generation", "trouble", "twins", "ok", "error", "held", "missing")
        words = [f"{key}={document[key]}" for key in shown if document.get(key)]
        words += [f"{name}={number}" for name, number in document.get("tally", {}).items() if number]
        return " ".join(words)
