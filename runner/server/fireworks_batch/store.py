"""Datasets in the server's database. They change together with their files, or with the job that writes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

import msgspec

from runner.server.fireworks_batch.records import StoredDataset
from runner.server.records import File
from runner.server.world import World, insert_file

_DATASET = msgspec.json.Decoder(StoredDataset)
_encode = msgspec.json.Encoder().encode
_KEY = "owner=? AND account=? AND id=?"


def insert(db: sqlite3.Connection, dataset: StoredDataset) -> None:
    """Raises sqlite3.IntegrityError where the name is taken."""
    key = dataset.owner, dataset.account, dataset.id
    db.execute("INSERT INTO datasets (owner, account, id, record) VALUES (?,?,?,?)", (*key, _encode(dataset)))


def find(db: sqlite3.Connection, owner: str, account: str, dataset_id: str) -> StoredDataset | None:
    found = db.execute(f"SELECT record FROM datasets WHERE {_KEY}", (owner, account, dataset_id)).fetchone()  # noqa: S608
    return _DATASET.decode(found[0]) if found else None


def update(db: sqlite3.Connection, dataset: StoredDataset) -> None:
    key = dataset.owner, dataset.account, dataset.id
    db.execute(f"UPDATE datasets SET record=? WHERE {_KEY}", (_encode(dataset), *key))  # noqa: S608  # our own words


def delete(db: sqlite3.Connection, dataset: StoredDataset) -> None:
    """Forget a dataset and its files."""
    db.execute(f"DELETE FROM datasets WHERE {_KEY}", (dataset.owner, dataset.account, dataset.id))  # noqa: S608
    db.executemany("DELETE FROM files WHERE id=?", [(file_id,) for file_id in dataset.files.values()])


class DatasetStore:
    """Every method is one transaction."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, owner: str, account: str, dataset_id: str) -> StoredDataset | None:
        found = self._world.query(f"SELECT record FROM datasets WHERE {_KEY}", owner, account, dataset_id)  # noqa: S608
        return _DATASET.decode(found[0][0]) if found else None

    def all(self, owner: str, account: str) -> list[StoredDataset]:
        found = self._world.query("SELECT record FROM datasets WHERE owner=? AND account=?", owner, account)
        return [_DATASET.decode(record) for (record,) in found]

    def add(self, dataset: StoredDataset) -> bool:
        """Whether the name was free."""
        try:
            with self._world.transaction() as db:
                insert(db, dataset)
        except sqlite3.IntegrityError:
            return False
        return True

    def change(
        self, dataset: StoredDataset, how: Callable[[StoredDataset], StoredDataset], new_files: Iterable[File] = ()
    ) -> tuple[StoredDataset, list[str]] | None:
        """The dataset as `how` makes it, and the ids of files it has no more; None where it is gone.

        What `how` raises leaves everything as it was.
        """
        with self._world.transaction() as db:
            seen = find(db, dataset.owner, dataset.account, dataset.id)
            if seen is None:
                return None
            after = how(seen)
            for file in new_files:
                insert_file(db, file)
            # their records go in this transaction; the caller removes the bytes once it is committed
            gone = sorted(set(seen.files.values()) - set(after.files.values()))
            db.executemany("DELETE FROM files WHERE id=?", [(file_id,) for file_id in gone])
            update(db, after)
            return after, gone

    def remove(self, dataset: StoredDataset) -> list[str]:
        """Forget a dataset; the ids of the files it had."""
        with self._world.transaction() as db:
            seen = find(db, dataset.owner, dataset.account, dataset.id)
            if seen is None:
                return []
            delete(db, seen)
            return list(seen.files.values())
