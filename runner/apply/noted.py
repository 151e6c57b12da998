"""What was known of a job when its results were written, kept from one command to the next: see `plan.answered`."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import msgspec

from runner import files
from runner.job.infile import Run
from runner.job.recorded import JobRecord
from runner.plan.answered import Answered

_FOLDER = "answered"


class _Kept(msgspec.Struct, array_like=True):
    keys_object: str  # the keys are there already
    open: bytes
    batches: dict[str, int]
    retries: list[str]


def read(caches: Path, record: JobRecord, keys: Run) -> Answered | None:
    """What is kept of a job, whose record has these keys; None where nothing is, or it is damaged, or of others."""
    try:
        data = memoryview(_place(caches, record).read_bytes())
        if hashlib.sha256(data[32:]).digest() != data[:32]:
            return None
        kept = msgspec.msgpack.decode(data[32:], type=_Kept)
    except (OSError, msgspec.MsgspecError):
        return None
    if kept.keys_object != record.keys_object:
        return None
    return Answered(keys, kept.open, kept.batches, kept.retries)


def write(caches: Path, record: JobRecord, answered: Answered | None) -> None:
    """Keep it, where there is something to keep."""
    path = _place(caches, record)
    with suppress(OSError):  # it saves work, and no more
        if answered is None:
            path.unlink(missing_ok=True)
        elif caches.parent.is_dir():
            kept = _Kept(record.keys_object, answered.open, dict(answered.batches), list(answered.retries))
            data = msgspec.msgpack.encode(kept)
            files.write(path, hashlib.sha256(data).digest() + data, is_durable=False)


def _place(caches: Path, record: JobRecord) -> Path:
    return caches / _FOLDER / hashlib.sha256(record.address.encode()).hexdigest()[:32]
