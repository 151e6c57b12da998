"""What recordings hold: digest, format and length, read once a file and then remembered by its stat.

A no-op run over 100,000 recordings must not read 100,000 recordings. What is remembered is believed as git believes
its index: only of files that had been left alone for a while when they were read.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from runner import files
from runner.data import media, sniff, soundless
from runner.data.audio import AudioFile
from runner.errors import DataError, Mark

RACY_NS = 2_000_000_000  # a file changed this shortly before it was read may change again within one tick of its clock
KEY_BYTES = 16
_PIECE = 1 << 18
_VALUE = struct.Struct("<32s8sd")  # SHA-256, format, seconds (negative: not known)
_MAGIC = b"runner-audio/2\n\0"
_RECORD = KEY_BYTES + _VALUE.size


class FileContent(NamedTuple):
    """What one recording holds."""

    sha256: bytes
    format: str  # of `media.format_of`
    seconds: float | None


class Memo(Protocol):
    """Values of a fixed size under 16-byte keys. Disposable: a lost one costs reading the files again."""

    def get(self, key: bytes) -> bytes | None: ...
    def put(self, key: bytes, value: bytes) -> None: ...


class Contents:
    """Contents of files below `root`, from the memo where their stat is known. Safe to share between threads.

    now_ns: nanoseconds since the epoch, of the clock that stamps files.
    """

    def __init__(self, root: Path, memo: Memo, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._root = os.fspath(root)
        self._memo = memo
        self._now_ns = now_ns

    def of(self, file: AudioFile) -> bytes:
        """SHA-256 of its bytes, 32 of them. Raises as `content` does."""
        return self.content(file).sha256

    def known(self, file: AudioFile) -> FileContent | None:
        """Its content where that can be told without opening it."""
        value = self._memo.get(key_of(file))
        return None if value is None else _unpacked(value)

    def content(self, file: AudioFile) -> FileContent:
        """What it holds. Raises DataError with its path: unreadable, changed meanwhile, or no recording."""
        key = key_of(file)
        value = self._memo.get(key)
        if value is not None:
            return _unpacked(value)
        started_ns = self._now_ns()
        content = read(self._root, file)
        # else it is read again the next time, and remembered when it has been left alone for a while
        if started_ns - max(file.mtime_ns, file.ctime_ns) >= RACY_NS:
            self._memo.put(key, _packed(content))
        return content


def read(root: str, file: AudioFile) -> FileContent:
    """Read the whole file, in pieces. Raises DataError as `Contents.content` does."""
    mark = Mark(file.path)
    try:
        # O_NONBLOCK: a file may have become a pipe since it was listed, and opening that would wait for a writer for
        # ever
        descriptor = os.open(f"{root}/{file.path}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise DataError(f"cannot read the recording: {error.strerror}", mark=mark) from error
    try:
        if stamp_of(file.path, os.fstat(descriptor)) != file:
            raise _changed(mark)
        first = os.read(descriptor, _PIECE)
        read_at = reader(descriptor, first)
        kind = media.format_of(read_at)
        if kind is None:
            raise _no_recording(read_at(0, sniff.HEAD), mark)
        if why := soundless.why(kind, read_at, file.size_bytes):
            raise DataError(f"the recording {why}", hint="take it out with `exclude`, or copy it again", mark=mark)
        sha256 = _sha256(descriptor, first)
        seconds = media.seconds_of(kind, read_at, file.size_bytes)
        if stamp_of(file.path, os.fstat(descriptor)) != file:
            raise _changed(mark)
    except OSError as error:
        raise DataError(f"cannot read the recording: {error.strerror}", mark=mark) from error
    finally:
        os.close(descriptor)
    return FileContent(sha256, kind, seconds)


def stamp_of(path: str, about: os.stat_result) -> AudioFile:
    return AudioFile(path, about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)


class FileMemo:
    """A memo in one file, packed and sorted: 64 bytes a recording on disk, 72 in memory.

    A file that is damaged or of another version counts as empty. Nothing is let go: a cache that grew too large is
    deleted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._packed = _load(path)
        self._heads = array("Q", [head for (head,) in struct.iter_unpack(">Q56x", self._packed)])
        self._new: dict[bytes, bytes] = {}
        self._lock = threading.Lock()

    def get(self, key: bytes) -> bytes | None:
        # searched by eight bytes of the key in an array of numbers: a dict of them takes three times the memory, and
        # each command that looks at recordings would have to build it
        head = int.from_bytes(key[:8], "big")
        at = bisect_left(self._heads, head)
        while at < len(self._heads) and self._heads[at] == head:
            record = self._packed[at * _RECORD : (at + 1) * _RECORD]
            if record[:KEY_BYTES] == key:
                return record[KEY_BYTES:]
            at += 1
        return self._new.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        with self._lock:
            self._new[key] = value

    def save(self) -> None:
        """Write it, whole or not at all, unless nothing was added."""
        with self._lock:
            if not self._new:
                return
            records = [record for (record,) in struct.iter_unpack(f"{_RECORD}s", self._packed)]
            records += [key + value for key, value in self._new.items()]
            body = b"".join(sorted(records))
            files.write(self._path, _MAGIC + hashlib.sha256(body).digest() + body, is_durable=False)


def _load(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError:
        return b""
    body = data[len(_MAGIC) + 32 :]
    is_ours = data.startswith(_MAGIC) and data[len(_MAGIC) :][:32] == hashlib.sha256(body).digest()
    return body if is_ours and len(body) % _RECORD == 0 else b""


def key_of(file: AudioFile) -> bytes:
    """What a memo knows a file by."""
    numbers = struct.pack("<4q", *file[1:])
    return hashlib.blake2b(numbers + file.path.encode(), digest_size=KEY_BYTES).digest()


def _unpacked(value: bytes) -> FileContent:
    sha256, kind, seconds = _VALUE.unpack(value)
    return FileContent(sha256, kind.rstrip(b"\0").decode(), None if seconds < 0 else seconds)


def _packed(content: FileContent) -> bytes:
    seconds = -1.0 if content.seconds is None else content.seconds
    return _VALUE.pack(content.sha256, content.format.encode(), seconds)


def reader(descriptor: int, first: bytes) -> media.ReadAt:
    """Reads of the file, those of its first piece from memory."""
    is_whole = len(first) < _PIECE

    def read_at(start: int, size: int) -> bytes:
        if is_whole or start + size <= len(first):
            return first[start : start + size]
        return os.pread(descriptor, size, start)

    return read_at


def _sha256(descriptor: int, first: bytes) -> bytes:
    """Of the first piece, and of all that follows it."""
    digest = hashlib.sha256(first)
    while piece := os.read(descriptor, _PIECE):
        digest.update(piece)
    return digest.digest()


def _no_recording(head: bytes, mark: Mark) -> DataError:
    found = sniff.strange_sound(head)
    if found is not None:
        return DataError(f"the file is {found.what}", hint=found.hint, mark=mark)
    return DataError(
        "not a recording: its first bytes are of no audio format we know",
        hint="take it out with `exclude`, or convert it, for example to FLAC",
        mark=mark,
    )


def _changed(mark: Mark) -> DataError:
    return DataError("the recording changed while it was read", hint="run again once it is written", mark=mark)
