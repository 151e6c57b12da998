"""What tells whether somebody changed our outputs since we wrote them: their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from runner.results.names import RESULTS
from runner.results.transcript import SUFFIXES

BY_CONTENT = "sha256:"


def of_stat(path: Path) -> str:
    """Size, time of change, inode, as records have it that do not know the content. Raises OSError."""
    about = path.stat()
    return f"{about.st_size} {about.st_mtime_ns} {about.st_ino}"


def of_folder(folder: Path, digest_of: Callable[[Path], bytes]) -> str:
    """How many results and transcripts lie in a folder, and a digest over their names and what they hold.

    Other files do not count. What cannot be looked at changes the digest. digest_of: SHA-256 of one file.
    """
    total, files = hashlib.sha256(), 0
    pending = [""]
    while pending:
        under = pending.pop()
        inner = []
        try:
            with os.scandir(folder / under) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    name = under + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        inner.append(f"{name}/")
                    elif name == RESULTS or os.path.splitext(name)[1] in SUFFIXES:  # noqa: PTH122  # quicker
                        is_file = entry.is_file(follow_symlinks=False)
                        total.update(os.fsencode(f"{name}\0") + (digest_of(folder / name) if is_file else b""))
                        files += 1
        except OSError as error:
            total.update(os.fsencode(f"{under}\0{error.errno}\0"))
        pending += reversed(inner)
    return f"{files} {BY_CONTENT}{total.hexdigest()}"


def files_in(fingerprint: str) -> int:
    """How many files a folder had when it was in this state."""
    return int(fingerprint.partition(" ")[0])
