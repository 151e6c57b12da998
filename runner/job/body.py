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
    ITEMS = "items"  # texts that are JSON arrays or objects, compact: what is in them, between the others of a list

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
    shapes: tuple[Shape | None, ...] = ()  # one for each text, or none at all
    before: bytes = b""
    after: bytes = b""
    inline: Inline | None = None

    def encoded(self, texts: Sequence[str]) -> bytes:
        """The bytes of one row. Raises ValueError for what has not the right shape."""
        if self.kind is Kind.TEXT:
            return _encode(
                texts[self.texts[0]] if len(self.texts) == 1 else "\n\n".join([texts[i] for i in self.texts])
            )
        shapes = self.shapes or (None,) * len(self.texts)
        found = [texts[i] if shape is None else shape(texts[i]) for i, shape in zip(self.texts, shapes, strict=True)]
        if self.kind in (Kind.JSON, Kind.FILE):
            return found[0].encode()
        items = ",".join([text[1:-1] for text in found if len(text) > 2]).encode()
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
        holes, before, after = part
        first = len(sources)
        sources += chain.from_iterable(hole.sources for hole in holes)
        shapes = tuple(hole.shape for hole in holes) if any(hole.shape for hole in holes) else ()
        slots.append(Slot(tuple(range(first, len(sources))), holes[0].kind, shapes, before, after, holes[0].inline))
        pieces.append(bytearray())
    return BodyPlan(tuple(map(bytes, pieces)), tuple(slots), tuple(sources))


_Part = bytes | tuple[tuple[Hole, ...], bytes, bytes]  # holes of one slot, and what is written around it


def _parts(tree: Any) -> Iterator[_Part]:
    match tree:
        case Hole():
            yield (tree,), b"", b""
        case Mapping() if _has_holes(tree):
            yield b"{"
            yield from _listed([(_encode(key) + b":", value) for key, value in tree.items()])
            yield b"}"
        case list() | tuple() if _has_holes(tree):
            yield b"["
            yield from _listed([(b"", value) for value in tree])
            yield b"]"
        case _:
            yield _encode(tree)


def _listed(members: Sequence[tuple[bytes, Any]]) -> Iterator[_Part]:
    """The members of a list or mapping, each with its key before it. Holes that are any number of members have no key
    of their own, and bring the comma that sets them apart."""
    has_fixed = not all(map(_is_items, members))
    is_first = True  # no member that is always there came yet
    for gives_many, group in groupby(members, _is_items):
        if gives_many:
            holes = tuple(hole for _, hole in group)
            comma = b"," if has_fixed else b""
            yield (holes, b"", comma) if is_first else (holes, comma, b"")
            continue
        for key, value in group:
            yield key if is_first else b"," + key
            is_first = False
            yield from _parts(value)


def _is_items(member: tuple[bytes, Any]) -> bool:
    value = member[1]
    return isinstance(value, Hole) and value.kind is Kind.ITEMS


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
