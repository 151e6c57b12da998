"""The requests of a calls batch in a file of it, from when it is begun until it has ended: byte for byte as planned.

A dataset may be edited while its rows are asked one by one, and what goes out must be what was agreed to. Where each
line lies is packed beside it, by the number of its key, so that memory stays flat.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_left
from pathlib import Path
from typing import Any

import msgspec

from runner import files
from runner.errors import DataError, StateError
from runner.job.packed import KEY_BYTES
from runner.job.recorded import Batch
from runner.job.wireid import key_of
from runner.remotes.online import Request
from runner.state.memory import Objects

LINES, PLACES = "requests.jsonl", "requests.places"  # in the folder of the batch's objects
_PLACE = struct.Struct("<QI")  # where a line begins, and its bytes without the newline


class _Line(msgspec.Struct, gc=False):
    """A request line of any vendor: what it has besides is the same for a whole batch."""

    custom_id: str
    body: msgspec.Raw
    url: str = ""


_decode = msgspec.json.Decoder(_Line).decode


def keep(objects: Objects, batch: Batch, keys: bytes, source: Path) -> None:
    """Take the file of the lines of a batch, each with a newline, durably. keys: of the batch, sorted and packed.

    Raises StateError where there is no room, DataError for lines that are not of the batch.
    """
    places = bytearray(_PLACE.size * batch.rows)
    found, at = 0, 0
    with source.open("rb", files.BUFFER_BYTES) as lines:
        for line in lines:
            key = key_of(_decode(line).custom_id)
            number = -1 if key is None else _number_of(key, keys, batch.rows)
            if number < 0:
                raise DataError(f"the rows of `{batch.owner}` changed while they were read")
            _PLACE.pack_into(places, number * _PLACE.size, at, len(line) - 1)
            found, at = found + 1, at + len(line)
        os.fsync(lines.fileno())
    if found != batch.rows:
        raise DataError(f"the rows of `{batch.owner}` changed while they were read")
    target = objects.place(f"{batch.key}/{LINES}")
    try:
        source.replace(target)
        files.write(target.with_name(PLACES), bytes(places))  # its folder is synced after both
    except OSError as error:
        raise StateError(f"`{target}` cannot be written: {error.strerror}", hint=files.way_out(error)) from error


def forget(objects: Objects, batch: Batch) -> None:
    """They are needed no more."""
    for name in (PLACES, LINES):
        objects.path(f"{batch.key}/{name}").unlink(missing_ok=True)


def _number_of(key: bytes, keys: bytes, rows: int) -> int:
    """The place of a key among those of a batch; -1 where it is none of them."""
    at = bisect_left(range(rows), key, key=lambda n: keys[n * KEY_BYTES : (n + 1) * KEY_BYTES])
    return at if keys[at * KEY_BYTES : (at + 1) * KEY_BYTES] == key else -1


class Requests:
    """The same, to be read by any thread. Without its files, every request is None."""

    def __init__(self, objects: Objects, batch: Batch) -> None:
        self._batch = batch
        self._lines = _opened(objects.path(f"{batch.key}/{LINES}"))
        self._places = _opened(objects.path(f"{batch.key}/{PLACES}"))

    def size_of(self, number: int) -> int:
        """Bytes of its line; 0 where it is not kept."""
        return self._place(number)[1]

    def get(self, number: int) -> Request | None:
        """What is to be sent; None where it is not kept. Raises StateError for a file that is damaged."""
        at, size = self._place(number)
        if not size:
            return None
        try:
            line = _decode(files.bytes_at(self._lines, size, at))
        except (OSError, *_UNREADABLE) as error:
            raise StateError(f"the requests of `{self._batch.key}` are damaged") from error
        return Request(line.custom_id, line.url or self._batch.endpoint, bytes(line.body), self._batch.model)

    def _place(self, number: int) -> tuple[int, int]:
        if self._lines < 0 or self._places < 0:
            return 0, 0
        packed = files.bytes_at(self._places, _PLACE.size, number * _PLACE.size)
        found: tuple[Any, ...] = _PLACE.unpack(packed) if len(packed) == _PLACE.size else (0, 0)
        return found[0], found[1]

    def close(self) -> None:
        for descriptor in (self._lines, self._places):
            if descriptor >= 0:
                os.close(descriptor)
        self._lines = self._places = -1


_UNREADABLE = (msgspec.MsgspecError, ValueError)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return -1
