"""Which files in a folder of transcripts are ours: those that its last `_results.jsonl` lists.

A write that was cut short left a few more. They were noted before they got their names, in a file beside it.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import msgspec

from runner.errors import DataError
from runner.job.packed import KEY_BYTES, Sorter
from runner.results.lines import scan
from runner.results.names import RESULTS
from runner.results.parse import NOT_SO

_WRITTEN = "._results.written"
_NOTE = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Listed(msgspec.Struct, gc=False, kw_only=True):
    """A line of `_results.jsonl`, or of the notes. sha256: of the transcript, 64 hex characters."""

    file: str = ""
    transcript: str | None = None
    sha256: str | None = None


class _Line(Listed, gc=False, kw_only=True):
    digest: str
    origin: str | None


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_note = msgspec.json.Decoder(Listed).decode


def name_key(name: str) -> bytes:
    """16 bytes that stand for exactly this name or path."""
    return hashlib.blake2b(name.encode(), digest_size=KEY_BYTES).digest()


class Ours:
    """What was ours when we came, packed, and which of it is still wanted. Close it."""

    def __init__(self, folder: Path) -> None:
        """Raises DataError where the folder has a `_results.jsonl` that is not ours, OSError."""
        self._folder = folder
        self._notes = -1
        sorter = Sorter()
        for listed in self._noted():
            if listed.transcript:
                sorter.add(name_key(listed.transcript))
        for listed in self.listed():
            if listed.transcript:
                sorter.add(name_key(listed.transcript))
        self._keys = sorter.sorted()
        self._is_claimed = bytearray(len(self._keys) // KEY_BYTES)
        self._unclaimed = len(self._is_claimed)

    def listed(self) -> Iterator[Listed]:
        """The lines of `_results.jsonl`, those that can be read."""
        path = self._folder / RESULTS
        if not os.path.lexists(path):
            return
        ours = strangers = 0
        if path.is_file() and not path.is_symlink():
            for _, line in scan(path):
                try:
                    found = _decode_line(line)
                except NOT_SO:
                    strangers += bool(line.strip())
                    continue
                ours += 1
                yield found
        else:
            strangers = 1
        if strangers and not ours:
            raise DataError(
                f"`{path}` is there already, and no results of ours",
                hint="move it away, or give the job a folder of its own; then run `runner apply` again",
            )

    def claim(self, name: str) -> bool:
        """Whether a name was ours. From now on it is wanted again."""
        at = _find(self._keys, name_key(name))
        if at < 0:
            return False
        self._unclaimed -= not self._is_claimed[at]
        self._is_claimed[at] = True
        return True

    def left(self) -> Iterator[Listed]:
        """Lines whose transcript was not claimed."""
        if not self._unclaimed:
            return
        for listed in self.listed():
            if listed.transcript:
                at = _find(self._keys, name_key(listed.transcript))
                if at >= 0 and not self._is_claimed[at]:
                    yield listed

    def note(self, name: str) -> None:
        """Write down that a file which is about to appear is ours. It is enough that it outlives this process."""
        if self._notes < 0:
            self._notes = os.open(self._folder / _WRITTEN, _NOTE, 0o644)
        os.write(self._notes, msgspec.json.encode(Listed(transcript=name)) + b"\n")

    def forget(self) -> None:
        """Drop the notes: `_results.jsonl` lists everything now."""
        (self._folder / _WRITTEN).unlink(missing_ok=True)

    def _noted(self) -> Iterator[Listed]:
        path = self._folder / _WRITTEN
        if not path.is_file() or path.is_symlink():
            return
        for _, line in scan(path):
            try:
                yield _decode_note(line)
            except NOT_SO:
                continue

    def close(self) -> None:
        if self._notes >= 0:
            os.close(self._notes)

    def __enter__(self) -> Ours:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


class Paths:
    """A set of paths, 16 bytes each; what was added is found after the first question."""

    def __init__(self) -> None:
        self._sorter = Sorter()
        self._keys: bytes | None = None

    def add(self, path: str) -> None:
        self._sorter.add(name_key(path))

    def __contains__(self, path: str) -> bool:
        if self._keys is None:
            self._keys = self._sorter.sorted()
        return _find(self._keys, name_key(path)) >= 0


def _find(keys: bytes, key: bytes) -> int:
    """The place of a key among sorted packed keys, -1 where it is not there."""
    count = len(keys) // KEY_BYTES
    at = bisect_left(range(count), key, key=lambda i: keys[i * KEY_BYTES : (i + 1) * KEY_BYTES])
    return at if keys[at * KEY_BYTES : (at + 1) * KEY_BYTES] == key else -1
