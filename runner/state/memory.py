"""The one face of all that is remembered between runs. What stands behind it, nobody above knows.

Today that is `.runner/` on this machine (`local.py`). A store that a team shares would be one module more, chosen in
`open_memory`. So nothing above speaks of a database, of a lock's file or of the place of a journal: whoever needs
bytes as a file asks for their path on this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runner.clock import Clock
from runner.errors import StateError
from runner.job.calls import Journal, States
from runner.job.infile import Run
from runner.job.recorded import ResultObject
from runner.state.home import Watched
from runner.state.records import Records, Snapshot

if TYPE_CHECKING:
    from runner.state.home import Home
    from runner.state.local import LocalMemory
    from runner.state.succession import Heir

__all__ = ["Journal", "Memory", "Objects", "Records", "Snapshot", "Watched", "open_local", "open_memory"]


class Objects(Protocol):
    """Bytes that never change once they are on record, by name: `<batch>/<file>`, and sets of keys."""

    def write(self, name: str, data: bytes) -> str:
        """Durably, whole or not at all; their SHA-256 as hex. Raises StateError when it cannot."""
        ...

    def read(self, name: str, sha256: str) -> bytes:
        """The bytes of an object. Raises StateError when they are gone or not what was written."""
        ...

    def stored(self, name: str, sha256: str) -> Run:
        """The same bytes, of which a large object's stay in its file. Raises StateError as `read` does."""
        ...

    def write_set(self, keys: Run) -> str:
        """A set of keys under its own SHA-256; the name to keep. Raises StateError."""
        ...

    def read_set(self, name: str) -> bytes:
        """Raises StateError."""
        ...

    def stored_set(self, name: str) -> Run:
        """Raises StateError."""
        ...

    def keep_sets(self, names: Collection[str]) -> None:
        """Forget all sets but these. Call it under the lock, before any is written: records speak of these alone."""
        ...

    def place(self, name: str) -> Path:
        """Where to write a file of that name on this machine; its folder is made. On record only once it is kept."""
        ...

    def keep(self, batch: str, name: str) -> ResultObject:
        """A file at its place, whole and durable, as an object that every machine can read. Raises StateError."""
        ...

    def path(self, name: str) -> Path:
        """Where the bytes of an object lie on this machine, to be read. There is no file where there is no object.

        Those of a raw file may be packed: `rawfile` and `RawLines` read them by the same path.
        """
        ...

    def pack(self, batch: str, result: ResultObject) -> None:
        """Let a raw file that nothing is added to any more take less room, where that can be done."""
        ...

    def remove(self, batch: str) -> None:
        """Forget the objects of a batch that is not on record."""
        ...


class Memory(Protocol):
    """What one project remembers. Whoever writes to it holds its lock."""

    @property
    def records(self) -> Records:
        """The project's records as of the last snapshot, with what was saved here since. Raises StateError."""
        ...

    def snapshot(self) -> Snapshot:
        """What is recorded now; `records` read from it until the next. Raises StateError."""
        ...

    @property
    def objects(self) -> Objects:
        """Bytes that never change, by name: key sets, indexes, result files as they came."""
        ...

    @property
    def folder(self) -> Path:
        """A folder of this machine for this memory alone; what lies in it may be lost."""
        ...

    @property
    def scratch(self) -> Path:
        """A folder of this machine for what is used in one command and deleted there."""
        ...

    @property
    def caches(self) -> Path:
        """A folder of this machine for what can be computed again. Not there before something was cached."""
        ...

    def watched(self) -> Watched | None:
        """What shows that somebody recorded something; None where only asking does."""
        ...

    def journal(self, batch: str, rows: int) -> Journal:
        """The journal of a batch of so many calls, opened for more; begun where it is not there yet.

        Raises StateError: it is damaged, or of another number of calls.
        """
        ...

    def states(self, batch: str) -> States | None:
        """What the journal of a batch says, for those who only look; None before it is begun. Raises StateError."""
        ...

    def lock(self, command: str, *, clock: Clock, wait_seconds: float = 0.0) -> AbstractContextManager[None]:
        """Hold this memory against everybody else, and read what they recorded before: a new snapshot.

        What is written from then on is signed with this command, in the log.

        Raises LockedError, which names the holder, after `wait_seconds`.
        """
        ...

    def holder(self) -> str:
        """Who holds the lock now, in words that follow `is held`; empty where nobody does."""
        ...

    def fork(self, name: str = "") -> Memory:
        """A memory over this one: it reads what is here, and keeps to itself what is written to it.

        Without a name nothing of it is left when it is closed. With one it lies in `folder / name`, from the moment
        its lock was taken and it was cleared; what was written to its `folder` stays there for a person to look at.
        """
        ...

    def clear(self) -> None:
        """Forget what an earlier fork of this name left, under its lock. Raises StateError for a link in the way."""
        ...

    def close(self) -> None: ...


def environments_of(root: Path) -> list[str]:
    """The environments of the project at `root` of which something is remembered here."""
    from runner.state.home import home_of

    return home_of(root).environments()


def open_memory(root: Path, *, writes: bool, environment: str = "") -> Memory:
    """The memory of the project at `root`. Without `writes` it can only be read, and nothing is made for it.

    environment: whose memory it is; each has one that shares nothing with the others.

    Raises BlockedError where git tracks it, StateError where it cannot be written.
    """
    from runner.state import succession
    from runner.state.disk import DiskStore, view
    from runner.state.home import home_of
    from runner.state.local import LocalMemory

    home = home_of(root)
    if writes:
        home.prepare()
    if environment:
        home = home.of_environment(environment, makes=writes)
    if succession.is_due(home):
        _take_over(home, writes=writes)
    return LocalMemory(home, open_store=DiskStore if writes else view)


def open_local(root: Path, *, environment: str = "") -> tuple[LocalMemory, Callable[[], Heir]]:
    """The memory of the project at `root` on this machine, to be written; and what makes the one that takes its place.

    Raises as `open_memory`.
    """
    from runner.state.disk import DiskStore
    from runner.state.home import home_of
    from runner.state.local import LocalMemory
    from runner.state.succession import Heir

    open_memory(root, writes=True, environment=environment).close()  # what a killed command left is done first
    home = home_of(root)
    home = home.of_environment(environment, makes=True) if environment else home
    return LocalMemory(home, open_store=DiskStore), partial(Heir, home)


def _take_over(home: Home, *, writes: bool) -> None:
    """Go on where a command was killed that put another memory in the place of this one."""
    from runner.clock import RealClock
    from runner.state import succession
    from runner.state.lock import project_lock

    if not writes:
        raise StateError(
            f"another memory was about to take the place of that in `{home.folder}`",
            hint="every command that writes goes on with that, such as `runner apply`",
        )
    with project_lock(home.folder, command="runner state", now=RealClock().now()):
        succession.finish(home)
