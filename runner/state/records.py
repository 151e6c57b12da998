"""Typed records over a Store: which key holds what, and how a record becomes a document and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

import msgspec

from runner.errors import StateError
from runner.job.capabilities import Content, Delivery
from runner.job.recorded import SCHEMA, Batch, JobRecord, ProjectRecord, Retry
from runner.state.base import LOST, Document, Store

T = TypeVar("T", Batch, JobRecord, ProjectRecord, Retry)

PROJECT = "project"


def key_of(record: Batch | JobRecord | ProjectRecord | Retry) -> str:
    """Where a record is kept."""
    match record:
        case Batch():
            return f"batch/{record.key}"
        case JobRecord():
            return f"job/{record.address}"
        case Retry():
            return f"retry/{record.generation:08d}"
        case ProjectRecord():
            return PROJECT


class Records:
    """The project's records. Every `save` is one durable transaction."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def project(self) -> ProjectRecord | None:
        document = self.store.get(PROJECT)
        return None if document is None else _read(PROJECT, document, ProjectRecord)

    def batches(self) -> list[Batch]:
        """Every batch, in order of submission."""
        return sorted(self._all("batch/", Batch), key=lambda batch: (batch.sequence, batch.key))

    def batch(self, key: str) -> Batch | None:
        document = self.store.get(f"batch/{key}")
        return None if document is None else _read(f"batch/{key}", document, Batch)

    def jobs(self) -> dict[str, JobRecord]:
        return {record.address: record for record in self._all("job/", JobRecord)}

    def retries(self) -> list[Retry]:
        """Oldest first."""
        return list(self._all("retry/", Retry))

    def save(self, *records: Batch | JobRecord | ProjectRecord | Retry) -> None:
        changes: Mapping[str, Document | None] = {key_of(record): msgspec.to_builtins(record) for record in records}
        self.store.write(changes)

    def _all(self, prefix: str, kind: type[T]) -> Iterator[T]:
        for key, document in self.store.list(prefix):
            yield _read(key, document, kind)


def _read(key: str, document: Document, kind: type[T]) -> T:
    schema = document.get("schema")
    if not isinstance(schema, int) or schema < 1:
        raise StateError(f"the recorded state is not readable at `{key}`: it has no schema", hint=LOST)
    if schema > SCHEMA:
        raise StateError(
            f"the state was written by a newer runner (schema {schema} at `{key}`; this one knows {SCHEMA})",
            hint="Install the newer version; this one changes nothing",
        )
    try:
        record = msgspec.convert(_as_of_now(document), kind)
    except msgspec.ValidationError as error:
        raise StateError(f"the recorded state is not readable at `{key}`: {error}", hint=LOST) from error
    if key_of(record) != key:
        raise StateError(f"the recorded state is damaged: `{key}` holds `{key_of(record)}`", hint=LOST)
    return record


def _as_of_now(document: Document) -> Document:
    """A record as it would be written today: up to release 0.1.0 one word said that a batch is of single calls."""
    if not document.get("is_wave"):
        return document
    return {**document, "content": Content.RECORDING, "delivery": Delivery.CALLS}
