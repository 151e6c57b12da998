"""How the bodies of a job's requests are put together: fixed bytes around what differs from row to row.

A body is written as the tree that its JSON is, with a `Hole` wherever a row has its say: `planned` makes of it pieces
of bytes and slots between them, so that nothing which is the same for every row is encoded more than once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import chain, groupby
from typing import Any

import msgspec
from msgspec.structs import replace

from runner.job.content import PartKind
from runner.job.source import Source

_encode = msgspec.json.Encoder().encode

Shape = Callable[[str], str]  # JSON of a row -> the JSON that is sent for it; raises ValueError for what is none


class Kind(Enum):
    """How what was rendered for a slot becomes part of the body."""

    TEXT = "text"  # texts, joined by an empty line, as one JSON string
    JSON = "json"  # one text that is JSON, compact
    ITEMS = "items"  # texts that are JSON arrays, compact: their items, between the others of a list
    FILE = "file"  # one text, a path or a URL: in its place comes what `Inline` makes of it


class Inline(msgspec.Struct, frozen=True):
    """How a file stands in a body: as JSON made of its media type and its base64, or of its URL.

    of_url: None where the endpoint takes bytes alone.
    """

    kind: PartKind
    of_file: Callable[[str, str], Any]
    of_url: Callable[[str], Any] | None = None
    detail: str = ""
    media_type: str = ""  # of files that do not tell it

    def with_file(self, media_type: str, sha256: str) -> str:
        """The JSON, with the digest of the file between two NUL bytes where its base64 goes."""
        # a NUL is written as an escape, and nothing else in this tree is a row's
        return _encode(self.of_file(media_type, "\0")).decode().replace("\\u0000", f"\0{sha256}\0")

    def with_url(self, url: str) -> str:
        assert self.of_url is not None, "it was asked before"
        return _encode(self.of_url(url)).decode()


class Hole(msgspec.Struct, frozen=True):
    """A place of a body that differs from row to row.

    sources: what is rendered for it; of JSON and of a file one. shape: what the JSON of a row has to be, and is made
    into.
    """

    sources: tuple[Source, ...]
    kind: Kind = Kind.TEXT
    shape: Shape | None = None
    inline: Inline | None = None


class Slot(msgspec.Struct, frozen=True):
    """A hole between two pieces: the numbers of its texts. before, after: written around items, where there are any."""

    texts: tuple[int, ...]
    kind: Kind = Kind.TEXT
    shape: Shape | None = None
    before: bytes = b""
    after: bytes = b""
    inline: Inline | None = None

    def encoded(self, texts: Sequence[str]) -> bytes:
        """The bytes of one row. Raises ValueError for what has not the right shape."""
        if self.kind is Kind.TEXT:
            return _encode(
                texts[self.texts[0]] if len(self.texts) == 1 else "\n\n".join([texts[i] for i in self.texts])
            )
        shape = self.shape
        found = [texts[i] if shape is None else shape(texts[i]) for i in self.texts]
        if self.kind in (Kind.JSON, Kind.FILE):
            return found[0].encode()
        items = ",".join([text[1:-1] for text in found if text != "[]"]).encode()
        return self.before + items + self.after if items else b""


class BodyPlan(msgspec.Struct, frozen=True):
    """The body of every request of a job: fixed bytes around what is rendered for each row.

    pieces: one more than there are slots. sources: what is rendered, in the order by which slots number it.
    """

    pieces: tuple[bytes, ...]
    slots: tuple[Slot, ...]
    sources: tuple[Source, ...] = ()

    def bodies(self, texts: Iterable[Sequence[str]]) -> list[bytes]:
        """For each row the texts of its sources -> body bytes. Raises UnicodeEncodeError for half a surrogate pair,
        ValueError for JSON of another shape."""
        if self.slots == (_ONE_TEXT,):
            head, tail = self.pieces
            return [head + _encode(of_row[0]) + tail for of_row in texts]
        return [self._body(of_row) for of_row in texts]

    def _body(self, texts: Sequence[str]) -> bytes:
        parts = [self.pieces[0]]
        for slot, piece in zip(self.slots, self.pieces[1:], strict=True):
            parts += (slot.encoded(texts), piece)
        return b"".join(parts)

    def with_static(self, texts: Mapping[int, str]) -> tuple[BodyPlan, tuple[int, ...]]:
        """The same body with the texts that are the same for every row in place, and the numbers of those left.

        Slots of the new body count the texts that are left. Texts that share a slot with others are left as well.
        Raises UnicodeEncodeError for half a surrogate pair.
        """
        pieces, slots = [self.pieces[0]], []
        for slot, piece in zip(self.slots, self.pieces[1:], strict=True):
            if slot.kind is Kind.TEXT and len(slot.texts) == 1 and slot.texts[0] in texts:
                pieces[-1] += _encode(texts[slot.texts[0]]) + piece
            else:
                pieces.append(piece)
                slots.append(slot)
        left = tuple(sorted({number for slot in slots for number in slot.texts}))
        renumbered = (replace(slot, texts=tuple(left.index(n) for n in slot.texts)) for slot in slots)
        return BodyPlan(tuple(pieces), tuple(renumbered), tuple(self.sources[n] for n in left)), left


_ONE_TEXT = Slot((0,))


def planned(tree: Any) -> BodyPlan:
    """The plan of a body: JSON of mappings, lists and plain values, with holes in it. Keys keep their order."""
    pieces: list[bytearray] = [bytearray()]
    slots: list[Slot] = []
    sources: list[Source] = []
    for part in _parts(tree):
        if isinstance(part, bytes):
            pieces[-1] += part
            continue
        hole, before, after = part
        numbers = range(len(sources), len(sources) + len(hole.sources))
        sources += hole.sources
        slots.append(Slot(tuple(numbers), hole.kind, hole.shape, before, after, hole.inline))
        pieces.append(bytearray())
    return BodyPlan(tuple(map(bytes, pieces)), tuple(slots), tuple(sources))


_Part = bytes | tuple[Hole, bytes, bytes]


def _parts(tree: Any) -> Iterator[_Part]:
    match tree:
        case Hole():
            yield tree, b"", b""
        case Mapping() if _has_holes(tree):
            for number, (key, value) in enumerate(tree.items()):
                yield (b"," if number else b"{") + _encode(key) + b":"
                yield from _parts(value)
            yield b"}"
        case list() | tuple() if _has_holes(tree):
            yield b"["
            yield from _items(tree)
            yield b"]"
        case _:
            yield _encode(tree)


def _items(items: Sequence[Any]) -> Iterator[_Part]:
    """The items of a list. Holes that are any number of items bring the comma that sets them apart."""
    has_fixed = not all(map(_is_items, items))
    is_first = True  # no item that is always there came yet
    for gives_many, group in groupby(items, _is_items):
        if gives_many:
            holes = list(group)
            together = Hole(tuple(chain.from_iterable(hole.sources for hole in holes)), Kind.ITEMS, holes[0].shape)
            comma = b"," if has_fixed else b""
            yield (together, b"", comma) if is_first else (together, comma, b"")
            continue
        for item in group:
            if not is_first:
                yield b","
            is_first = False
            yield from _parts(item)


def _is_items(item: Any) -> bool:
    return isinstance(item, Hole) and item.kind is Kind.ITEMS


def _has_holes(tree: Any) -> bool:
    match tree:
        case Hole():
            return True
        case Mapping():
            return any(map(_has_holes, tree.values()))
        case list() | tuple():
            return any(map(_has_holes, tree))
        case _:
            return False
