"""One wave of recordings: which of them were asked for, with what receipt, and where each answer lies.

A recording's number in its wave is its place among the wave's sorted keys, so it keeps it whatever its file is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from runner.apply.session import Session
from runner.compile.audio import CompiledAudio
from runner.job.observed import Counts, Phase
from runner.job.outcomes import Outcome, answered
from runner.job.packed import KEY_BYTES, unpack
from runner.job.recorded import REMOTE, Batch
from runner.job.wireid import custom_id_of
from runner.remotes.audio import Recording
from runner.state.wave import FREE, RAW, States, Step

SENDING, WAITING = "sending", "waiting for answers"  # in Batch.raw_status


class Place(NamedTuple):
    """Where a wanted recording is now: whose job, and its row there."""

    compiled: CompiledAudio
    ordinal: int

    @property
    def file(self) -> str:
        return self.compiled.files[self.ordinal].path

    def recording(self) -> Recording:
        """What the remote is sent. Raises DataError when the file changed since it was hashed."""
        asked = self.compiled.recording(self.ordinal)
        return Recording(
            source=asked.source,
            filename=asked.filename,
            size_bytes=asked.size_bytes,
            path=asked.path,
            endpoint_id=asked.endpoint_id,
            fields=asked.fields,
            sha256=asked.sha256,
        )


class Wave:
    """A wave, opened under the project's lock."""

    def __init__(self, session: Session, batch: Batch) -> None:
        self.batch = batch
        self._keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
        self.journal = session.memory.journal(batch.key, batch.rows)
        self._places: Mapping[bytes, Place] | None = None
        self._read_back: frozenset[bytes] | None = None
        self._session = session

    @property
    def states(self) -> States:
        return self.journal.states

    def raw(self) -> Path:
        """The file of the answers so far, to be read."""
        return self._session.objects.path(f"{self.batch.key}/{RAW}")

    def key(self, number: int) -> bytes:
        return self._keys[number * KEY_BYTES : (number + 1) * KEY_BYTES]

    def place(self, number: int) -> Place | None:
        """Where the recording is found now; None when no job wants it any more."""
        if self._places is None:
            self._places = places_of(self._session.compiled, self._keys)
        return self._places.get(self.key(number))

    def is_read_back(self, number: int) -> bool:
        """Whether an output answered it since the wave was begun: this state was restored, or another clone asked."""
        if self._read_back is None:
            later = [
                entry.index
                for entry in self._session.recorded().batches
                if entry.batch.adopted_from not in ("", REMOTE) and entry.batch.sequence > self.batch.sequence
            ]
            self._read_back = frozenset(key for index in later for key in unpack(answered(index)))
        return self.key(number) in self._read_back

    def name(self, number: int) -> str:
        """What a user calls it."""
        place = self.place(number)
        return place.file if place else self.key(number).hex()

    def custom_id(self, number: int) -> str:
        return custom_id_of(self.name(number), self.key(number))

    def as_seen(self) -> Batch:
        """The wave's record with what its journal says now."""
        is_sending = any(self.states.count(step) for step in FREE)
        return self.batch.but(
            phase=Phase.RUNNING,
            raw_status=SENDING if is_sending else WAITING,
            counts=counts_of(self.states),
            possible_duplicates=self.states.repeated,
        )

    def close(self) -> None:
        self.journal.close()


def places_of(compiled: Mapping[str, object], keys: bytes) -> dict[bytes, Place]:
    """The recordings of some keys among all that are wanted; the first job in order that wants one."""
    wanted = set(unpack(keys))
    found: dict[bytes, Place] = {}
    for address in sorted(compiled):
        job = compiled[address]
        if isinstance(job, CompiledAudio):
            for ordinal, key in enumerate(unpack(job.wanted.keys)):
                if key in wanted:
                    found.setdefault(key, Place(job, ordinal))
    return found


def counts_of(states: States) -> Counts:
    answered = states.count_of(Outcome.OK)
    return Counts(len(states), answered, states.count(Step.ANSWERED) - answered)
