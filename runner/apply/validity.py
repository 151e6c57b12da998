"""Indexes as judged: which answers of a batch are none, by what the jobs want that ask again for such answers.

What a batch gave does not change, nor does what a schema says of it: it is found out once, and kept beside the index.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from contextlib import suppress

from runner.errors import StateError
from runner.job.calls import RAW
from runner.job.observed import FailureKind
from runner.job.packed import union
from runner.job.recorded import Batch, Stage
from runner.remotes.reading.verdict import Expected
from runner.results.invalid import Invalid, invalid_in
from runner.results.locate import OutcomeSource
from runner.state.memory import Objects

_HEAD = struct.Struct(">32sQ")  # SHA-256 of the rest, and how many bytes of it are the first set


def files_of(batch: Batch) -> list[str]:
    """The names of its raw files, as numbered in its index."""
    return [result.name for result in batch.results] or [RAW]


def whole_failure(batch: Batch) -> dict[str, object] | None:
    """What is known of a batch as a whole, for its requests without a line."""
    if batch.stage is not Stage.COLLECTED or batch.failure is None:
        return None
    told = {"code": batch.failure.code} if batch.failure.code else {}
    is_final = batch.failure.kind is FailureKind.BAD_INPUT
    return {**told, "message": batch.failure.message, "status": None, "retryable": not is_final}


def invalid_of(batch: Batch, wanted: Expected, source: Callable[[], OutcomeSource], objects: Objects) -> Invalid:
    """What was found of a batch, or is found now."""
    name = f"{batch.key}/invalid-{_made_of(batch, wanted)}"
    with suppress(OSError, ValueError, struct.error):
        return _read(objects.path(name).read_bytes())
    found = invalid_in(source(), wanted)
    rest = found.keys + found.for_good
    with suppress(StateError):  # then it is found out again
        objects.write(name, _HEAD.pack(hashlib.sha256(rest).digest(), len(found.keys)) + rest)
    return found


def _made_of(batch: Batch, wanted: Expected) -> str:
    return hashlib.sha256(f"invalid/1 {batch.index_sha256} {wanted!r}".encode()).hexdigest()[:32]


def _read(data: bytes) -> Invalid:
    sha256, size = _HEAD.unpack_from(data)
    rest = data[_HEAD.size :]
    if hashlib.sha256(rest).digest() != sha256:
        raise ValueError("not as it was written")
    return Invalid(rest[:size], rest[size:])


def together(parts: list[Invalid]) -> Invalid:
    """What several jobs say of one batch, each of its own requests."""
    return Invalid(*(union(list(keys)) for keys in zip(*parts, strict=True))) if parts else Invalid()
