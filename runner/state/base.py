"""The Store protocol: small JSON documents under string keys, changed together or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

Document = dict[str, Any]

# What to do about a state that is damaged
LOST = "Delete nothing by hand: move the folder away and run `runner apply` again; answers are found again"


class Store(Protocol):
    """Everything durable goes through here, so that a team store is one more module."""

    def get(self, key: str) -> Document | None: ...

    def list(self, prefix: str) -> Iterator[tuple[str, Document]]:
        """Documents whose key starts with `prefix`, in key order."""
        ...

    def write(self, changes: Mapping[str, Document | None]) -> None:
        """All of `changes` durably, or none; None removes. Raises StateError when it cannot."""
        ...

    def close(self) -> None: ...


class OverlayStore:
    """Reads through to a base and keeps its own writes in memory: `plan` looks, and changes nothing."""

    def __init__(self, base: Store) -> None:
        self._base = base
        self._changes: dict[str, Document | None] = {}

    def get(self, key: str) -> Document | None:
        if key in self._changes:
            return self._changes[key]
        return self._base.get(key)

    def list(self, prefix: str) -> Iterator[tuple[str, Document]]:
        merged: dict[str, Document | None] = dict(self._base.list(prefix))
        merged.update((key, value) for key, value in self._changes.items() if key.startswith(prefix))
        for key in sorted(merged):
            document = merged[key]
            if document is not None:
                yield key, document

    def write(self, changes: Mapping[str, Document | None]) -> None:
        self._changes.update(changes)

    def close(self) -> None:
        self._base.close()


class EmptyStore:
    """A project that has never been applied."""

    def get(self, key: str) -> Document | None:
        return None

    def list(self, prefix: str) -> Iterator[tuple[str, Document]]:
        return iter(())

    def write(self, changes: Mapping[str, Document | None]) -> None:
        raise AssertionError("nothing is written to a store that is not there")

    def close(self) -> None:
        pass
