"""Which files in a folder of transcripts are ours: those that its last `_results.jsonl` lists.

A write that was cut short left a few more. They were noted before they got their names, in a file beside it.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from runner.errors import DataError
from runner.files import whole
from runner.job.packed import KEY_BYTES, Sorter
from runner.mending import NOT_SO
from runner.results.lines import scan
from runner.results.names import RESULTS, shown

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
        names, contents = Sorter(), Sorter()
        for listed in self.listed():
            if listed.transcript:
                names.add(name_key(listed.transcript))
                if listed.sha256:
                    contents.add(name_key(f"{listed.transcript}\0{listed.sha256}"))
        self._keys = names.sorted()
        self._contents = contents.sorted()
        self._is_claimed = bytearray(len(self._keys) // KEY_BYTES)
        self._unclaimed = len(self._is_claimed)

    def listed(self) -> Iterator[Listed]:
        """The lines of `_results.jsonl`, those that can be read, and what was noted beside it."""
        yield from self._noted()
        yield from self.lines_in(self._folder)

    @staticmethod
    def was_begun(folder: Path) -> bool:
        """Whether we wrote something into a folder, be it that we did not come to the end."""
        return (folder / _WRITTEN).is_file()

    @staticmethod
    def lines_in(folder: Path) -> Iterator[Listed]:
        """The lines of `_results.jsonl` alone. Raises DataError where it is not ours."""
        path = folder / RESULTS
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

    def wrote(self, name: str, sha256: str | None) -> bool:
        """Whether content of this digest was written under a name by us."""
        return sha256 is not None and _find(self._contents, name_key(f"{name}\0{sha256}")) >= 0

    def left(self) -> Iterator[Listed]:
        """Lines whose transcript was not claimed."""
        if not self._unclaimed:
            return
        for listed in self.listed():
            if listed.transcript:
                at = _find(self._keys, name_key(listed.transcript))
                if at >= 0 and not self._is_claimed[at]:
                    yield listed

    def note(self, name: str, sha256: str) -> None:
        """Write down that a file which is about to appear is ours. It is enough that it outlives this process."""
        if self._notes < 0:
            self._notes = os.open(self._folder / _WRITTEN, _NOTE, 0o644)
        os.write(self._notes, msgspec.json.encode(Listed(transcript=name, sha256=sha256)) + b"\n")

    def forget(self, orphans: Sequence[Listed]) -> None:
        """Drop the notes: `_results.jsonl` lists everything now, but for the orphans, which stay known as ours."""
        path = self._folder / _WRITTEN
        if orphans:
            with whole(path, keeps_equal=True) as out:
                for one in orphans:
                    out.write(msgspec.json.encode(Listed(file=one.file, transcript=one.transcript, sha256=one.sha256)))
                    out.write(b"\n")
        else:
            path.unlink(missing_ok=True)

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


class PathSet:
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


def told(edited: Sequence[str], orphans: Sequence[str]) -> str:
    """What is left as it is in a folder, in words; empty where that is nothing."""
    parts = []
    if edited:
        name = f"`{shown(edited[0])}`"
        what = f"the edited transcript {name} stays as it is; delete it"
        if len(edited) > 1:
            what = f"{len(edited):,} transcripts that were edited stay as they are, such as {name}; delete one"
        parts.append(f"{what} to have it written again")
    if orphans:
        name = f"`{shown(orphans[0])}`"
        what = f"the transcript {name}, which this job no longer writes, stays"
        if len(orphans) > 1:
            what = f"{len(orphans):,} transcripts that this job no longer writes stay, such as {name}"
        parts.append(what)
    return "; ".join(parts)


def _find(keys: bytes, key: bytes) -> int:
    """The place of a key among sorted packed keys, -1 where it is not there."""
    count = len(keys) // KEY_BYTES
    at = bisect_left(range(count), key, key=lambda i: keys[i * KEY_BYTES : (i + 1) * KEY_BYTES])
    return at if keys[at * KEY_BYTES : (at + 1) * KEY_BYTES] == key else -1
