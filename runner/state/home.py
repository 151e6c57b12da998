"""Where a project keeps what it knows: `.runner/` and the folders in it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from runner.errors import StateError


@dataclass(frozen=True, slots=True)
class Home:
    """The folder `.runner` of one project; `state`, `memo`, `objects` and `tmp` lie in it."""

    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def memo(self) -> Path:
        return self.folder / "memo"

    @property
    def objects(self) -> Path:
        return self.folder / "objects"

    @property
    def tmp(self) -> Path:
        return self.folder / "tmp"

    def prepare(self) -> None:
        """Make the folders, for us alone. Raises StateError where a link or another owner stands in the way."""
        for folder in (self.folder, self.state, self.memo, self.objects, self.tmp):
            if folder.is_symlink():
                raise StateError(f"`{folder}` is a link; runner keeps its state in a folder of its own")
            folder.mkdir(mode=0o700, exist_ok=True)
            if stat.S_IMODE(folder.stat().st_mode) & 0o077:
                folder.chmod(0o700)
        ignore = self.folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")


def home_of(root: Path) -> Home:
    return Home(root / ".runner")
