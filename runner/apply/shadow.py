"""Where a rehearsal plays: `.runner/rehearsal/`, cleared before, with a copy of what is recorded.

Real records are copied, real objects are read where they lie, and everything new stays below this folder.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from runner.errors import StateError
from runner.job import lifecycle
from runner.job.recorded import Batch, Stage
from runner.state.disk import DiskStore
from runner.state.home import Home
from runner.state.lock import project_lock
from runner.state.objects import Objects
from runner.state.overlay import OverlayObjects, copy_state
from runner.state.records import Records

FOLDER = "rehearsal"
SYNTHETIC = "synthetic"  # the origin of an answer that was made up
_KEPT = ("lock", "lock.json")  # held while the rest is cleared
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)
_CLEARING_TRIES = 50
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Shadow:
    """What a rehearsal has in place of the project's memory and outputs."""

    home: Home
    records: Records
    objects: Objects
    first_sequence: int  # of the batches of the rehearsal
    in_flight: frozenset[str]  # keys of batches that real remotes hold: they cannot be looked at

    @property
    def outputs(self) -> Path:
        """Results files lie below it as they would below the project root."""
        return self.home.folder / "outputs"

    @property
    def server(self) -> Path:
        return self.home.folder / "server"

    def leaving_alone(self) -> Shadow:
        """The same, with what was read back and what real remotes were found to hold since: neither is rehearsed."""
        project = self.records.project()
        return replace(
            self,
            first_sequence=project.next_sequence if project else 1,
            in_flight=self.in_flight | _left_alone(self.records, self.in_flight),
        )

    def made(self, batch: Batch) -> bool:
        """Whether a batch was sent by this rehearsal."""
        return batch.sequence >= self.first_sequence and not batch.adopted_from


@contextlib.contextmanager
def shadow_of(real: Home, *, command: str, now: datetime, wait_seconds: float = 0.0) -> Iterator[Shadow]:
    """A cleared shadow of the memory in `real`, held against a second rehearsal.

    Raises StateError where a link stands in the way, LockedError while another rehearsal runs.
    """
    home = Home(real.folder / FOLDER)
    for folder in (real.folder, home.folder):
        if folder.is_symlink():
            raise StateError(f"`{folder}` is a link; runner keeps its state in a folder of its own")
        folder.mkdir(mode=0o700, exist_ok=True)
    with project_lock(home.folder, command=command, now=now, wait_seconds=wait_seconds):
        _clear(home.folder)
        home.prepare()
        copy_state(real.state, home.state)
        store = DiskStore(home.state)
        try:
            records = Records(store)
            project = records.project()
            yield Shadow(
                home,
                records,
                OverlayObjects(home.objects, real.objects),
                project.next_sequence if project else 1,
                _left_alone(records),
            )
        finally:
            store.close()


def _clear(folder: Path) -> None:
    """Remove what an earlier rehearsal left; links are removed, never followed."""
    for entry in folder.iterdir():
        if entry.name in _KEPT:
            continue
        if entry.is_symlink() or not entry.is_dir():
            entry.unlink()
        else:
            _remove(entry)


def _remove(folder: Path) -> None:
    """Remove a folder; the server of a rehearsal that was killed may write a last file into it."""
    for left in reversed(range(_CLEARING_TRIES)):
        try:
            shutil.rmtree(folder)
            return
        except FileNotFoundError:
            return
        except OSError:
            if not left:
                raise
            time.sleep(_PAUSE_SECONDS)


def _left_alone(records: Records, known: frozenset[str] = frozenset()) -> frozenset[str]:
    """Keep what real remotes hold in flight; nothing that was sent for real can be looked at or continued here.

    A create that was put off and is never due is neither looked at, nor settled, nor sent.
    """
    in_flight = set()
    for batch in records.batches():
        if batch.key in known:
            continue
        kept = batch.but(can_be_continued=False)
        if batch.is_active and (batch.create_tries or batch.stage is not Stage.INTENT):
            in_flight.add(batch.key)
            kept = lifecycle.set_aside(kept, _NEVER)
        records.save(kept)
    return frozenset(in_flight)
