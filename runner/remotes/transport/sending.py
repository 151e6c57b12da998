"""The bytes of one recording on their way out: streamed, checked, and known to be through or not.

A request whose last bytes never left this process cannot have been accepted, however it ended: so a cut in the middle
of a long upload is no reason to hold a recording. And bytes that are not the ones that were digested are never sent to
their end: the check comes before the last piece.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, TypeVar, cast

from runner.errors import DataError, Mark, NotSent, OutcomeUnknown
from runner.remotes.audio import Recording
from runner.remotes.transport.content import MultipartForm
from runner.remotes.transport.exchange import Query
from runner.remotes.transport.http import Http
from runner.remotes.transport.replies import Reply

_PIECE = 1 << 16

T = TypeVar("T")
Fields = Mapping[str, str | list[str]]


def send(http: Http, recording: Recording, query: Query | None = None) -> Any:
    """The JSON answer to a call that carries a recording with its form. It goes out once.

    Raises NotSent, Refused or RateLimited when nothing was accepted, OutcomeUnknown when it may have been, DataError
    for a file that is not what it was.
    """
    path = f"/{recording.path.strip('/')}"
    return _sent(recording, recording.fields, lambda form, file: http.send_once(path, form, file, query))


def ask(http: Http, recording: Recording, fields: Fields) -> Reply:
    """The whole reply to such a call, which is the answer itself. fields: the form, as it goes out. Raises as `send`.

    A 503 that names a time is a refusal for now, as a 429 is.
    """
    path = f"/{recording.path.strip('/')}"
    return _sent(recording, fields, lambda form, file: http.ask_about(path, form, file))


def _sent(recording: Recording, fields: Fields, post: Callable[[MultipartForm, BinaryIO], T]) -> T:
    form = MultipartForm(recording.source, recording.filename, content_type_of(recording.filename), fields)
    with Sending(recording) as file:
        try:
            return post(form, cast(BinaryIO, file))
        except OutcomeUnknown as error:
            if file.is_through:
                raise
            raise NotSent(
                f"a recording was cut off while it was sent, so nothing was accepted: {error.message}",
                status=error.status,
                code=error.code,
                request_id=error.request_id,
            ) from error


class Sending(io.RawIOBase):
    """A recording as a binary file of exactly the size that was seen. Raises DataError where it is not the same."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self._recording = recording
        self._digest = hashlib.sha256()
        self._at = 0
        self.is_through = False  # whether the last piece was handed out
        try:
            self._descriptor = os.open(recording.source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise self._unreadable(error) from error

    def read(self, size: int = -1) -> bytes:
        left = self._recording.size_bytes - self._at
        if left <= 0:
            return b""
        piece = self._piece(min(left, size if size > 0 else _PIECE))
        self._at += len(piece)
        if self._recording.sha256:
            self._digest.update(piece)
        if self._at == self._recording.size_bytes:
            if self._recording.sha256 not in (b"", self._digest.digest()):
                raise self._changed()
            self.is_through = True
        return piece

    def _piece(self, size: int) -> bytes:
        try:
            piece = os.pread(self._descriptor, size, self._at)
        except OSError as error:
            raise self._unreadable(error) from error
        if not piece:
            raise self._changed()
        return piece

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """To the start, as before sending; or to the end and back, as whoever wants to know the length does."""
        self._at = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._recording.size_bytes}[whence] + offset
        self._digest = hashlib.sha256()
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            descriptor = self.__dict__.pop("_descriptor", None)
            if descriptor is not None:
                os.close(descriptor)
        super().close()

    def _changed(self) -> DataError:
        return DataError(
            "the recording changed since it was looked at; nothing of it was accepted",
            hint="run again once it is written",
            mark=Mark(str(self._recording.source)),
        )

    def _unreadable(self, error: OSError) -> DataError:
        return DataError(f"cannot read the recording: {error.strerror}", mark=Mark(str(self._recording.source)))


def content_type_of(filename: str) -> str:
    """By suffix, as the documents' own example names `audio/flac` for `audio.flac`."""
    return _TYPES.get(os.path.splitext(filename)[1].lower(), "application/octet-stream")  # noqa: PTH122  # a remote name


_TYPES: dict[str, str] = {
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".aac": "audio/aac",
    ".amr": "audio/amr",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".wma": "audio/x-ms-wma",
}
