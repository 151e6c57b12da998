"""Another memory in the place of a project's: one that was rebuilt, or that came from another machine.

The new one is made beside the old one, whole, and takes its place at the end. The old one is kept aside. A kill in
between leaves a note, and the next command that writes goes on from it.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from runner import files
from runner.errors import StateError
from runner.state.disk import DiskStore
from runner.state.home import Home
from runner.state.local import LocalMemory

_READY = "ready"  # in the folder of the new one, once it is whole: says what the old one's is called
_NAME = re.compile(r"\d{8}T\d{6}(-\d+)?")
_PARTS = ("objects", "state")  # in this order: records are never there before what they speak of


class Heir(LocalMemory):
    """A memory of nothing yet, below that of a project; what can be computed again is shared."""

    def __init__(self, base: Home) -> None:
        home = heir_of(base)
        if home.folder.is_symlink():
            raise StateError(f"`{home.folder}` is a link; runner keeps its state in folders of its own")
        if home.folder.exists():  # of a command that was killed before it was whole
            shutil.rmtree(home.folder)
        home.prepare()
        super().__init__(home, open_store=DiskStore)
        self._base = base

    @property
    def caches(self) -> Path:
        return self._base.memo

    def discard(self) -> None:
        """Leave nothing of it, unless it took over."""
        self.close()
        with suppress(OSError):
            shutil.rmtree(self._home.folder)

    def take_over(self, now: datetime, *, keeps: bool) -> Path:
        """Take the place of the project's memory, which nobody may have open; where that lies now.

        keeps: else it held nothing, and is removed. Call it under the project's lock. Raises OSError.
        """
        self.close()
        name = aside = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S")
        number = 1
        while (_replaced(self._base) / aside).exists():
            number += 1
            aside = f"{name}-{number}"
        files.write(self._home.folder / _READY, aside.encode())
        finish(self._base)
        kept = _replaced(self._base) / aside
        if not keeps:
            shutil.rmtree(kept)
            with suppress(OSError):  # others are kept there
                kept.parent.rmdir()
        return kept


def heir_of(base: Home) -> Home:
    return Home(base.folder / "incoming")


def _replaced(base: Home) -> Path:
    return base.folder / "replaced"


def is_due(base: Home) -> bool:
    """Whether a memory was about to take another's place when its command was killed."""
    return (heir_of(base).folder / _READY).is_file()


def finish(base: Home) -> None:
    """Do what is left of it. Under the project's lock. Raises StateError for a note that is none of ours, OSError."""
    heir = heir_of(base)
    try:
        name = (heir.folder / _READY).read_text()
    except FileNotFoundError:
        return
    if not _NAME.fullmatch(name):
        raise StateError(f"`{heir.folder / _READY}` is not what runner wrote", hint=f"remove `{heir.folder}`")
    aside = _replaced(base) / name
    for part in _PARTS:
        if not (heir.folder / part).exists():
            continue  # it took its place already
        if (base.folder / part).exists():
            aside.mkdir(mode=0o700, parents=True, exist_ok=True)
            if (aside / part).exists():  # the old one is there: what stands in its place was made since, and is empty
                shutil.rmtree(base.folder / part)
            else:
                (base.folder / part).rename(aside / part)
        (heir.folder / part).rename(base.folder / part)
    files.sync_folder(base.folder)
    (heir.folder / _READY).unlink()
    with suppress(OSError):
        shutil.rmtree(heir.folder)
