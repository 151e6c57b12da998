"""Where outputs really go: links followed, and always inside the project."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from runner.errors import RunnerError

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
