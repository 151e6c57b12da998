"""What a message is made of beside text: pictures, documents and recordings; and what a remote takes of these."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from runner.errors import Mark

AUDIO_FORMATS = {"audio/wav": "wav", "audio/mpeg": "mp3"}  # of `input_audio`, by media type
_OFFICE = "application/vnd.openxmlformats-officedocument"
DOCUMENTS = {  # suffixes of file names, by media type
    "application/pdf": "pdf",
    "text/plain": "txt",
    f"{_OFFICE}.wordprocessingml.document": "docx",
    f"{_OFFICE}.presentationml.presentation": "pptx",
    f"{_OFFICE}.spreadsheetml.sheet": "xlsx",
}


class PartKind(StrEnum):
    """What one part of a message is."""

    TEXT = "text"
    IMAGE = "image"
    FILE = "file"
    AUDIO = "audio"
    NATIVE = "native"  # as the endpoint has it: sent as it stands, with templates in its texts

    @property
    def is_inlined(self) -> bool:
        """Whether its template renders to a path or a URL, and what goes into the request are the bytes of a file."""
        return self in (PartKind.IMAGE, PartKind.FILE, PartKind.AUDIO)


def templates_in(value: Any) -> list[str]:
    """The texts of a native part that hold a template, in the order in which they stand."""
    match value:
        case Mapping():
            return [text for inner in value.values() for text in templates_in(inner)]
        case list() | tuple():
            return [text for inner in value for text in templates_in(inner)]
        case str() if any(mark in value for mark in ("{{", "{%", "{#")):
            return [value]
    return []


class ContentPart(msgspec.Struct, frozen=True):
    """One part of a message. `template` is its text, or a path below the project root or an https URL."""

    kind: PartKind
    template: str = ""  # of a native part none: see `native`
    mark: Mark = Mark("")
    detail: str = ""  # how closely a picture is looked at
    media_type: str = ""  # where the content of the file does not tell it
    native: Any = None  # the part as the endpoint has it; texts in it are templates
    marks: tuple[Mark, ...] = ()  # of these templates, in the order of `templates_in`

    def shown(self) -> str:
        """As a person reads it in a diff of specs."""
        if self.kind is PartKind.NATIVE:
            return msgspec.json.encode(self.native).decode()
        more = {name: value for name, value in (("detail", self.detail), ("media_type", self.media_type)) if value}
        return f"{self.kind.value}: {self.template}" + (f" {msgspec.json.encode(more).decode()}" if more else "")


class ImageTokens(msgspec.Struct, frozen=True):
    """How many tokens a picture is: `base`, and `tile` for each square of `tile_px` that covers it, once it was made
    to fit into `fit_px` and its shorter side is at most `short_px`. All 0: nobody says.
    """

    base: int = 0
    tile: int = 0
    tile_px: int = 512
    fit_px: int = 2048
    short_px: int = 768

    def of(self, width: int, height: int, detail: str) -> int | None:
        """None where it is not known."""
        if not self.base:
            return None
        if detail == "low":
            return self.base
        if not width or not height:
            return None
        scale = min(1.0, self.fit_px / max(width, height))
        scale = min(scale, self.short_px / min(width, height))
        across, down = (max(1, math.ceil(round(side * scale, 6) / self.tile_px)) for side in (width, height))
        return self.base + self.tile * across * down


class PartLimits(msgspec.Struct, frozen=True):
    """What a remote takes of files inside of a request: media types of each kind, none where it takes no such part;
    bytes of one file, and of all in a request together, before they are encoded.
    """

    image_types: tuple[str, ...] = ("image/png", "image/jpeg", "image/webp", "image/gif")
    image_bytes: int = 20_000_000
    images: int = 500
    file_types: tuple[str, ...] = tuple(DOCUMENTS)
    file_bytes: int = 50_000_000
    audio_types: tuple[str, ...] = tuple(AUDIO_FORMATS)
    audio_bytes: int = 20_000_000
    request_bytes: int = 50_000_000
    image_tokens: ImageTokens = ImageTokens()

    def types(self, kind: PartKind) -> tuple[str, ...]:
        return {PartKind.IMAGE: self.image_types, PartKind.FILE: self.file_types}.get(kind, self.audio_types)

    def size_bytes(self, kind: PartKind) -> int:
        """Of one file."""
        return {PartKind.IMAGE: self.image_bytes, PartKind.FILE: self.file_bytes}.get(kind, self.audio_bytes)
