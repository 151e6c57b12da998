"""Paths in specs: how long they may be, and the folders they lie in."""

from __future__ import annotations

import os
from pathlib import Path

MAX_BYTES = 4_000
MAX_FOLDERS = 64


def is_too_long(path: str) -> bool:
    """Whether no file system takes a path, or nobody means one with so many folders."""
    return len(path.encode(errors="replace")) > MAX_BYTES or path.count("/") > MAX_FOLDERS


def parents(path: str) -> list[str]:
    """The folders above a path, the outermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def is_below(root: Path, file: str) -> bool:
    """Whether a file that specs name lies below the project root, links followed."""
    base = os.path.realpath(root)
    return Path(os.path.realpath(f"{base}/{file}")).is_relative_to(base) and not file.startswith(("/", "~"))
