"""Which files the requests of a job hold, as `stat` showed them: packed, and on disk, since there may be a million."""

from __future__ import annotations

import hashlib
import struct
import tempfile
from collections.abc import Iterator
from typing import IO

from runner.data.audio import AudioFile

_IN_MEMORY = 1 << 20
_PIECE = 1 << 18
_HEAD = struct.Struct("<H4q")  # characters of the path, and numbers of its stat


class Stamps:
    """A list of them in a file, of which it takes `size` bytes from `start` on."""

    def __init__(self, file: IO[bytes] | None = None, start: int = 0, size: int = 0, sha256: str | None = None) -> None:
        self._file = file
        self.start = start
        self.size = size
        self._sha256 = hashlib.sha256() if sha256 is None else None
        self._was = sha256 or ""

    @property
    def sha256(self) -> str:
        """Of what the files hold, as hex; empty where there are none."""
        return self._was if self._sha256 is None or not self.size else self._sha256.hexdigest()

    def add(self, stamp: AudioFile, content: bytes) -> None:
        """content: digest of what it holds."""
        assert self._sha256 is not None, "it is a new list"
        self._sha256.update(content)
        if self._file is None:
            self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # closed with the compiled job
        path = stamp.path.encode()
        self._file.seek(self.start + self.size)
        self.size += self._file.write(_HEAD.pack(len(path), *stamp[1:]) + path)

    def __iter__(self) -> Iterator[AudioFile]:
        """Raises ValueError for a list that is cut."""
        left = b""
        for piece in self.pieces():
            left += piece
            at = 0
            while len(left) - at >= _HEAD.size:
                length, *numbers = _HEAD.unpack_from(left, at)
                end = at + _HEAD.size + length
                if len(left) < end:
                    break
                yield AudioFile(left[at + _HEAD.size : end].decode(), *numbers)
                at = end
            left = left[at:]
        if left:
            raise ValueError("the list of files is cut short")

    def pieces(self) -> Iterator[bytes]:
        """All of it, as it is written."""
        for at in range(0, self.size, _PIECE):
            assert self._file is not None, "there is something in it"
            self._file.seek(self.start + at)
            yield self._file.read(min(_PIECE, self.size - at))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


NO_STAMPS = Stamps()  # nothing is added to it
