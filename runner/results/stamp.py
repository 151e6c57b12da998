"""What tells whether somebody touched our outputs since we wrote them: stats, and no content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from runner.results.names import RESULTS
from runner.results.transcript import SUFFIXES


def of_file(path: Path) -> str:
    """Size, time of change, inode. Raises OSError."""
    about = path.stat()
    return f"{about.st_size} {about.st_mtime_ns} {about.st_ino}"


def of_folder(folder: Path) -> str:
    """How many results and transcripts lie in a folder, and a digest over their names, sizes and times of change.

    Other files do not count. What cannot be looked at changes the digest.
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
                        about = entry.stat(follow_symlinks=False)
                        total.update(os.fsencode(f"{name}\0{about.st_size} {about.st_mtime_ns}\0"))
                        files += 1
        except OSError as error:
            total.update(os.fsencode(f"{under}\0{error.errno}\0"))
        pending += reversed(inner)
    return f"{files} {total.hexdigest()}"


def files_in(stamp: str) -> int:
    """How many files a folder had when it was stamped so."""
    return int(stamp.partition(" ")[0])
