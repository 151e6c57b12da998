"""One batch of single calls as the adapter is handed it: which row or recording each number is, and what is sent.

A request's number is its place among the batch's sorted keys, so it keeps it whatever its row or file is called. A
recording is read where it lies now; of a row what was planned is kept (`requests`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Protocol, Self

import msgspec

from runner.apply.purse import Rest
from runner.apply.requests import Requests
from runner.apply.session import Session
from runner.compile.audio import CompiledAudio
from runner.compile.compiled import CHARACTERS_PER_TOKEN
from runner.compile.job import CompiledJob
from runner.errors import BlockedError
from runner.job.calls import RAW, Journal, resubmits
from runner.job.capabilities import Content
from runner.job.infile import Run
from runner.job.observed import Observed
from runner.job.outcomes import answered
from runner.job.packed import KEY_BYTES, union, unpack, without
from runner.job.recorded import Batch
from runner.job.wireid import KEY_CHARACTERS, custom_id_of
from runner.remotes.audio import Recording
from runner.remotes.online import Request
from runner.remotes.vendor import Budget


class RowPlace(msgspec.Struct, frozen=True):
    """Where a wanted recording is now: whose job, and its row there."""

    compiled: CompiledAudio
    ordinal: int

    @property
    def file(self) -> str:
        return self.compiled.files[self.ordinal].path


class Asked(Protocol):
    """What the requests of a batch are. Safe to share between threads."""

    def why_unwanted(self, number: int) -> str:
        """Why a request is not to be sent any more, in words; empty where it is."""
        ...

    def request(self, number: int) -> Recording | Request: ...

    def tokens(self, number: int) -> int: ...

    def fields(self, number: int) -> Mapping[str, str]: ...

    def name(self, number: int) -> str:
        """What a user calls it."""
        ...

    def custom_id(self, number: int) -> str: ...

    def close(self) -> None: ...


class Work:
    """Implements `remotes.vendor.Work`. Its journal is opened under the project's lock, when it is asked for."""

    def __init__(self, session: Session, batch: Batch) -> None:
        self.batch = batch
        self._session = session
        self._lock = threading.Lock()  # the first look makes a table

    @cached_property
    def _asked(self) -> Asked:
        if self.batch.content is Content.RECORDING:
            return _Recordings(self._session, self.keys)
        return _Rows(self._session, self.batch, self.keys)

    def _what(self) -> Asked:
        with self._lock:
            return self._asked

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
    def _read_back(self) -> frozenset[bytes]:
        """What an output answered since the batch was begun: this state was restored, or another clone asked."""
        later = [
            entry.index
            for entry in self._session.recorded().batches
            if entry.batch.is_read_back and entry.batch.sequence > self.batch.sequence
        ]
        return frozenset(key for index in later for key in unpack(answered(index)))

    def key(self, number: int) -> bytes:
        return _key(self.keys, number)

    def why_not(self, number: int) -> str:
        if why := self._what().why_unwanted(number):
            return why
        with self._lock:
            return "an output answers it" if self.key(number) in self._read_back else ""

    def request(self, number: int) -> Recording | Request:
        return self._what().request(number)

    def tokens(self, number: int) -> int:
        return self._what().tokens(number)

    def fields(self, number: int) -> Mapping[str, str]:
        return self._what().fields(number)

    def name(self, number: int) -> str:
        return self._what().name(number)

    def custom_id(self, number: int) -> str:
        return self._what().custom_id(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if "journal" in self.__dict__:
            self.journal.close()
        if "_asked" in self.__dict__:
            self._asked.close()


def _key(keys: bytes, number: int) -> bytes:
    return keys[number * KEY_BYTES : (number + 1) * KEY_BYTES]


class _Recordings:
    """Recordings, each where it lies now."""

    def __init__(self, session: Session, keys: bytes) -> None:
        self._keys = keys
        self._places = places_of(session.compiled, keys)

    def _place(self, number: int) -> RowPlace | None:
        """Where the recording is found now; None when no job wants it any more."""
        return self._places.get(_key(self._keys, number))

    def why_unwanted(self, number: int) -> str:
        return "" if self._place(number) is not None else "no job wants it any more"

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
            custom_id=self.custom_id(number),
        )

    def tokens(self, number: int) -> int:
        return 0

    def fields(self, number: int) -> Mapping[str, str]:
        place = self._place(number)
        return place.compiled.form if place else {}

    def name(self, number: int) -> str:
        place = self._place(number)
        return place.file if place else _key(self._keys, number).hex()

    def custom_id(self, number: int) -> str:
        return custom_id_of(self.name(number), _key(self._keys, number))

    def close(self) -> None:
        """Nothing is held open."""


class _Rows:
    """Rows, each as it was planned."""

    def __init__(self, session: Session, batch: Batch, keys: bytes) -> None:
        self._keys = keys
        self._requests = Requests(session.objects, batch)
        self._unwanted = frozenset(unpack(without(keys, _wanted(session, batch))))
        limits = (batch.params.get(name) for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"))
        self._longest = next((limit for limit in limits if isinstance(limit, int)), 0)
        compiled = session.compiled.get(batch.owner)
        self._of_a_row = compiled.tokens_with_files() if isinstance(compiled, CompiledJob) else None

    def why_unwanted(self, number: int) -> str:
        if _key(self._keys, number) in self._unwanted:
            return "no job wants it any more"
        return "" if self._requests.size_of(number) else "it is asked anew, in another batch"

    def request(self, number: int) -> Request:
        found = self._requests.get(number)
        assert found is not None, "what is not kept is not sent"
        return found

    def tokens(self, number: int) -> int:
        asked = self._requests.size_of(number) // CHARACTERS_PER_TOKEN if self._of_a_row is None else self._of_a_row
        return asked + self._longest

    def fields(self, number: int) -> Mapping[str, str]:
        return {}

    def name(self, number: int) -> str:
        return self.custom_id(number)[: -KEY_CHARACTERS - 1]

    def custom_id(self, number: int) -> str:
        found = self._requests.get(number)
        key = _key(self._keys, number)
        return found.custom_id if found else custom_id_of(key.hex(), key)

    def close(self) -> None:
        self._requests.close()


def _wanted(session: Session, batch: Batch) -> Run:
    """The keys that jobs of its provider want now. Of one whose rows cannot be told now, all is still wanted."""
    known = {job.address for job in session.desired}
    if batch.owner not in known and any(job.address == batch.owner for job in session.project.jobs):
        return session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    name = batch.origin.provider
    return union([session.keys_of(job) for job in session.desired if job.provider == name])


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
        answered=session.heard,
        resubmits=job is not None and resubmits(job.on_unknown, batch.content),  # of one that is gone a person decides
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
            for ordinal, key in enumerate(unpack(job.wanted.keys[:])):
                if key in wanted:
                    found.setdefault(key, RowPlace(job, ordinal))
    return found
