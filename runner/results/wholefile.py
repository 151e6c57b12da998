"""Files that appear whole or not at all: written beside, fsynced, renamed."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from runner.errors import RunnerError

BUFFER_BYTES = 1 << 20
_SUFFIX = ".part"
_NOT_OURS_TO_WRITE = (".git", ".runner")  # whatever a link in a repository says


def target_of(path: Path, root: Path) -> Path:
    """Where a file really goes: links followed, and always inside `root`.

    Raises RunnerError when a link on the way leads out of the root, or `path` is a folder.
    """
    real = _inside(path, root)
    if real.is_dir():
        raise RunnerError(f"`{path}` is a folder", hint="name a file in it")
    return real


def folder_of(path: Path, root: Path) -> Path:
    """Where a folder really lies, on the same terms; it is made if it is missing. Raises RunnerError, OSError."""
    real = _inside(path, root)
    if real.exists() and not real.is_dir():
        raise RunnerError(f"`{path}` is a file", hint="move it away, or choose another folder")
    real.mkdir(parents=True, exist_ok=True)
    return real


def _inside(path: Path, root: Path) -> Path:
    real, inside = Path(os.path.realpath(path)), _real(root)
    if not real.is_relative_to(inside) or real == inside:
        raise RunnerError(
            f"`{path}` lies outside of the project root `{inside}`",
            hint="choose an output below the root, or remove the link that leads out of it",
        )
    for part in real.relative_to(inside).parts:
        if part.casefold() in _NOT_OURS_TO_WRITE:
            raise RunnerError(f"`{path}` leads into `{part}/`", hint="choose another output, or remove the link")
    return real


@lru_cache(maxsize=8)
def _real(root: Path) -> Path:
    """A project does not move while a command is at work in it."""
    return Path(os.path.realpath(root))


@contextmanager
def whole(path: Path, *, mode: int = 0o644, keeps_equal: bool = False) -> Iterator[BinaryIO]:
    """A file to write, which becomes `path` when the block ends well and vanishes when it does not.

    Missing folders are made. mode: before the umask. keeps_equal: a file with the same bytes is left as it is.
    Raises OSError; a full disk leaves what was there before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}{_SUFFIX}")
    with suppress(FileNotFoundError):
        beside.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(beside, flags, mode), "wb", buffering=BUFFER_BYTES) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        if keeps_equal and path.is_file() and filecmp.cmp(beside, path, shallow=False):
            beside.unlink()
            return
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
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
