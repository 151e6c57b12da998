"""SHA-256 of files, read once and then remembered by their stat: whether a file changed is a matter of its content.

A touch, a copy and a fresh checkout change every time and inode and not one byte. So what is compared are digests, and
stats only save the reading.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

from runner.data.contents import KEY_BYTES, Memo
from runner.data.pieces import are_all_of

_RACY_NS = 50_000_000  # a file changed this shortly before it was read may change again within one tick of its clock
_PIECES = "pieces "
_NOTHING = b""
_PADDING = bytes(16)  # a record of the memo has room for more than a digest


class Digests:
    """Digests of files, from the memo where their stat is known. Safe to share between threads.

    now_ns: nanoseconds since the epoch, of the clock that stamps files.
    """

    def __init__(self, memo: Memo, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._memo = memo
        self._now_ns = now_ns

    def of(self, path: Path, *, is_ours: bool = False) -> bytes:
        """Of what `path` holds, 32 bytes. Raises OSError.

        is_ours: written by us just now, whole: what it holds does not change within a tick of its clock.
        """
        return self._found(path, "", lambda file: hashlib.file_digest(file, "sha256").digest(), is_ours=is_ours)

    def holds(self, path: Path, pieces: bytes) -> bool:
        """Whether `path` is made of just these pieces, packed, see `pieces`. Raises OSError."""
        wanted = hashlib.sha256(pieces).digest()
        return wanted == self._found(
            path, _PIECES, lambda file: wanted if are_all_of(file.fileno(), pieces) else _NOTHING
        )

    def _found(self, path: Path, what: str, find: Callable[[BufferedReader], bytes], *, is_ours: bool = False) -> bytes:
        """What is remembered of a file, or found in it, and remembered then; _NOTHING is not."""
        known = self._memo.get(_key_of(path, path.stat(), what))
        if known is not None:
            return known[:32]
        with open(path, "rb") as file:
            about, started_ns = os.fstat(file.fileno()), self._now_ns()
            key = _key_of(path, about, what)
            found = find(file)
            # stats of the file as it was opened and as it is now: what was looked at is what they stand for
            is_calm = is_ours or started_ns - max(about.st_mtime_ns, about.st_ctime_ns) >= _RACY_NS
            if found != _NOTHING and is_calm and _key_of(path, os.fstat(file.fileno()), what) == key:
                self._memo.put(key, found + _PADDING)
        return found

    def wrote(self, path: Path, pieces: bytes, about: os.stat_result) -> None:
        """Note that we wrote `path` of these pieces just now. about: its stat before it had its name: of a file that is
        not the same any more nothing is noted."""
        with suppress(OSError):
            now = path.stat()
            if (now.st_ino, now.st_size, now.st_mtime_ns) == (about.st_ino, about.st_size, about.st_mtime_ns):
                self._memo.put(_key_of(path, now, _PIECES), hashlib.sha256(pieces).digest() + _PADDING)


def _key_of(path: Path, about: os.stat_result, what: str) -> bytes:
    stats = f"{what}{about.st_size} {about.st_mtime_ns} {about.st_ctime_ns} {about.st_ino}\0"
    return hashlib.blake2b(stats.encode() + os.fsencode(path), digest_size=KEY_BYTES).digest()


class Forgetful:
    """A memo that remembers nothing."""

    def get(self, key: bytes) -> bytes | None:
        return None

    def put(self, key: bytes, value: bytes) -> None:
        pass
