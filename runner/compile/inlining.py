"""Rows whose requests hold files: what a path that was rendered stands for in a body, and the bytes when it is sent.

Until a request is sent its body holds, where the base64 of a file goes, the file's SHA-256 between two NUL bytes, which
no JSON has: digests, plans and memory are of that, and of the file's size. So a plan reads a file once in its life, and
base64 is made once, piece by piece, on its way out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from runner.compile.stamps import Stamps
from runner.data.inlined import Inlined, InlinedFiles, Unfit, encoded
from runner.errors import printable
from runner.job.body import Inline, Slot
from runner.job.content import PartKind, PartLimits

MARK = re.compile(rb"\x00([0-9a-f]{64})\x00")
_MARK_BYTES = 66
_URL = re.compile(r"https://[^\s/?#]+\S*\Z", re.IGNORECASE)
_ANY_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_LONGEST_URL = 8_192


Files = Mapping[bytes, Inlined]  # by SHA-256, as hex


class Handed(NamedTuple):
    """Some rows with their files."""

    texts: list[list[str]]  # what stands in their bodies
    grown: list[int]  # bytes that each is longer when it is sent
    tokens: int  # of the files, as far as known
    untold: int  # files of which nobody knows how many tokens they are
    files: list[Files]  # of each row


class Inlining:
    """The places of a job's bodies where files go, and the files below the project root."""

    def __init__(self, slots: Sequence[Slot], limits: PartLimits, files: InlinedFiles, root: Path) -> None:
        self._places = [(slot.texts[0], slot.inline) for slot in slots if slot.inline is not None]
        self._limits = limits
        self._files = files
        self._root = root
        self.stamps: Stamps | None = None  # where it is noted which files were looked at

    @property
    def numbers(self) -> frozenset[int]:
        """Of the texts that are paths."""
        return frozenset(number for number, _ in self._places)

    def rows(self, texts: Iterable[Sequence[str]]) -> Handed:
        """Raises Unfit for a row with a path that cannot be sent."""
        found: list[list[str]] = []
        grown: list[int] = []
        files: list[Files] = []
        tokens = untold = 0
        for of_row in texts:
            row, mine = list(of_row), dict[bytes, Inlined]()
            more = of_files = pictures = 0
            for number, inline in self._places:
                given = row[number].strip()
                pictures += inline.kind is PartKind.IMAGE
                file = None if _is_url(given, inline) else self._file(given, inline)
                if file is None:
                    row[number] = inline.with_url(given)
                else:
                    name = file.sha256.hex()
                    row[number] = inline.with_file(media_type_of(file, inline), name)
                    mine[name.encode()] = file
                    more += file.encoded_bytes - _MARK_BYTES
                    of_files += file.size_bytes
                told = self._tokens(file, inline)
                tokens += told or 0
                untold += told is None
            self._check(pictures, of_files)
            found.append(row)
            files.append(mine)
            grown.append(more)
        return Handed(found, grown, tokens, untold, files)

    def written(self, body: bytes, files: Files, *, shown: bool = False) -> Iterator[bytes]:
        """A body as it is sent, in pieces. shown: a few words in the place of each file. Raises DataError."""
        for index, piece in enumerate(MARK.split(body)):
            if not index % 2:
                yield piece
            elif shown:
                yield msgspec.json.encode(words_of(files[piece]))[1:-1]  # a name may hold a quote
            else:
                yield from encoded(self._root, files[piece])

    def _file(self, path: str, inline: Inline) -> Inlined:
        kind = inline.kind
        file = self._files.of(path, self._limits.size_bytes(kind), self._listen)
        media_type = media_type_of(file, inline)
        types = self._limits.types(kind)
        if media_type in types:
            return file
        held = file.kind.media_type
        what = f"`{path}` holds {held}" if held and not inline.media_type else f"`{path}` holds nothing that is known"
        if inline.media_type:
            what = f"`{path}` is sent as {inline.media_type}"
        hint = "leave the row out with `where`, or convert it"
        if not held and not inline.media_type:
            hint += "; `media_type` beside the path says what it is"
        raise Unfit(f"{what}, and its provider takes as {_A[kind]} {', '.join(types)}", hint)

    def _listen(self, file: Inlined) -> None:
        if self.stamps is not None:
            self.stamps.add(file.stamp, file.sha256)

    def _check(self, pictures: int, size_bytes: int) -> None:
        limits = self._limits
        if pictures > limits.images:
            words = f"the request has {pictures:,} pictures, and its provider takes {limits.images:,}"
            raise Unfit(words, "ask about fewer of them at once")
        if size_bytes > limits.request_bytes:
            words = (
                f"the files of the request have {size_bytes:,} bytes, and its provider takes {limits.request_bytes:,}"
            )
            raise Unfit(words, "make them smaller, or ask about fewer of them at once")

    def _tokens(self, file: Inlined | None, inline: Inline) -> int | None:
        """None where nobody says: of documents and recordings, and of what lies at a URL."""
        if inline.kind is not PartKind.IMAGE:
            return None
        width, height = (file.kind.width, file.kind.height) if file else (0, 0)
        return self._limits.image_tokens.of(width, height, inline.detail)


_A = {PartKind.IMAGE: "a picture", PartKind.FILE: "a document", PartKind.AUDIO: "a recording"}


def media_type_of(file: Inlined, inline: Inline) -> str:
    """What a file is sent as: what it holds, or what the spec says of one that does not tell. Raises Unfit."""
    held = file.kind.media_type
    if held and inline.media_type and held != inline.media_type and file.kind.name != "text":
        words = f"`{file.path}` holds {held}, and `media_type` says {inline.media_type}"
        raise Unfit(words, "remove `media_type`: what a file holds is looked at")
    return inline.media_type or held


def words_of(file: Inlined) -> str:
    """A file in a few words, for people."""
    return f"<{printable(file.path)}, {file.size_bytes:,} bytes, sha256 {file.sha256.hex()[:12]}…>"


def _is_url(given: str, inline: Inline) -> bool:
    """Whether it is a URL that may be sent. Raises Unfit for one that may not."""
    if not _ANY_URL.match(given):
        return False
    shown = f"`{given[:80]}`"
    if given[:5].lower() == "data:":
        raise Unfit("it is a data URL", "write the part as the endpoint has it, with `type`")
    if not _URL.match(given) or not given.isprintable() or len(given) > _LONGEST_URL:
        raise Unfit(f"{shown} is no https URL, and no path", "give a path below the project root, or an https URL")
    if "@" in given.split("/")[2]:
        raise Unfit("the URL holds a user name or password", "give one that can be fetched without")
    if inline.of_url is None:
        raise Unfit(f"{shown} is a URL, and the endpoint takes {_A[inline.kind]} as bytes", "name a file")
    return True
