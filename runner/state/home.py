"""Where a project keeps what it knows: `.runner/` and the folders in it."""

from __future__ import annotations

import os
import stat
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import msgspec

from runner import files, gittree
from runner.errors import BlockedError, StateError, UsageError, printable
from runner.job.address import ENVIRONMENT

FOLDER = ".runner"
ENVIRONMENTS = "environments"


class Watched(NamedTuple):
    """Files of this machine by whose stats it can be told that nothing was recorded since.

    logs: hold what was written last, until it is moved elsewhere: nothing, where nobody is writing.
    """

    stamped: tuple[Path, ...]
    logs: tuple[Path, ...]


class Home(msgspec.Struct, frozen=True, dict=True):
    """The folder `.runner` of one project; `state`, `memo`, `objects` and `tmp` lie in it."""

    folder: Path

    @cached_property
    def state(self) -> Path:
        return self.folder / "state"

    @cached_property
    def memo(self) -> Path:
        return self.folder / "memo"

    @cached_property
    def objects(self) -> Path:
        return self.folder / "objects"

    @cached_property
    def tmp(self) -> Path:
        return self.folder / "tmp"

    @property
    def root(self) -> Path:
        """Of the project."""
        is_of_environment = self.folder.parent.name == ENVIRONMENTS and self.folder.parents[1].name == FOLDER
        return self.folder.parents[2 if is_of_environment else 0]

    def of_environment(self, name: str, *, makes: bool) -> Home:
        """The home of one environment, in a folder below this one. makes: where it is missing.

        Raises UsageError for a name that no environment has, StateError where a link stands in the way.
        """
        if not ENVIRONMENT.match(name):
            raise UsageError(
                f"`{printable(name)}` is not the name of an environment", hint="the specs name them, in `environments`"
            )
        folder = self.folder / ENVIRONMENTS
        if folder.is_symlink() or (folder / name).is_symlink():
            raise _linked(folder if folder.is_symlink() else folder / name)
        home = Home(folder / name)
        if makes:
            folder.mkdir(mode=0o700, exist_ok=True)
            home.prepare()
        return home

    def environments(self) -> list[str]:
        """Those that have a home."""
        folder = self.folder / ENVIRONMENTS
        if not folder.is_dir() or folder.is_symlink():
            return []
        return sorted(one.name for one in folder.iterdir() if ENVIRONMENT.match(one.name) and not one.is_symlink())

    def prepare(self) -> None:
        """Make the folders, for us alone. Raises StateError where a link stands in the way, OSError."""
        if self.folder.exists() and not os.access(self.folder, os.W_OK):
            raise StateError(
                f"`{self.folder}` cannot be written",
                hint="in a read-only checkout `plan`, `status` and `show` work; this command needs one it may write",
            )
        for folder in (self.folder, self.state, self.memo, self.objects, self.tmp):
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                mode = folder.lstat().st_mode
                if stat.S_ISLNK(mode):
                    raise _linked(folder) from None
                if not stat.S_ISDIR(mode):
                    raise
                if stat.S_IMODE(mode) & 0o077:
                    folder.chmod(0o700)
            with os.scandir(folder) as entries:
                for entry in entries:
                    # Files further down are renamed into place or opened without following
                    if entry.is_symlink():
                        raise _linked(Path(entry.path))
        ignore = self.folder / ".gitignore"
        if not ignore.exists():
            files.write(ignore, b"*\n")


def _linked(path: Path) -> StateError:
    return StateError(
        f"`{path}` is a link; runner keeps its state in files and folders of its own",
        hint="remove the link and run again; nothing behind it was touched",
    )


def home_of(root: Path) -> Home:
    """The home of a project. Raises BlockedError where git tracks it: then a stranger may have written what it says."""
    folder = root / FOLDER
    if folder.exists() and gittree.is_tracked(folder):
        raise BlockedError(
            f"git tracks `{folder}`, so anybody who writes to the repository writes what is remembered here",
            hint="if it is your own, run `git rm -r --cached .runner` and commit that; else delete it, and what the "
            "remotes and the results files know is found again",
        )
    return Home(folder)
