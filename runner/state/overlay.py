"""A second memory over the first: what is there is read, what is new goes elsewhere and leaves no trace below."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from runner.errors import StateError
from runner.rawfile import packed_of
from runner.state.disk import DATABASE
from runner.state.objects import DiskObjects

_FILES = (DATABASE, f"{DATABASE}-wal")  # what was committed lies in both
_PAUSE_SECONDS = 0.05
_RACY_NS = 50_000_000  # a file changed this shortly ago may change again without a new time


class ForkedObjects(DiskObjects):
    """Objects of a folder of their own; those it does not hold are read from `base`, which is never written to."""

    def __init__(self, folder: Path, base: Path) -> None:
        super().__init__(folder)
        self._base = base

    def path(self, name: str) -> Path:
        own, below = self.folder / name, self._base / name
        return below if not _is_there(own) and _is_there(below) else own


def _is_there(path: Path) -> bool:
    return path.exists() or packed_of(path).exists()


def copy_state(source: Path, target: Path, *, tries: int = 100) -> None:
    """Copy the state in one folder to another, as it is between two commits; nothing where there is none yet.

    By bytes: SQLite leaves files beside a database that it only reads. Raises StateError while it changes all the time.
    """
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for _ in range(tries):
        before = _stamps(source)
        if not before:
            return
        _copy(source, target)
        if _stamps(source) == before and time.time_ns() - max(mtime for _, _, mtime, _ in before) > _RACY_NS:
            return
        time.sleep(_PAUSE_SECONDS)
    raise StateError(
        f"the state in `{source}` does not stand still: another command is at work",
        hint="run the command again when that has ended",
    )


def _copy(source: Path, target: Path) -> None:
    for name in _FILES:
        try:
            shutil.copyfile(source / name, target / name)
        except FileNotFoundError:
            (target / name).unlink(missing_ok=True)


def _stamps(folder: Path) -> list[tuple[str, int, int, int]]:
    """Name, size, time of change and inode of what there is; empty without a database."""
    found = []
    for name in _FILES:
        try:
            about = (folder / name).stat()
        except FileNotFoundError:
            continue
        found.append((name, about.st_size, about.st_mtime_ns, about.st_ino))
    return found if found and found[0][0] == DATABASE else []
