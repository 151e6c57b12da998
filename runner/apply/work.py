"""One batch of single calls as the adapter is handed it: which recording each number is, and where that lies now.

A recording's number is its place among the batch's sorted keys, so it keeps it whatever its file is called.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

from runner.apply.purse import Rest
from runner.apply.session import Session
from runner.compile.audio import CompiledAudio
from runner.errors import BlockedError
from runner.job.calls import RAW, Journal
from runner.job.observed import Observed
from runner.job.outcomes import answered
from runner.job.packed import KEY_BYTES, unpack
from runner.job.recorded import Batch
from runner.job.wireid import custom_id_of
from runner.remotes.audio import Recording
from runner.remotes.vendor import Budget


class RowPlace(NamedTuple):
    """Where a wanted recording is now: whose job, and its row there."""

    compiled: CompiledAudio
    ordinal: int

    @property
    def file(self) -> str:
        return self.compiled.files[self.ordinal].path


class Work:
    """Implements `remotes.vendor.Work`. Its journal is opened under the project's lock, when it is asked for."""

    def __init__(self, session: Session, batch: Batch) -> None:
        self.batch = batch
        self._session = session
        self._lock = threading.Lock()  # the first look makes a table

    @cached_property
    def journal(self) -> Journal:
        return self._session.memory.journal(self.batch.key, self.batch.rows)

    def raw(self) -> Path:
        """The file of the answers so far, to be read."""
        return self._session.objects.path(f"{self.batch.key}/{RAW}")

    @cached_property
    def keys(self) -> bytes:
        return self._session.objects.read(f"{self.batch.key}/keys", self.batch.keys_sha256)

    @cached_property
    def _places(self) -> Mapping[bytes, RowPlace]:
        return places_of(self._session.compiled, self.keys)

    @cached_property
    def _read_back(self) -> frozenset[bytes]:
        """What an output answered since the batch was begun: this state was restored, or another clone asked."""
        later = [
            entry.index
            for entry in self._session.recorded().batches
            if entry.batch.is_read_back and entry.batch.sequence > self.batch.sequence
        ]
        return frozenset(key for index in later for key in unpack(answered(index)))

    def key(self, number: int) -> bytes:
        return self.keys[number * KEY_BYTES : (number + 1) * KEY_BYTES]

    def _place(self, number: int) -> RowPlace | None:
        """Where the recording is found now; None when no job wants it any more."""
        with self._lock:
            return self._places.get(self.key(number))

    def why_not(self, number: int) -> str:
        if self._place(number) is None:
            return "no job wants it any more"
        with self._lock:
            return "an output answers it" if self.key(number) in self._read_back else ""

    def request(self, number: int) -> Recording:
        place = self._place(number)
        assert place is not None, "what no job wants is not sent"
        asked = place.compiled.recording(place.ordinal)
        return Recording(
            source=asked.source,
            filename=asked.filename,
            size_bytes=asked.size_bytes,
            path=asked.path,
            endpoint_id=asked.endpoint_id,
            fields=asked.fields,
            sha256=asked.sha256,
        )

    def fields(self, number: int) -> Mapping[str, str]:
        place = self._place(number)
        return place.compiled.form if place else {}

    def name(self, number: int) -> str:
        """What a user calls it."""
        place = self._place(number)
        return place.file if place else self.key(number).hex()

    def custom_id(self, number: int) -> str:
        return custom_id_of(self.name(number), self.key(number))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if "journal" in self.__dict__:
            self.journal.close()


def budget_of(session: Session, batch: Batch, refusal: Callable[[Rest], BlockedError | None]) -> Budget:
    """How far this command may carry a batch on. refusal: why what is left of it to send may not be sent."""
    job = next((job for job in session.desired if job.address == batch.owner), None)
    return Budget(
        refusal=lambda unsent: refusal(Rest(batch, unsent)),
        tell=lambda seen: session.tell(as_seen(batch, seen)),
        heard=lambda: session.seen_at.update({batch.key: session.clock.now()}),
        is_stopped=session.stop.is_set,
        pool=session.pool,
        parallelism=session.parallelism,
        poll_seconds=session.poll_seconds,
        resubmits=job is not None and job.on_unknown == "resubmit",
        max_attempts=job.max_attempts if job else 1,
    )


def as_seen(batch: Batch, seen: Observed) -> Batch:
    """Its record with what was just seen of it."""
    return batch.but(phase=seen.phase, raw_status=seen.raw_status, counts=seen.counts)


def places_of(compiled: Mapping[str, object], keys: bytes) -> dict[bytes, RowPlace]:
    """The recordings of some keys among all that are wanted; the first job in order that wants one."""
    wanted = set(unpack(keys))
    found: dict[bytes, RowPlace] = {}
    for address in sorted(compiled):
        job = compiled[address]
        if isinstance(job, CompiledAudio):
            for ordinal, key in enumerate(unpack(job.wanted.keys)):
                if key in wanted:
                    found.setdefault(key, RowPlace(job, ordinal))
    return found
