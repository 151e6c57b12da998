"""`apply`, composed of the product's own parts, whose Nth durable write fails as on a full disk.

Writes are those of the store and of the objects.
"""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from runner.apply.desire import compile_all, desire
from runner.apply.reconcile import apply
from runner.apply.remotes import Remotes
from runner.apply.reporter import Silent
from runner.apply.session import Session
from runner.cli.main import words_of
from runner.clock import RealClock
from runner.errors import RunnerError, StateError
from runner.plan.guard import Guards
from runner.spec.load import load
from runner.state.base import Document
from runner.state.disk import DiskStore
from runner.state.home import home_of
from runner.state.local import LocalMemory
from runner.state.objects import DiskObjects


@dataclass
class Disk:
    """Counts writes, and is full at the one numbered `fatal` (0: never); from then on, or just once."""

    fatal: int = 0
    stays_full: bool = False
    writes: list[str] = field(default_factory=list)  # that it came to

    @property
    def was_full(self) -> bool:
        return 0 < self.fatal <= len(self.writes)

    def write(self, what: str) -> None:
        self.writes.append(what)
        if len(self.writes) == self.fatal or (self.stays_full and self.was_full):
            raise StateError(f"`{what}` cannot be written: {os.strerror(errno.ENOSPC)}", hint="Make room")


class FailingStore(DiskStore):
    def __init__(self, folder: Path, disk: Disk) -> None:
        super().__init__(folder)
        self._disk = disk

    def write(self, changes: Mapping[str, Document | None], expected: int, events: Sequence[Document] = ()) -> int:
        self._disk.write(",".join(key.partition("/")[0] for key in changes))
        return super().write(changes, expected, events)


class FailingObjects(DiskObjects):
    def __init__(self, folder: Path, disk: Disk) -> None:
        super().__init__(folder)
        self._disk = disk

    def write(self, name: str, data: bytes) -> str:
        self._disk.write(f"object {name.rpartition('/')[2][:8]}")
        return super().write(name, data)


def applied(root: Path, environ: Mapping[str, str], disk: Disk) -> tuple[int, Sequence[str]]:
    """One apply on such a disk: its exit code, and what it says went wrong."""
    project = load(["specs"], root)
    stop = threading.Event()
    clock = RealClock(stop)
    remotes = Remotes(project, environ=environ, clock=clock, rng=random.Random(7), may_start=True)
    home = home_of(root)
    home.prepare()
    compiled = compile_all(project, remotes, home.memo / "compiled", keeps=True)
    memory = LocalMemory(home, open_store=partial(FailingStore, disk=disk), objects=FailingObjects(home.objects, disk))
    session = Session(
        project=project,
        desired=desire(project, compiled, remotes),
        compiled=compiled,
        memory=memory,
        remotes=remotes,
        clock=clock,
        reporter=Silent(),
        stop=stop,
    )
    try:
        result = apply(session, Guards(), confirm=lambda plan: True, wait_seconds=None)
        return int(bool(result.errors)), [words_of(error) for error in (one.error for one in result.errors)]
    except RunnerError as error:
        return error.exit_code, [words_of(error)]
    finally:
        remotes.close()
        memory.close()
