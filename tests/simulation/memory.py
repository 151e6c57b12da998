"""What survives a crash: committed writes and finished objects, both in memory; what was not written is forgotten."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import asdict

from runner.errors import StateError
from runner.job.calls import Journal
from runner.job.events import Event
from runner.job.outcomes import Unsettled
from runner.job.recorded import Batch, JobRecord, ProjectRecord, Retry, Stop
from runner.state.base import meet
from runner.state.disk import view
from runner.state.home import Home
from runner.state.journal import DiskJournal
from runner.state.local import LocalMemory
from runner.state.objects import DiskObjects
from runner.state.records import PROJECT, SETS, Records, key_of, sets_in
from tests.simulation.world import Words, World

_Record = Batch | JobRecord | ProjectRecord | Retry


class Recorded:
    """All records as of one write."""

    def __init__(self, serial: int, records: Mapping[str, _Record]) -> None:
        self.serial = serial
        self.records = records
        self._below: dict[str, list[_Record]] = {}  # by prefix, in order

    def below(self, prefix: str) -> list[_Record]:
        """The records whose keys begin so, in order of submission or of their keys."""
        found = self._below.get(prefix)
        if found is None:
            found = [self.records[key] for key in sorted(key for key in self.records if key.startswith(prefix))]
            found.sort(key=lambda record: getattr(record, "sequence", 0))
            self._below[prefix] = found
        return list(found)


class MemoryStore:
    """Records that were written: all of a write, or nothing of it. What was not written dies with the process."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.now = Recorded(0, {})

    def get(self, key: str) -> _Record | None:
        return self.now.records.get(key)

    def write(self, records: Iterable[_Record], expected: int) -> None:
        """Raises Conflict where somebody else wrote since."""
        world = self._world
        world.boundary("before a write")
        meet(expected, self.now.serial)
        changes = {key_of(record): record for record in records}
        before = self.now.records
        self.now = Recorded(expected + 1, {**self.now.records, **changes})
        for key, record in changes.items():
            if isinstance(record, Batch):
                if record.remote_id:
                    world.recorded.setdefault(record.remote_id, []).append(world.seconds)
                is_told = record.stop_at != getattr(before.get(key), "stop_at", None)
                if record.stop not in (None, Stop.PERSON) and is_told:
                    told = world.told_to_stop.setdefault(record.remote_id, [])
                    told.append((world.seconds, record.owner, record.stop))
                for duplicate in record.duplicates:
                    world.duplicates.setdefault(duplicate, world.seconds)
            world.note("store", key, Words(partial(_in_words, record)))
        world.boundary("after a write")


class SimulatedRecords(Records):
    """Records that are kept as they are: that each survives the way to a document and back is tested with `Records`.

    As there, what is read is as of the last snapshot and of what was saved here since.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._memory = store
        self._seen = store.now

    def snapshot(self) -> Any:
        self._seen = self._memory.now

    def project(self) -> ProjectRecord | None:
        return self._seen.records.get(PROJECT)  # type: ignore[return-value]  # here and below: as its key says

    def batches(self) -> list[Batch]:
        return self._seen.below("batch/")  # type: ignore[return-value]

    def batch(self, key: str) -> Batch | None:
        return self._seen.records.get(f"batch/{key}")  # type: ignore[return-value]

    def jobs(self) -> dict[str, JobRecord]:
        return {record.address: record for record in self._seen.below("job/")}  # type: ignore[misc, union-attr]

    def retries(self) -> list[Retry]:
        return self._seen.below("retry/")  # type: ignore[return-value]

    def sets(self) -> set[str]:
        return sets_in(map(msgspec.to_builtins, self._seen.records.values()))

    def save(self, *records: _Record, events: Sequence[Event] = ()) -> None:
        self._memory.write(records, self._seen.serial)
        self._seen = self._memory.now


class SimulatedObjects(DiskObjects):
    """Objects in memory, raw result files apart; a crash may come before and after each of them."""

    def __init__(self, folder: Path, world: World) -> None:
        super().__init__(folder)
        self._world = world
        self._written: dict[str, tuple[str, bytes]] = {}  # with their SHA-256, as hex
        self._folders: dict[str, Path] = {}

    def place(self, name: str) -> Path:
        folder, _, file = name.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = super().place(name).parent
        return self._folders[folder] / file

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

    def stored(self, name: str, sha256: str) -> bytes:
        return self.read(name, sha256)

    def write_set(self, keys: bytes) -> str:
        name = f"sets/{hashlib.sha256(keys).hexdigest()}"
        if name not in self._written:
            self.write(name, keys)
        return name

    def keep_sets(self, names: Collection[str]) -> None:
        self._written = {name: one for name, one in self._written.items() if name in names or not name.startswith(SETS)}

    def forget(self) -> None:
        """The folder is gone."""
        self._written.clear()
        self._folders.clear()

    def kept(self) -> dict[str, tuple[str, bytes]]:
        """For a backup."""
        return dict(self._written)

    def restore(self, kept: Mapping[str, tuple[str, bytes]]) -> None:
        """As they were when they were kept; the folder is put back beside them."""
        self.forget()
        self._written.update(kept)


class SimulatedMemory(LocalMemory):
    """The memory of one applier. In one process nobody comes between; whoever does so on purpose holds no lock."""

    def __init__(
        self,
        home: Home,
        store: MemoryStore,
        objects: SimulatedObjects,
        journal: Callable[[Path, Path, int], Journal] = DiskJournal,
    ) -> None:
        super().__init__(home, open_store=view, objects=objects, journal=journal)
        self._records = SimulatedRecords(store)

    @property
    def records(self) -> Records:
        return self._records

    def lock(self, command: str, **more: object) -> AbstractContextManager[None]:
        self.snapshot()
        return nullcontext()


def _in_words(record: _Record) -> str:
    shown = ["stage", "phase", "stop", "remote_id", "generation", "trouble", "twins", "ok", "error", "missing"]
    shown += [state.word for state in Unsettled]
    words = [f"{name}={value}" for name in shown if (value := getattr(record, name, None))]
    if isinstance(record, Batch):
        words += [f"{name}={number}" for name, number in asdict(record.tally).items() if number]
    return " ".join(words)
