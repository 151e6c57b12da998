"""The file of an append-only log: JSON documents one a line, whole lines only, no larger than so many bytes.

What is appended comes from a database that forgets it once it is durable here. A kill between the two leaves it in
both, so what the end of the file already holds is not appended again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from runner.files import bytes_at, write_at

NAME = "events.jsonl"
OLDER = "events.older.jsonl"
MOST_BYTES = 8 << 20  # of one file; the older one is written over when the newer one is full
_TAIL_BYTES = 1 << 20  # in which a line that was appended before is looked for


def append(folder: Path, lines: Iterable[bytes], *, most_bytes: int = MOST_BYTES) -> None:
    """Append lines durably, without their newlines. Raises OSError; then some of them may be there."""
    path = folder / NAME
    descriptor = _opened(path, os.O_RDWR | os.O_CREAT)
    try:
        size, there = _cut(descriptor)
        added = b"".join(line + b"\n" for line in lines if line not in there)
        write_at(descriptor, added, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if size + len(added) >= most_bytes:
        path.replace(folder / OLDER)


def _cut(descriptor: int) -> tuple[int, frozenset[bytes]]:
    """The size of the whole lines, after what was torn is cut off, and the last of them."""
    size = os.fstat(descriptor).st_size
    start = max(size - _TAIL_BYTES, 0)
    tail = bytes_at(descriptor, size - start, start)
    whole = tail.rfind(b"\n") + 1
    if whole < len(tail):
        os.ftruncate(descriptor, start + whole)
    return start + whole, frozenset(tail[:whole].split(b"\n"))


def newest_first(folder: Path) -> Iterator[bytes]:
    """The lines, the newest first; one that is torn is none. Raises OSError."""
    for name in (NAME, OLDER):
        try:
            descriptor = _opened(folder / name, os.O_RDONLY)
        except FileNotFoundError:
            continue
        with open(descriptor, "rb") as file:
            lines = file.read().split(b"\n")
        yield from (line for line in reversed(lines[:-1]) if line)


def _opened(path: Path, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(f"`{path}` is not a regular file")
    return descriptor
