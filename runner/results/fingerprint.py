"""What tells whether somebody changed our outputs since we wrote them: their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from runner.results.names import RESULTS
from runner.results.transcript import SUFFIXES

BY_CONTENT = "sha256:"


def is_as_stat(path: Path, recorded: str) -> bool:
    """Whether a file has the size and time of change that are recorded where its content is not. Raises OSError.

    recorded: size, time in ns and inode, as release 0.1.0 wrote them. A folder that was copied with its times has other
    inodes; an archive may keep whole seconds only.
    """
    about = path.stat()
    size, changed_ns = (int(word) for word in recorded.split()[:2])
    times = (about.st_mtime_ns, about.st_mtime_ns + changed_ns % 10**9)
    return about.st_size == size and changed_ns in times


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
