"""The Store protocol: small JSON documents under string keys, changed together or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from runner.errors import Conflict

Document = dict[str, Any]

RAW_MODE = 1  # of a value that is text: diskcache's MODE_RAW; 4 would be a pickle
# What to do about a state that is damaged
LOST = "delete nothing by hand: move the folder away and run `runner apply` again; answers are found again"


class Documents(msgspec.Struct, frozen=True):
    """All documents of a store as they were after the write number `serial`; 0 where nobody ever counted."""

    serial: int
    by_key: Mapping[str, Document]

    def below(self, prefix: str) -> Iterator[tuple[str, Document]]:
        """Those whose key starts with `prefix`, in key order."""
        return ((key, self.by_key[key]) for key in sorted(self.by_key) if key.startswith(prefix))

    def after(self, changes: Mapping[str, Document | None]) -> Documents:
        """What they are once this was written; None removes."""
        merged: dict[str, Document | None] = {**self.by_key, **changes}
        return Documents(self.serial + 1, {key: one for key, one in merged.items() if one is not None})


NOTHING = Documents(0, {})


class Store(Protocol):
    """Where records are durable."""

    def read(self) -> Documents:
        """All that is there now, as of one write. Raises StateError when it cannot be read."""
        ...

    def write(self, changes: Mapping[str, Document | None], expected: int, events: Sequence[Document] = ()) -> int:
        """All of `changes` durably, or none; None removes. The serial of this write.

        events: appended to the log by the same write; they have their `serial` and `part` in them.
        Raises Conflict when the store is not at the serial `expected`, StateError when it cannot be written.
        """
        ...

    def fill(self, documents: Documents, events: Sequence[Document]) -> None:
        """Begin with all of this, at its serial, where nothing was ever written. events: the oldest first.

        Raises Conflict where something was, StateError when it cannot be written.
        """
        ...

    def events(self) -> Iterator[Document]:
        """The log, the newest first; no more of it than the store keeps. Raises StateError."""
        ...

    def close(self) -> None: ...


class ForkedStore:
    """Goes on from some documents, in memory: what `plan` and a rehearsal write, nobody else ever sees."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._events: list[Document] = []

    def read(self) -> Documents:
        return self._documents

    def write(self, changes: Mapping[str, Document | None], expected: int, events: Sequence[Document] = ()) -> int:
        meet(expected, self._documents.serial)
        self._documents = self._documents.after(changes)
        self._events += events
        return self._documents.serial

    def fill(self, documents: Documents, events: Sequence[Document]) -> None:
        meet(0, self._documents.serial)
        self._documents, self._events = documents, [*events]

    def events(self) -> Iterator[Document]:
        return reversed(self._events)

    def close(self) -> None:
        pass


def meet(expected: int, found: int) -> None:
    """Raise Conflict where a store is not where its writer believes it to be: two write to it at once."""
    if found != expected:
        raise Conflict(
            f"somebody else writes to this state at the same time (write {found:,} where {expected:,} was expected)",
            hint="nothing was written over; run the command again when the other one has ended",
        )
