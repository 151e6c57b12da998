"""Values picked out of answers, each in a column of its own: a `Step`, worked out as lines stream by.

A value is copied out of the answer's bytes as it stands; nothing else of the answer is decoded. One that is not there,
or is of another type than its column, is null and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from runner.job.project import Pick
from runner.mending import NOT_SO
from runner.remotes.reading.verdict import ABSENT, NULL, parsed
from runner.results import kinds
from runner.results.kinds import Kind, Of, Unfit, fitting
from runner.results.splice import Merged

_SCALARS: Mapping[str, Kind] = {
    "string": kinds.TEXT,
    "integer": kinds.WHOLE,
    "number": kinds.NUMBER,
    "boolean": kinds.FLAG,
}
_ALL_FIT_DIGITS = 19  # so few make no number that 64 bits do not hold
_NESTED = {"array": Of.LIST, "object": Of.RECORD}
_decode = msgspec.json.Decoder().decode
_decode_items = msgspec.json.Decoder(list[Raw]).decode
_Fits = Callable[[bytes], bool]


class NotThere(ValueError):
    """What a schema says of a path: the message says why nothing of it can be picked."""


class _Column(msgspec.Struct, frozen=True):
    kind: Kind
    is_open: bool = False  # nobody says what it holds: texts are shown bare, all else as JSON


def column_of(pick: Pick, answer: Kind | None) -> _Column:
    """The column of a pick. answer: the kind of answers, as their schema says; None where there is none.

    Raises NotThere where the schema knows of no such value, or of one of another type.
    """
    found = _at(answer, pick) if answer is not None else kinds.JSON
    if not pick.type:
        return _Column(kinds.TEXT, is_open=True) if found.of in (Of.NOTHING, Of.JSON) else _Column(found)
    if pick.type in _NESTED:
        is_it = found.of in (_NESTED[pick.type], Of.JSON, Of.NOTHING)
        kind = found if found.of is _NESTED[pick.type] else kinds.JSON
    else:
        kind = _SCALARS[pick.type]
        is_it = found.of in (kind.of, Of.JSON, Of.NOTHING) or {found.of, kind.of} == {Of.WHOLE, Of.NUMBER}
    if not is_it:
        raise NotThere(f"`{pick.source}` is no {pick.type} in the schema of the answer")
    return _Column(kind)


def _at(answer: Kind, pick: Pick) -> Kind:
    found = answer
    for part in pick.path:
        match found.of, part:
            case Of.RECORD, str() if part in found.fields:
                found = found.fields[part]
            case Of.LIST, int():
                found = found.item or kinds.JSON
            case ((Of.JSON | Of.NOTHING), _):
                return kinds.JSON
            case Of.RECORD, str() if pick.type:  # a field beside those that are described
                return kinds.JSON
            case _:
                raise NotThere(f"the schema of the answer has no `{pick.source}`")
    return found


class Picked:
    """Implements `columns.Step`: a column for each pick."""

    def __init__(self, picks: Sequence[Pick], answer: Kind | None) -> None:
        """answer: see `column_of`. Raises NotThere."""
        self._picks = picks
        columns = [column_of(pick, answer) for pick in picks]
        self._kinds = [column.kind for column in columns]
        self._fits = [_fits(column, pick.type) for column, pick in zip(columns, picks, strict=True)]
        self._root = _Node()
        for number, pick in enumerate(picks):
            self._root.add(pick.path, number)
        self._root.close()
        self._nothing = [NULL] * len(picks)
        self._missing = [0] * len(picks)
        self._unfit = [0] * len(picks)

    @property
    def columns(self) -> Sequence[tuple[str, Kind]]:
        return [(pick.name, kind) for pick, kind in zip(self._picks, self._kinds, strict=True)]

    @property
    def made_of(self) -> str:
        return f"picked/1 {[(one.name, one.path, one.type) for one in self._picks]!r} {self._kinds!r}"

    def value(self, line: Merged) -> Sequence[bytes]:
        answer = line.answer
        if answer == NULL:
            return self._nothing
        found: list[bytes] = [b""] * len(self._picks)
        self._root.read(parsed(answer) if answer[:1] == b'"' else answer, found)
        for number, value in enumerate(found):
            if not value:
                self._missing[number] += 1
                found[number] = NULL
            elif value != NULL and not self._fits[number](value):
                self._unfit[number] += 1
                found[number] = NULL
        return found

    def summary(self) -> str:
        """`city` missing in 2 answers, of another type in 1; empty where every value is there."""
        told = []
        for pick, missing, unfit in zip(self._picks, self._missing, self._unfit, strict=True):
            parts = [f"missing in {_answers(missing)}"] if missing else []
            parts += [f"of another type in {_answers(unfit)}"] if unfit else []
            told += [f"`{pick.name}` is {' and '.join(parts)}"] if parts else []
        return "; ".join(told)


def _answers(number: int) -> str:
    return f"{number:,} answer{'' if number == 1 else 's'}"


class _Node:
    """A value on the way to what is picked: which picks are it, and what of it is looked at."""

    def __init__(self) -> None:
        self._picks: list[int] = []
        self._fields: dict[str, _Node] = {}
        self._items: dict[int, _Node] = {}
        self._decode: Callable[[bytes], Any] | None = None
        self._inner: list[tuple[str, int, _Node]] = []

    def add(self, path: Sequence[str | int], number: int) -> None:
        if not path:
            self._picks.append(number)
            return
        first, rest = path[0], path[1:]
        if isinstance(first, int):
            self._items.setdefault(first, _Node()).add(rest, number)
        else:
            self._fields.setdefault(first, _Node()).add(rest, number)

    def close(self) -> None:
        """Make it ready: a decoder that takes these fields as they stand, and skips all others."""
        for node in (*self._fields.values(), *self._items.values()):
            node.close()
        names = {f"f{number}": name for number, name in enumerate(self._fields)}
        if names:
            fields = [(name, Raw, ABSENT) for name in names]
            shape = msgspec.defstruct("Picked", fields, rename=names, gc=False)
            self._decode = msgspec.json.Decoder(shape).decode
            self._inner = [(ours, self._fields[name].only, self._fields[name]) for ours, name in names.items()]

    @property
    def only(self) -> int:
        """The pick that it is, where nothing else of it is looked at; else -1."""
        return self._picks[0] if len(self._picks) == 1 and not self._fields and not self._items else -1

    def read(self, value: bytes, found: list[bytes]) -> None:
        """Put what is picked of a value in its places; what is not there is left out."""
        for number in self._picks:
            found[number] = value
        try:
            if self._decode is not None and value[:1] == b"{":
                fields = self._decode(value)
                for name, pick, node in self._inner:
                    inner = bytes(getattr(fields, name))
                    if pick >= 0:
                        found[pick] = inner
                    elif inner:
                        node.read(inner, found)
            if self._items and value[:1] == b"[":
                items = _decode_items(value)
                for place, node in self._items.items():
                    if place < len(items):
                        node.read(bytes(items[place]), found)
        except NOT_SO:
            return


def _fits(column: _Column, type_: str) -> _Fits:
    """Whether a value, which is not null, is one of its column. type_: of JSON, where it is written."""
    if column.is_open:
        return _anything
    match column.kind.of:
        case Of.TEXT:
            return lambda value: value[:1] == b'"'
        case Of.FLAG:
            return lambda value: value in (b"true", b"false")
        case Of.JSON:
            start = {"array": b"[", "object": b"{"}.get(type_, b"")
            return lambda value: value.startswith(start)
        case Of.WHOLE | Of.NUMBER:
            slow = _decoded(fitting(column.kind))
            return lambda value: (value.isdigit() and len(value) < _ALL_FIT_DIGITS) or slow(value)
        case _:
            return _decoded(fitting(column.kind))


def _anything(_: bytes) -> bool:
    return True


def _decoded(fit: Callable[[Any], Any]) -> _Fits:
    def fits(value: bytes) -> bool:
        try:
            fit(_decode(value))
        except (Unfit, *NOT_SO):
            return False
        return True

    return fits
