"""Files that go into requests: pictures, documents, recordings. Which file a path means, what it holds, its bytes.

A path comes from a row, and rows come from strangers: what it may lead to is decided here, as for datasets. What a file
holds is read once and then remembered by its stat, as of recordings (`contents`), so that a plan over 100,000 pictures
of which one was replaced reads that one. The bytes are read again when they are sent, and have to be the same.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from runner import private
from runner.data import kinds
from runner.data.audio import AudioFile
from runner.data.contents import RACY_NS, FileMemo, key_of, reader, stamp_of
from runner.data.kinds import Kind
from runner.errors import DataError, Mark, printable

ENCODED_AT_ONCE = 3 << 17  # bytes; of base64 three of them are four letters
_PIECE = 1 << 18
_VALUE = struct.Struct("<32s4sIIf")  # SHA-256, kind, pixels across and down, seconds (negative: not known)
_MOST_KNOWN = 1 << 14  # files that one compile remembers

Bring = Callable[[str], bool]  # puts a file where it is looked for, if it can be had


class Unfit(ValueError):
    """Why a path cannot be sent, and what to do about it. Whoever has the row says where."""

    def __init__(self, words: str, hint: str = "") -> None:
        super().__init__(words)
        self.hint = hint


class Inlined(NamedTuple):
    """One file as it was read."""

    stamp: AudioFile
    sha256: bytes
    kind: Kind

    @property
    def path(self) -> str:
        return self.stamp.path

    @property
    def size_bytes(self) -> int:
        return self.stamp.size_bytes

    @property
    def encoded_bytes(self) -> int:
        """Of its base64."""
        return (self.size_bytes + 2) // 3 * 4


class InlinedFiles:
    """The files below `root` that requests are made of.

    memo: what is known of files by their stats. bring: asked for a file that is not there. now_ns: nanoseconds since
    the epoch, of the clock that stamps files.
    """

    def __init__(
        self,
        root: Path,
        memo: FileMemo | None = None,
        *,
        bring: Bring | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._root = os.path.realpath(root)
        self._memo = memo
        self._bring = bring
        self._now_ns = now_ns
        self._known: dict[str, Inlined] = {}

    def of(self, path: str, most_bytes: int, listen: Callable[[Inlined], None] = lambda file: None) -> Inlined:
        """What a path holds. most_bytes: a larger file is not read. listen: told of each file that was looked at.

        Raises Unfit.
        """
        known = self._known.get(path)
        if known is None:
            known = self._looked_at(path, most_bytes)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[path] = known
            listen(known)
        if known.size_bytes > most_bytes:
            raise _too_large(path, known.size_bytes, most_bytes)
        return known

    def save(self) -> None:
        """Keep what was read, for later commands."""
        if self._memo:
            self._memo.save()

    def _looked_at(self, path: str, most_bytes: int) -> Inlined:
        real = self._allowed(path)
        if self._bring is not None and not os.path.lexists(real) and self._bring(path):
            real = self._allowed(path)
        with _opened(real, path) as descriptor:
            stamp = stamp_of(path, os.fstat(descriptor))
            if stamp.size_bytes > most_bytes:
                raise _too_large(path, stamp.size_bytes, most_bytes)
            key = key_of(stamp)
            value = self._memo.get(key) if self._memo else None
            if value is not None:
                return _unpacked(stamp, value)
            started_ns = self._now_ns()
            found = _read(descriptor, stamp)
        # else it is read again the next time, and remembered when it has been left alone for a while
        if self._memo and started_ns - max(stamp.mtime_ns, stamp.ctime_ns) >= RACY_NS:
            self._memo.put(key, _packed(found))
        return found

    def _allowed(self, path: str) -> str:
        """Where a path leads, with its links followed."""
        shown = _shown(path)
        if not path or not path.isprintable():
            raise Unfit(f"{shown} is no path" if path else "the path is empty", "write it relative to the project root")
        if path.startswith(("/", "~")) or ".." in path.split("/") or "\\" in path:
            raise Unfit(f"{shown} is not a path inside the project", "write it relative to the project root")
        try:
            real = os.path.realpath(f"{self._root}/{path}")
        except (OSError, ValueError) as error:
            raise Unfit(f"{shown} cannot be looked at: {error}") from error
        if os.path.commonpath((real, self._root)) != self._root:
            hint = "copy the file into the project directory, or run from a directory above both with `-C`"
            raise Unfit(f"{shown} leads out of the project, to `{printable(real)}`", hint)
        if private.is_hidden(path) or private.leads_into_hidden(real, self._root):
            hint = "copy it to a folder whose name does not begin with a dot"
            raise Unfit(f"{shown} is hidden, or lies in a hidden folder: such files are never sent", hint)
        if any(map(private.is_secret_by_name, (path, real))) and not private.is_tracked(path, Path(self._root)):
            hint = "if everybody may see it, give it another name, or `git add` it"
            raise Unfit(f"{shown} has the name of a file of secrets, and git does not track it", hint)
        return real


def encoded(root: Path, file: Inlined) -> Iterator[bytes]:
    """The bytes of a file in base64, piece by piece. Raises DataError, after the last piece too, where it is not what
    it was when it was looked at."""
    try:
        with _opened(f"{root}/{file.path}", file.path) as descriptor:
            digest, size = hashlib.sha256(), 0
            while piece := _whole_piece(descriptor):
                digest.update(piece)
                size += len(piece)
                yield base64.b64encode(piece)
    except Unfit as error:
        raise _changed(file, str(error)) from error
    if size != file.size_bytes or digest.digest() != file.sha256:
        raise _changed(file, f"`{file.path}` changed while it was read")


def is_as(root: str, stamp: AudioFile) -> bool:
    """Whether nobody wrote to a file since it was looked at."""
    try:
        return stamp_of(stamp.path, os.stat(f"{root}/{stamp.path}")) == stamp  # noqa: PTH116  # one a picture
    except (OSError, ValueError):
        return False


def _whole_piece(descriptor: int) -> bytes:
    """As much as is encoded at once, less only at the end: base64 of pieces is that of the whole for threes alone."""
    pieces = bytearray()
    while len(pieces) < ENCODED_AT_ONCE and (piece := os.read(descriptor, ENCODED_AT_ONCE - len(pieces))):
        pieces += piece
    return bytes(pieces)


@contextmanager
def _opened(real: str, path: str) -> Iterator[int]:
    """A regular file that holds something, open. Raises Unfit."""
    shown = _shown(path)
    try:
        # O_NONBLOCK: opening a pipe would wait for a writer for ever
        descriptor = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise Unfit(f"there is no file {shown}", "paths are relative to the project root") from error
    except (OSError, ValueError) as error:
        raise Unfit(f"{shown} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            is_folder = stat.S_ISDIR(about.st_mode)
            raise Unfit(f"{shown} is {'a folder' if is_folder else 'not a regular file'}", "name a file")
        if not about.st_size:
            raise Unfit(f"{shown} is empty", "copy it again, or leave the row out with `where`")
        yield descriptor
    except OSError as error:
        raise Unfit(f"{shown} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _read(descriptor: int, stamp: AudioFile) -> Inlined:
    first = os.read(descriptor, _PIECE)
    kind = kinds.kind_of(reader(descriptor, first), stamp.size_bytes)
    digest = hashlib.sha256(first)
    while piece := os.read(descriptor, _PIECE):
        digest.update(piece)
    if stamp_of(stamp.path, os.fstat(descriptor)) != stamp:
        raise Unfit(f"{_shown(stamp.path)} changed while it was read", "run again once it is written")
    return Inlined(stamp, digest.digest(), kind)


def _packed(file: Inlined) -> bytes:
    name, width, height, seconds = file.kind
    return _VALUE.pack(
        file.sha256, name.encode(), min(width, 2**32 - 1), min(height, 2**32 - 1), -1.0 if seconds is None else seconds
    )


def _unpacked(stamp: AudioFile, value: bytes) -> Inlined:
    sha256, name, width, height, seconds = _VALUE.unpack(value)
    kind = Kind(name.rstrip(b"\0").decode(), width, height, None if seconds < 0 else seconds)
    return Inlined(stamp, sha256, kind)


def _shown(path: str) -> str:
    return f"`{printable(path[:120])}`"


def _too_large(path: str, size_bytes: int, most_bytes: int) -> Unfit:
    hint = "make it smaller, or give an https URL of it"
    return Unfit(f"{_shown(path)} has {size_bytes:,} bytes, and its provider takes {most_bytes:,} of one file", hint)


def _changed(file: Inlined, words: str) -> DataError:
    return DataError(words, hint="nothing was sent for it; run the command again", mark=Mark(file.path))
