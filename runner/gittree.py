"""Whether git tracks a path, read from its index: what is tracked may have come with a pull request. And what is
checked out.

No `git` is run for it: it may not be installed, and in a folder that a stranger filled it may run what the folder says.
Source: git's `Documentation/gitformat-index.adoc`, versions 2 to 4 (read 2026-11-29).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_HEADER = 12
_FIXED = 40  # of an entry: stat data and sizes, before the object's name
_EXTENDED = 0x4000
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NAME = re.compile(r"refs/[^\s\0]+")


def worktree_of(path: Path) -> Path | None:
    """The top of the checkout a path lies in, or None outside of git."""
    real = path.resolve()
    return next((folder for folder in (real, *real.parents) if (folder / ".git").exists()), None)


def is_tracked(path: Path, *, to_the_letter: bool = False) -> bool:
    """Whether the index of the checkout around `path` holds it, or anything below it.

    to_the_letter: other letters, small or capital, are another path; else they are the same, as on many disks.
    """
    top = worktree_of(path.parent)
    if top is None:
        return False
    there = os.fsencode((path.parent.resolve() / path.name).relative_to(top).as_posix())
    return any(_holds(index, there, hash_bytes, to_the_letter) for index, hash_bytes in _indexes(top))


def head_of(path: Path) -> str:
    """The commit that is checked out around a folder, as hex; empty outside of git, or where that cannot be read.

    Source: git's `Documentation/gitrepository-layout.adoc`: `HEAD`, `refs`, `packed-refs`, `commondir`.
    """
    top = worktree_of(path)
    if top is None:
        return ""
    git = _git_folder(top)
    said = _text_of(git / "HEAD").strip()
    name = said.removeprefix("ref: ")
    if name != said:
        if not _NAME.fullmatch(name) or ".." in name:
            return ""
        said = next(filter(None, (_text_of(folder / name).strip() for folder in (git, _common(git)))), "")
        said = said or _packed_ref(_common(git), name)
    return said if _COMMIT.fullmatch(said) else ""


def _packed_ref(common: Path, name: str) -> str:
    lines = (line.split(" ") for line in _text_of(common / "packed-refs").splitlines())
    return next((words[0] for words in lines if words[1:] == [name]), "")


def _common(git: Path) -> Path:
    """The folder that all worktrees of a checkout share."""
    return (git / said).resolve() if (said := _text_of(git / "commondir").strip()) else git


def _holds(index: bytes, path: bytes, hash_bytes: int, to_the_letter: bool) -> bool:
    fold = bytes if to_the_letter else bytes.lower
    wanted = fold(path)
    # Only version 4 cuts paths into pieces; in the others a plain search answers for nearly every checkout
    if int.from_bytes(index[4:8]) < 4 and wanted not in fold(index):
        return False
    below = wanted + b"/"
    return any(one == wanted or one.startswith(below) for one in map(fold, _paths(index, hash_bytes)))


def _indexes(top: Path) -> Iterator[tuple[bytes, int]]:
    """The index files of a checkout (two where it is split), and how long an object's name is in them."""
    git = _git_folder(top)
    common = _common(git)
    config = _text_of(common / "config").lower()
    hash_bytes = 32 if re.search(r"objectformat\s*=\s*sha256", config) else 20
    for file in (git / "index", *sorted(git.glob("sharedindex.*"))):
        try:
            index = file.read_bytes()
        except OSError:
            continue
        if index.startswith(b"DIRC"):
            yield index, hash_bytes


def _git_folder(top: Path) -> Path:
    """`.git`, or where the file of that name points to, as in a further worktree or a submodule."""
    git = top / ".git"
    if git.is_file():
        return (top / _text_of(git).removeprefix("gitdir:").strip()).resolve()
    return git


def index_of(top: Path) -> Path:
    """The file that says what is tracked in the checkout at `top`."""
    return _git_folder(top) / "index"


def _text_of(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def _paths(index: bytes, hash_bytes: int) -> Iterator[bytes]:
    """Every path of an index. One that is damaged ends early."""
    version, entries = int.from_bytes(index[4:8]), int.from_bytes(index[8:12])
    at, path = _HEADER, b""
    for _ in range(entries):
        flags_at = at + _FIXED + hash_bytes
        start = flags_at + (4 if int.from_bytes(index[flags_at : flags_at + 2]) & _EXTENDED else 2)
        if version >= 4:
            cut, start = _offset(index, start)
            end = index.find(b"\0", start)
            path = path[: len(path) - cut] + index[start:end]
            following = end + 1
        else:
            end = index.find(b"\0", start)
            path = index[start:end]
            following = at + (end - at) // 8 * 8 + 8  # padded with 1 to 8 zero bytes
        if end < 0:
            return
        yield path
        at = following


def _offset(index: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, as in pack files, and the place behind it."""
    value = 0
    while at < len(index):
        byte = index[at]
        value = (value << 7) | (byte & 0x7F)
        at += 1
        if not byte & 0x80:
            break
        value += 1
    return value, at
