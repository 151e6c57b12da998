"""The server's memory: one SQLite file with files, batches, and which rows of a batch are done.

A batch and the rows it has done change in one transaction, so a server killed anywhere goes on where it stopped.
Row commits need no fsync of their own: a row lost to a power cut is asked again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from runner.server.records import DoneRow, File, StoredBatch

# Records are JSON beside the few columns that are searched by: a new field needs no change of the tables, and a server
# of today reads what one of last month wrote. `seq` is the order of creation, and what cursors point at.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, owner TEXT NOT NULL, purpose TEXT NOT NULL,
    expires_at REAL NOT NULL, record BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS files_of ON files (owner, seq);
CREATE TABLE IF NOT EXISTS batches (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, owner TEXT NOT NULL, dialect TEXT NOT NULL,
    ended INTEGER NOT NULL, record BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS batches_of ON batches (owner, dialect, seq);
CREATE INDEX IF NOT EXISTS batches_active ON batches (seq) WHERE ended = 0;
CREATE TABLE IF NOT EXISTS rows (
    batch INTEGER NOT NULL, ordinal INTEGER NOT NULL, is_ok INTEGER NOT NULL, start INTEGER NOT NULL,
    size INTEGER NOT NULL, PRIMARY KEY (batch, ordinal)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS datasets (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, account TEXT NOT NULL, id TEXT NOT NULL,
    record BLOB NOT NULL, UNIQUE (owner, account, id));
CREATE TABLE IF NOT EXISTS audio_jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, owner TEXT NOT NULL, model TEXT NOT NULL,
    ended INTEGER NOT NULL, record BLOB NOT NULL, body TEXT);
CREATE INDEX IF NOT EXISTS audio_jobs_active ON audio_jobs (model, seq) WHERE ended = 0;
"""
_FILE = msgspec.json.Decoder(File)
_BATCH = msgspec.json.Decoder(StoredBatch)
_encode = msgspec.json.Encoder().encode

Also = Callable[[sqlite3.Connection, StoredBatch, StoredBatch], None]


class World:
    """Shared by the request handlers and the worker; every method is one short critical section."""

    def __init__(self, path: Path) -> None:
        # one connection for all threads: SQLite lets only one of them write at a time anyway
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA busy_timeout=10000")
        self._db.execute("PRAGMA wal_autocheckpoint=8000")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self, *, synced: bool = True) -> Iterator[sqlite3.Connection]:
        """All or nothing; not to be nested."""
        with self._lock:
            # SQLite ignores this inside a transaction, so it is said before each
            self._db.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def query(self, sql: str, *values: object) -> list[tuple[bytes, ...]]:
        """All rows of a SELECT."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # files

    def add_file(self, file: File) -> None:
        with self.transaction() as db:
            insert_file(db, file)

    def file(self, owner: str, file_id: str, now: float) -> File | None:
        """One file that has not expired, of this owner."""
        found = self.query("SELECT record FROM files WHERE id=? AND owner=?", file_id, owner)
        file = _FILE.decode(found[0][0]) if found else None
        return None if file is None or 0 < file.expires_at <= now else file

    def files(
        self, owner: str, now: float, *, limit: int, after: str = "", purpose: str = "", ascending: bool = False
    ) -> list[File] | None:
        """A page in order of creation; None where `after` is not a file of this owner."""
        seq = self._seq("files", owner, after)
        if seq is None:
            return None
        found = self.query(
            f"SELECT record FROM files WHERE owner=? AND (?='' OR purpose=?) AND (expires_at=0 OR expires_at>?)"  # noqa: S608  # our own words
            f" AND (?='' OR seq{'>' if ascending else '<'}?) ORDER BY seq {'ASC' if ascending else 'DESC'} LIMIT ?",
            owner, purpose, purpose, now, after, seq, limit,
        )  # fmt: skip
        return [_FILE.decode(record) for (record,) in found]

    def delete_file(self, file_id: str) -> None:
        with self.transaction() as db:
            db.execute("DELETE FROM files WHERE id=?", (file_id,))

    def expired_files(self, now: float) -> list[str]:
        found = self.query("SELECT record FROM files WHERE expires_at>0 AND expires_at<=?", now)
        return [_FILE.decode(record).id for (record,) in found]

    def file_ids(self) -> set[str]:
        """Of every owner: what lies in the files folder and is not here is a leftover."""
        with self._lock:
            return {name for (name,) in self._db.execute("SELECT id FROM files")}

    # batches

    def add_batch(self, batch: StoredBatch) -> None:
        with self.transaction() as db:
            db.execute(
                "INSERT INTO batches (id, owner, dialect, ended, record) VALUES (?,?,?,0,?)",
                (batch.id, batch.owner, batch.dialect, _encode(batch)),
            )

    def remove_batch(self, batch_id: str) -> None:
        """Forget a batch; its id may be used again."""
        with self.transaction() as db:
            db.execute("DELETE FROM rows WHERE batch=(SELECT seq FROM batches WHERE id=?)", (batch_id,))
            db.execute("DELETE FROM batches WHERE id=?", (batch_id,))

    def batch(self, owner: str, batch_id: str) -> StoredBatch | None:
        found = self.query("SELECT record FROM batches WHERE id=? AND owner=?", batch_id, owner)
        return _BATCH.decode(found[0][0]) if found else None

    def batches(self, owner: str, dialect: str, *, limit: int, after: str = "") -> list[StoredBatch] | None:
        """A page, newest first; None where `after` is not one of this owner."""
        seq = self._seq("batches", owner, after)
        if seq is None:
            return None
        found = self.query(
            "SELECT record FROM batches WHERE owner=? AND dialect=? AND (?='' OR seq<?) ORDER BY seq DESC LIMIT ?",
            owner, dialect, after, seq, limit,
        )  # fmt: skip
        return [_BATCH.decode(record) for (record,) in found]

    def active(self) -> list[StoredBatch]:
        """Batches that have not ended, oldest first."""
        return [
            _BATCH.decode(record) for (record,) in self.query("SELECT record FROM batches WHERE ended=0 ORDER BY seq")
        ]

    def change(
        self,
        batch_id: str,
        how: Callable[[StoredBatch], StoredBatch],
        *,
        new_files: Iterable[File] = (),
        also: Also | None = None,
        even_ended: bool = False,
    ) -> StoredBatch:
        """Replace a batch by `how(batch)`, seen and written in one transaction, with what `also` writes.

        An ended batch changes only with `even_ended`: it is to be deleted. Raises KeyError where it is gone.
        """
        with self.transaction() as db:
            found = db.execute("SELECT seq, record FROM batches WHERE id=?", (batch_id,)).fetchone()
            if found is None:
                raise KeyError(batch_id)
            seq, record = found
            batch = _BATCH.decode(record)
            after = batch if batch.state.has_ended and not even_ended else how(batch)
            # `how` left it as it was: then neither `new_files` nor `also` is to be written
            if after is batch:
                return batch
            for file in new_files:
                insert_file(db, file)
            _update_batch(db, seq, after)
            if also is not None:
                also(db, batch, after)
            # where lines lie in spools that are about to be removed
            if after.state.has_ended:
                db.execute("DELETE FROM rows WHERE batch=?", (seq,))
            return after

    def _seq(self, table: str, owner: str, after: str) -> int | None:
        if not after:
            return 0
        found = self.query(f"SELECT seq FROM {table} WHERE id=? AND owner=?", after, owner)  # noqa: S608  # our own word
        return int(found[0][0]) if found else None

    # rows

    def record_rows(self, batch_id: str, rows: Sequence[DoneRow], input_tokens: int, output_tokens: int) -> StoredBatch:
        """Count rows as done, once, with where their lines lie."""
        ok = sum(row.is_ok for row in rows)
        with self.transaction(synced=False) as db:
            ((seq, record),) = db.execute("SELECT seq, record FROM batches WHERE id=?", (batch_id,)).fetchall()
            batch = _BATCH.decode(record)
            db.executemany(
                "INSERT INTO rows VALUES (?,?,?,?,?)",
                [(seq, row.ordinal, row.is_ok, row.offset, row.size) for row in rows],
            )
            after = msgspec.structs.replace(
                batch,
                completed=batch.completed + ok,
                failed=batch.failed + len(rows) - ok,
                input_tokens=batch.input_tokens + input_tokens,
                output_tokens=batch.output_tokens + output_tokens,
            )
            _update_batch(db, seq, after)
            return after

    def rows(self, batch_id: str) -> list[DoneRow]:
        """All rows that are done, by ordinal."""
        with self._lock:
            found = self._db.execute(
                "SELECT ordinal, is_ok, start, size FROM rows WHERE batch=(SELECT seq FROM batches WHERE id=?)"
                " ORDER BY ordinal",
                (batch_id,),
            )
            return [DoneRow(ordinal, bool(ok), start, size) for ordinal, ok, start, size in found]

    def forget_rows(self, batch_id: str, lost: Sequence[DoneRow]) -> StoredBatch:
        """Rows whose lines did not reach the disk are to be asked again."""
        ok = sum(row.is_ok for row in lost)
        with self.transaction() as db:
            ((seq, record),) = db.execute("SELECT seq, record FROM batches WHERE id=?", (batch_id,)).fetchall()
            batch = _BATCH.decode(record)
            db.executemany("DELETE FROM rows WHERE batch=? AND ordinal=?", [(seq, row.ordinal) for row in lost])
            after = msgspec.structs.replace(
                batch, completed=batch.completed - ok, failed=batch.failed - (len(lost) - ok)
            )
            _update_batch(db, seq, after)
            return after


def insert_file(db: sqlite3.Connection, file: File) -> None:
    db.execute(
        "INSERT INTO files (id, owner, purpose, expires_at, record) VALUES (?,?,?,?,?)",
        (file.id, file.owner, file.purpose, file.expires_at, _encode(file)),
    )


def _update_batch(db: sqlite3.Connection, seq: int, batch: StoredBatch) -> None:
    db.execute("UPDATE batches SET ended=?, record=? WHERE seq=?", (batch.state.has_ended, _encode(batch), seq))
