"""Histories played many at a time, and what is kept of each."""

from __future__ import annotations

import atexit
import gc
import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path

from tests.simulation.asking import OnlineScenario
from tests.simulation.chained import ChainScenario
from tests.simulation.history import History
from tests.simulation.inline import InlineScenario, ResultsScenario
from tests.simulation.scenario import Scenario
from tests.simulation.spoken import SpokenScenario
from tests.simulation.stragglers import LateScenario, StragglerScenario
from tests.simulation.waves import WaveScenario

_A_KIND = 1_000_000_000


class Kind(IntEnum):
    """What a history is of; its seed says so. A brief one has one or two applies before it is calm."""

    BATCHES = 0
    RECORDINGS = 1
    BRIEF_BATCHES = 2
    BRIEF_RECORDINGS = 3
    INLINE = 4  # a create carries its rows
    BRIEF_INLINE = 5
    RESULTS = 6  # the same, and only results say whose a batch is
    BRIEF_RESULTS = 7
    CHAINS = 8  # jobs that ask about the answers of others
    BRIEF_CHAINS = 9
    STRAGGLERS = 10  # batches that take too long, and are stopped
    BRIEF_STRAGGLERS = 11
    ONLINE = 12  # rows that are asked one by one
    BRIEF_ONLINE = 13
    LATE = 14  # batches that take too long, and what they leave asked online
    BRIEF_LATE = 15
    SPOKEN = 16  # recordings that are transcribed while one waits
    BRIEF_SPOKEN = 17

    def seed(self, number: int) -> int:
        """The seed of the history of this kind that has this number."""
        return self * _A_KIND + number

    @property
    def scenario(self) -> type[Scenario]:
        match self:
            case Kind.BATCHES | Kind.BRIEF_BATCHES:
                return Scenario
            case Kind.RECORDINGS | Kind.BRIEF_RECORDINGS:
                return WaveScenario
            case Kind.INLINE | Kind.BRIEF_INLINE:
                return InlineScenario
            case Kind.RESULTS | Kind.BRIEF_RESULTS:
                return ResultsScenario
            case Kind.CHAINS | Kind.BRIEF_CHAINS:
                return ChainScenario
            case Kind.STRAGGLERS | Kind.BRIEF_STRAGGLERS:
                return StragglerScenario
            case Kind.LATE | Kind.BRIEF_LATE:
                return LateScenario
            case Kind.ONLINE | Kind.BRIEF_ONLINE:
                return OnlineScenario
            case Kind.SPOKEN | Kind.BRIEF_SPOKEN:
                return SpokenScenario

    @property
    def is_brief(self) -> bool:
        return self.name.startswith("BRIEF")


def kind_of(number: int) -> Kind:
    """What the number-th history of a run is of: most are brief; two of sixteen are of recordings, four inline, one of
    chains, two of stragglers, one of rows asked online, one of recordings asked so."""
    match number % 16:
        case 0:
            return Kind.BATCHES
        case 2:
            return Kind.INLINE
        case 6:
            return Kind.BRIEF_INLINE
        case 8:
            return Kind.RECORDINGS
        case 10:
            return Kind.RESULTS
        case 14:
            return Kind.BRIEF_RESULTS
        case 4:
            return Kind.BRIEF_RECORDINGS
        case 13:
            return Kind.ONLINE if number % 32 == 13 else Kind.BRIEF_ONLINE
        case 7:
            return Kind.SPOKEN if number % 32 == 7 else Kind.BRIEF_SPOKEN
        case 9:
            return Kind.LATE if number % 32 == 9 else Kind.BRIEF_LATE
        case 11:
            return Kind.STRAGGLERS if number % 32 == 11 else Kind.BRIEF_STRAGGLERS
        case 12:
            return Kind.CHAINS if number % 32 == 12 else Kind.BRIEF_CHAINS
        case _:
            return Kind.BRIEF_BATCHES


@dataclass(frozen=True, slots=True)
class Summary:
    """What is kept of one history."""

    seed: int
    faults: tuple[str, ...]
    events: int
    applies: int
    kind: str


def folder_of() -> str | None:
    """A RAM disk where there is one: nothing here is about disks."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def play(seed: int, folder: Path, *, keeps: bool = False) -> History:
    """The history of one seed, played below `folder`, which is cleared before, and after unless it `keeps` it."""
    clear(folder)
    folder.mkdir(parents=True)
    try:
        kind = Kind(seed // _A_KIND)
        return kind.scenario(seed, folder, is_brief=kind.is_brief).play()
    finally:
        if not keeps:
            clear(folder)


def clear(folder: str | Path) -> None:
    """Remove a folder of ours, if it is there: in half the time of `shutil.rmtree`, which trusts nobody."""
    with suppress(FileNotFoundError):
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    clear(entry.path)
                else:
                    os.unlink(entry.path)  # noqa: PTH108  # quicker
        os.rmdir(folder)  # noqa: PTH106  # quicker


@cache
def _folder(pid: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="runner-simulation-", dir=folder_of()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def summary_of(seed: int) -> Summary:
    """Play one seed in this process's own folder."""
    gc.disable()  # a tenth of the time; what a history leaves is collected at its end
    history = play(seed, _folder(os.getpid()) / "play")
    summary = Summary(seed, tuple(history.faults), len(history.world.log), history.applies, history.kind)
    del history
    gc.collect()
    gc.freeze()  # modules and caches need not be gone through again
    return summary


def digest_of(history: History) -> str:
    """Names everything that happened: the same seed gives the same."""
    total = hashlib.sha256()
    for line in history.world.told():
        total.update(line.encode())
    return total.hexdigest()
