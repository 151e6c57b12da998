"""Uploads, streamed: text fields in memory (small), one file to the disk as its bytes arrive."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MAX_FIELD_BYTES = 64 * 1024
_MAX_FIELDS = 64


class BadUpload(Exception):
    """The body is not the multipart form it says it is."""


class UploadTooLarge(Exception):
    """A file or a field is over its limit."""


@dataclass(slots=True)
class UploadForm:
    """What was sent. `file` is where the bytes lie now; None where no file came. `sha256` only where it was wanted."""

    fields: dict[str, str] = field(default_factory=dict)  # the last of each name
    pairs: list[tuple[str, str]] = field(default_factory=list)  # all of them, as they came
    file: Path | None = None
    filename: str = ""
    size_bytes: int = 0
    sha256: str = ""


async def receive(
    content_type: str,
    body: AsyncIterator[bytes],
    to: Path,
    *,
    name: str = "file",
    max_bytes: int,
    hashing: bool = False,
) -> UploadForm:
    """Read a form; the part called `name` is written to `to`, which the caller moves or removes.

    `hashing` wants its SHA-256, made as the bytes pass. Raises BadUpload and UploadTooLarge.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise BadUpload("the body must be `multipart/form-data`")
    sink = _Sink(to, name, max_bytes, hashing)
    try:
        parser = MultipartParser(options[b"boundary"], sink.callbacks())
        async for chunk in body:
            parser.write(chunk)
        parser.finalize()
    except (FormParserError, UnicodeDecodeError) as error:
        raise BadUpload("the multipart body is malformed") from error
    finally:
        sink.close()
    # a connection that broke in the middle ends the stream without an error: only the closing boundary says that all is
    # there
    if not sink.is_complete:
        raise BadUpload("the multipart body ends too early")
    if sink.form.file is not None:
        await run_in_threadpool(_sync, sink.form.file)
    return sink.form


def _sync(path: Path) -> None:
    """Have the bytes on the disk; beside the event loop, as a gigabyte takes seconds."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Sink:
    """Takes the parser's events."""

    def __init__(self, to: Path, name: str, max_bytes: int, hashing: bool) -> None:
        self.form = UploadForm()
        self.is_complete = False
        self._to = to
        self._name = name
        self._max_bytes = max_bytes
        self._out: BinaryIO | None = None
        self._digest = hashlib.sha256() if hashing else None
        self._headers: dict[bytes, bytes] = {}
        self._header = b""
        self._value = b""
        self._field = ""
        self._text = bytearray()

    # the parser calls in pieces of its own size: a header or a value may come in several
    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_name,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_headers_finished": self._open,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def close(self) -> None:
        if self._out is not None:
            self._out.close()

    def _begin(self) -> None:
        self._headers, self._header, self._value = {}, b"", b""
        self._text.clear()

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header, self._value = b"", b""

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._field = options.get(b"name", b"").decode()
        if self._field != self._name or self.form.file is not None:
            return
        self.form.filename = options.get(b"filename", b"").decode()
        self.form.file = self._to
        # O_EXCL: the name is a new one, and what lies there, a link say, is not ours to write through
        descriptor = os.open(self._to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._out = os.fdopen(descriptor, "wb", buffering=1 << 20)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._out is None:
            self._text += data[start:end]
            if len(self._text) > _MAX_FIELD_BYTES or len(self.form.pairs) > _MAX_FIELDS:
                raise UploadTooLarge("a form field is too long")
            return
        self.form.size_bytes += end - start
        if self.form.size_bytes > self._max_bytes:
            raise UploadTooLarge(f"the file has more than {self._max_bytes:,} bytes")
        piece = memoryview(data)[start:end]
        self._out.write(piece)
        if self._digest is not None:
            self._digest.update(piece)

    def _end(self) -> None:
        if self._out is not None:
            self._out.close()
            self._out = None
            self.form.sha256 = self._digest.hexdigest() if self._digest is not None else ""
        elif self._field != self._name:
            self.form.fields[self._field] = self._text.decode()
            self.form.pairs.append((self._field, self.form.fields[self._field]))

    def _finish(self) -> None:
        self.is_complete = True
