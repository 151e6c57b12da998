"""Files that appear whole or not at all: written beside, synced, renamed."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

BUFFER_BYTES = 1 << 20
PRIVATE = 0o600
_SUFFIX = ".part"
LONGEST_FOLDER = 255  # bytes of a name, on nearly all file systems
LONGEST_NAME = LONGEST_FOLDER - len(f"..{2**22}{_SUFFIX}")  # of a file that is written beside, by the pid, first

_MAKE_ROOM = "make room and run the same command again; nothing was lost"
_OWNER = "run as the user it belongs to, or put its permissions right"
_WAYS_OUT = {
    errno.ENOSPC: _MAKE_ROOM, errno.EDQUOT: _MAKE_ROOM, errno.EFBIG: _MAKE_ROOM,
    errno.EACCES: _OWNER, errno.EPERM: _OWNER,
    errno.EROFS: "it lies on a file system that is read-only here",
}  # fmt: skip


def way_out(error: OSError) -> str:
    """What to do about what the system refused; empty where its own words have to do."""
    return _WAYS_OUT.get(error.errno or 0, "")


@contextmanager
def whole(path: Path, *, mode: int = 0o644, is_durable: bool = True, keeps_equal: bool = False) -> Iterator[BinaryIO]:
    """A file to write, which becomes `path` when the block ends well and vanishes when it does not.

    What was written can be read through its descriptor.
    Missing folders are made, and what killed processes left beside it is removed. mode: before the umask; of a private
    file, the folder is private as well. is_durable: it survives a power cut from the moment the block has ended.
    keeps_equal: a file with the same bytes is left as it is. Raises OSError; a full disk leaves what was there before.
    """
    path.parent.mkdir(mode=0o700 if mode == PRIVATE else 0o777, parents=True, exist_ok=True)
    _sweep(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}{_SUFFIX}")
    with suppress(FileNotFoundError):
        beside.unlink()
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(beside, flags, mode), "wb", buffering=BUFFER_BYTES) as out:
            yield out
            out.flush()
            if is_durable:
                os.fsync(out.fileno())
        if keeps_equal and path.is_file() and filecmp.cmp(beside, path, shallow=False):
            beside.unlink()
            return
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    if is_durable:
        sync_folder(path.parent)


def write(path: Path, data: bytes, *, is_durable: bool = True) -> None:
    """A private file with just these bytes, in place of what stood there. Raises OSError."""
    with whole(path, mode=PRIVATE, is_durable=is_durable) as out:
        out.write(data)


def join_lines(pieces: Iterable[Path], path: Path) -> int:
    """A private file of some others behind each other, each ended by a newline; its size in bytes. Raises OSError."""
    with whole(path, mode=PRIVATE) as out:
        for piece in pieces:
            end = b"\n"
            with piece.open("rb") as file:
                while chunk := file.read(BUFFER_BYTES):
                    out.write(chunk)
                    end = chunk[-1:]
            if end != b"\n":
                out.write(b"\n")
        return out.tell()


def sync_folder(folder: Path) -> None:
    """Make a rename durable; where a file system cannot, the rename is still atomic."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)


def _sweep(path: Path) -> None:
    """Remove what processes that were killed left beside `path`."""
    prefix = f".{path.name}."
    for name in os.listdir(path.parent):  # noqa: PTH208  # names only, and no pattern: they may hold `[`
        middle = name[len(prefix) : -len(_SUFFIX)]
        if not (name.startswith(prefix) and name.endswith(_SUFFIX) and middle.isdecimal()):
            continue
        if not _is_alive(int(middle)):
            with suppress(OSError):
                (path.parent / name).unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def size_below(folder: Path) -> int:
    """The bytes of all files below a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_size  # noqa: PTH118  # a hundred thousand files
    return total


def bytes_at(descriptor: int, size: int, start: int) -> bytes:
    """What a file holds from `start` on; fewer bytes only where it ends. Raises OSError."""
    data = os.pread(descriptor, size, start)
    while len(data) < size and (more := os.pread(descriptor, size - len(data), start + len(data))):
        data += more  # a file system over a network may give less than it is asked for
    return data


def write_at(descriptor: int, data: bytes | bytearray, start: int) -> None:
    """Write all of it. Raises OSError; then some of it may be there: a disk takes what it has room for, and says so
    only to the next one who asks."""
    rest = memoryview(data)
    while rest:
        done = os.pwrite(descriptor, rest, start)
        rest, start = rest[done:], start + done


def sha256_of(path: Path) -> bytes:
    """Of what a file holds, 32 bytes. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").digest()
