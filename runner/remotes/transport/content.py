"""What a call carries beside its JSON: files and their parts, bodies that are streamed, addresses with a permission."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from runner.remotes.transport.network import Proxy

PIECE = 1 << 20  # bytes of a part that are in memory at once


class MultipartForm(msgspec.Struct, frozen=True):
    """A multipart upload: text fields first, then the file, streamed from `source`."""

    source: Path
    filename: str
    content_type: str
    fields: Mapping[str, str | list[str]]
    part: str = "file"


class Streamed(msgspec.Struct, frozen=True):
    """A JSON body that is never whole in memory. chunks: gives it from its start, each time it is sent."""

    size_bytes: int
    chunks: Callable[[], Iterator[bytes]]


class Signed(msgspec.Struct, frozen=True):
    """A URL that carries its own permission, already judged: it is sent neither our key nor our query.

    headers, extensions: where the connection goes to a fixed address, the `host` header and the name TLS checks.
    proxy: what it goes through.
    """

    url: str
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    extensions: Mapping[str, Any] = msgspec.field(default_factory=dict)
    proxy: Proxy | None = None


class FilePart(msgspec.Struct, frozen=True):
    """Some bytes of a file: `size_bytes` from `start`."""

    source: Path
    start: int
    size_bytes: int


def in_pieces(data: bytes) -> Streamed:
    """A large body: what is below copies all that is left of one with each write to its socket."""
    return Streamed(len(data), lambda: (data[at : at + PIECE] for at in range(0, len(data), PIECE)))


def chunks(file: BinaryIO, part: FilePart) -> Iterator[bytes]:
    """The bytes of a part, streamed. A file that was cut meanwhile ends early, which the transport notices."""
    file.seek(part.start)
    left = part.size_bytes
    while left and (chunk := file.read(min(left, PIECE))):
        left -= len(chunk)
        yield chunk
