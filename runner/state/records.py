"""Typed records over a Store: which key holds what, and how a record becomes a document and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import msgspec

from runner.errors import StateError, printable
from runner.job.capabilities import Content, Delivery
from runner.job.recorded import NEWEST, Batch, JobRecord, ProjectRecord, Retry
from runner.state.base import LOST, Document, Documents, Store

if TYPE_CHECKING:
    from runner.job.events import Event
    from runner.state.author import Author

Record = Batch | JobRecord | ProjectRecord | Retry
T = TypeVar("T", bound=Record)

PROJECT = "project"
SETS = "sets/"  # what names of sets begin with
_KINDS: tuple[tuple[str, type[Record]], ...] = (
    ("batch/", Batch),
    ("job/", JobRecord),
    ("retry/", Retry),
    (PROJECT, ProjectRecord),
)


def key_of(record: Record) -> str:
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


def sets_in(documents: Iterable[Document]) -> set[str]:
    """The names of sets in documents, in whatever field they are: also in one that a later release wrote."""
    found: set[str] = set()
    left: list[object] = list(documents)
    while left:
        match left.pop():
            case str() as text if text.startswith(SETS):
                found.add(text)
            case dict() as fields:
                left += fields
                left += fields.values()
            case list() | tuple() as items:
                left += items
    return found


class Snapshot:
    """What is recorded as of one write. Nothing changes it; documents become records when they are asked for."""

    def __init__(self, documents: Documents, known: Mapping[str, Record] | None = None) -> None:
        self._documents = documents
        self._known: dict[str, Record] = dict(known or {})  # by key, as they were read or saved

    @property
    def serial(self) -> int:
        """The number of the write that it is as of."""
        return self._documents.serial

    @cached_property
    def project(self) -> ProjectRecord | None:
        return self._one(PROJECT, ProjectRecord)

    @cached_property
    def batches(self) -> tuple[Batch, ...]:
        """Every batch, in order of submission."""
        return tuple(sorted(self._all("batch/", Batch), key=lambda batch: (batch.sequence, batch.key)))

    def batch(self, key: str) -> Batch | None:
        return self._one(f"batch/{key}", Batch)

    @cached_property
    def jobs(self) -> Mapping[str, JobRecord]:
        """By address."""
        return {record.address: record for record in self._all("job/", JobRecord)}

    @cached_property
    def retries(self) -> tuple[Retry, ...]:
        """Oldest first."""
        return tuple(self._all("retry/", Retry))

    def sets(self) -> set[str]:
        """The names of all sets that are spoken of."""
        return sets_in(self._documents.by_key.values())

    def before(self, record: Record) -> Record | None:
        """What is recorded where this record is kept."""
        key, kind = key_of(record), type(record)
        document = self._documents.by_key.get(key)
        return None if document is None else self._read(key, document, kind)

    def after(self, changes: Mapping[str, Document | None], records: Iterable[Record]) -> Snapshot:
        """The next one, once these records were written, which the changes say as documents; None removes."""
        known = {key: record for key, record in self._known.items() if key not in changes}
        return Snapshot(self._documents.after(changes), known | {key_of(record): record for record in records})

    def _one(self, key: str, kind: type[T]) -> T | None:
        document = self._documents.by_key.get(key)
        return None if document is None else self._read(key, document, kind)

    def _all(self, prefix: str, kind: type[T]) -> list[T]:
        return [self._read(key, document, kind) for key, document in self._documents.below(prefix)]

    def _read(self, key: str, document: Document, kind: type[T]) -> T:
        known = self._known.get(key)
        if not isinstance(known, kind):
            known = self._known[key] = _read(key, document, kind)
        return known


class Records:
    """The project's records, as of the last snapshot and what was saved since. Every `save` is one transaction."""

    def __init__(self, store: Store, author: Author | None = None) -> None:
        self._store = store
        self._snapshot: Snapshot | None = None
        self.author = author  # of what is written
        self.listener: Callable[[Event], None] | None = None  # is told of each event once it is durable

    def snapshot(self) -> Snapshot:
        """What is recorded now. From here on it is what is read, and what a `save` expects to find."""
        self._snapshot = Snapshot(self._store.read())
        return self._snapshot

    @property
    def _now(self) -> Snapshot:
        return self._snapshot or self.snapshot()

    def project(self) -> ProjectRecord | None:
        return self._now.project

    def batches(self) -> list[Batch]:
        """Every batch, in order of submission."""
        return list(self._now.batches)

    def batch(self, key: str) -> Batch | None:
        return self._now.batch(key)

    def jobs(self) -> dict[str, JobRecord]:
        return dict(self._now.jobs)

    def retries(self) -> list[Retry]:
        """Oldest first."""
        return list(self._now.retries)

    def sets(self) -> set[str]:
        """The names of all sets that any record speaks of."""
        return self._now.sets()

    def save(self, *records: Record, events: Sequence[Event] = (), gone: Iterable[Record] = ()) -> None:
        """All of them durably, or none; and in the same write what they tell, as events of the log.

        events: what happened beside that. gone: records that are removed.
        Raises Conflict when somebody else wrote since the snapshot, StateError when they cannot be written.
        """
        now = self._now
        left = list(gone)
        changes: dict[str, Document | None] = {key_of(record): None for record in left}
        changes.update((key_of(record), msgspec.to_builtins(record)) for record in records)
        told = self._told(now, records, events, left)
        self._store.write(changes, now.serial, [msgspec.to_builtins(event) for event in told])
        self._snapshot = now.after(changes, records)
        if self.listener is not None:
            for event in told:
                self.listener(event)

    def tell(self, *events: Event) -> None:
        """Append to the log what changed no record, durably. Raises as `save`."""
        self.save(events=events)

    def events(self) -> Iterator[Event]:
        """The log, the newest first; what a newer version wrote and this one does not know is left out."""
        from runner.job.events import Event

        for document in self._store.events():
            try:
                yield msgspec.convert(document, Event)
            except msgspec.ValidationError:
                continue

    def copied(self) -> tuple[Documents, list[Document]]:
        """All of it as documents, and the log, the oldest first. Raises StateError."""
        return self._store.read(), [*self._store.events()][::-1]

    def fill(self, documents: Documents, events: Sequence[Document]) -> None:
        """Begin with what `copied` gave, in a store that holds nothing. Raises StateError for what is no record."""
        for key, document in documents.by_key.items():
            kind = next((kind for prefix, kind in _KINDS if key.startswith(prefix)), None)
            if kind is None:
                raise StateError(f"there is no record called `{printable(key)[:80]}`")
            _read(key, document, kind)
        self._store.fill(documents, events)
        self._snapshot = None

    def _told(
        self, now: Snapshot, records: Sequence[Record], more: Sequence[Event], gone: Sequence[Record]
    ) -> list[Event]:
        """What a write of these records tells, signed and numbered. gone: that go, or go on under another key."""
        from runner.job.events import told_by  # not before something is written

        went_on = {one.written_at: one for one in gone if isinstance(one, JobRecord)}
        events: list[Event] = []
        for record in records:
            before = now.before(record)
            if before is None and isinstance(record, JobRecord):
                before = went_on.get(record.written_at)
            events += told_by(before, record)
        if not (events := [*events, *more]):
            return events
        signed = self.author.signature if self.author else {}
        return [
            msgspec.structs.replace(event, serial=now.serial + 1, part=part, **signed)
            for part, event in enumerate(events)
        ]


def _read(key: str, document: Document, kind: type[T]) -> T:
    schema = document.get("schema")
    if not isinstance(schema, int) or schema < 1:
        raise StateError(f"the recorded state is not readable at `{key}`: it has no schema", hint=LOST)
    if schema > NEWEST:
        raise StateError(
            f"the state was written by a newer runner (schema {schema} at `{key}`; this one knows {NEWEST})",
            hint="install the newer version; this one changes nothing",
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
