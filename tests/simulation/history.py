"""What is kept of one history for the checker: the remote, the decisions people took, and where everything ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from runner.job.outcomes import Unsettled
from runner.results.names import RESULTS
from runner.results.own import MAY_BE_SENT
from runner.state.home import Home
from tests.simulation.calls import CallRemote
from tests.simulation.memory import MemoryStore, SimulatedObjects
from tests.simulation.provider import SimulatedProvider
from tests.simulation.remote import Remote, RemoteBatch
from tests.simulation.rows import JobSpec
from tests.simulation.world import World


@dataclass(slots=True)
class Applier:
    """Somebody who runs the commands, with a checkout and a memory."""

    name: str
    root: Path  # of the project: outputs lie below it
    home: Home
    store: MemoryStore
    objects: SimulatedObjects
    provider: SimulatedProvider

    def prepare(self) -> None:
        """Make the folders there are before the first command."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.home.folder.parent.mkdir(parents=True, exist_ok=True)
        self.home.prepare()


@dataclass(slots=True)
class Asked:
    """A decision to ask again."""

    at: float
    keys: frozenset[bytes]
    replaces: bool
    decided: datetime
    who: str = ""
    generation: int = 0  # that it opened, among those of whoever decided


@dataclass(slots=True)
class Forgotten:
    """Local state that was lost; `kept` were answered in the outputs that were left."""

    at: float
    who: str
    kept: frozenset[bytes]


@dataclass(slots=True)
class Consent:
    """A person said that what is in doubt at the remote is somebody else's: of these batches it was not so."""

    at: float
    who: str
    unknown: frozenset[str]


@dataclass(slots=True)
class Stopped:
    """Requests of a batch that a person cancelled before the remote had taken it."""

    at: float
    keys: frozenset[bytes]


@dataclass(slots=True)
class History:
    """One history, and what was found wrong with it."""

    seed: int
    world: World
    remote: Remote
    max_attempts: int
    kind: str
    is_tame: bool  # one applier, and a create is in the list when the card says so
    appliers: list[Applier] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    forgotten: list[Forgotten] = field(default_factory=list)
    stopped: list[Stopped] = field(default_factory=list)
    consents: list[Consent] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    outcomes: dict[tuple[str, bytes], tuple[float, int]] = field(default_factory=dict)  # by applier: seen when, which
    shown: dict[tuple[str, bytes], tuple[float, str]] = field(default_factory=dict)  # by applier: answers in outputs
    states: dict[str, list[tuple[JobSpec, list[int]]]] = field(default_factory=dict)  # by applier, at the end
    online: CallRemote | None = None  # the other side of the remote, where rows are asked one by one
    limits: list[tuple[float, dict[str, int]]] = field(default_factory=list)  # from when on: by job, how long it waits
    applies: int = 0
    is_hasty: bool = False  # a state was lost before a list showed all that it knew of
    is_damaged: bool = False  # a state that two shared without a lock, and an apply said so
    runs_late: bool = False  # a create that was given up may take effect, with all of its rows
    may_reopen: bool = False  # whether something that was brought home can be in flight again

    @property
    def shares_a_state(self) -> bool:
        """Whether two appliers work in one folder, and hold no lock."""
        return len(self.appliers) > 1 and self.appliers[0].store is self.appliers[1].store

    def blame(self, words: str) -> None:
        """Something is wrong. The words up to the first colon say of what kind."""
        self.faults.append(words)
        self.world.note("CHECK", words)

    def asked_since(self, key: bytes, at: float, *, replaces: bool = False) -> bool:
        """Whether somebody decided to ask this again after `at`."""
        return any(key in one.keys and one.at >= at and (one.replaces or not replaces) for one in self.asked)

    def accepted(self, earlier: RemoteBatch, later: RemoteBatch) -> bool:
        """Whether somebody took the earlier batch for a stranger's before he sent the later one."""
        return any(
            one.who == later.who and earlier.id in one.unknown and one.at <= later.sent_at for one in self.consents
        )

    def forgotten_since(self, at: float, who: str) -> bool:
        """Whether an applier lost its state after `at`."""
        return any(one.at >= at and one.who == who for one in self.forgotten)


class _Body(msgspec.Struct):
    text: str | None = None


class _Error(msgspec.Struct):
    code: str | None = None


class Line(msgspec.Struct):
    """One line of a results file. What was heard in a recording stands in its response."""

    digest: str
    custom_id: str = ""
    answer: str | None = None
    response: _Body | None = None
    error: _Error | None = None
    origin: str | None = None

    def __post_init__(self) -> None:
        if self.answer is None and self.response is not None:
            self.answer = self.response.text

    @property
    def is_held(self) -> bool:
        return self.error is not None and self.error.code in MAY_BE_SENT

    @property
    def is_unsettled(self) -> bool:
        if self.origin is not None:  # an outcome, though the code of a call that was not sent is such a word, too
            return False
        return self.error is not None and self.error.code in [state.word for state in Unsettled]

    @property
    def key(self) -> bytes:
        return bytes.fromhex(self.digest)[:16]


_decode = msgspec.json.Decoder(Line).decode_lines


def lines_in(path: Path) -> list[Line]:
    """The lines of a results file, or of the one in a folder of transcripts; none where there is no file."""
    try:
        return _decode(path.read_bytes())
    except FileNotFoundError:
        return []
    except IsADirectoryError:
        return lines_in(path / RESULTS)
