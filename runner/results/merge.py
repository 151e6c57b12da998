"""One line for every wanted request, in input order, whatever the batches did.

A line is spliced from bytes that exist already: the row as it was read, the response as it was downloaded. It holds
no newline, because neither of them does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from runner.compile.compiled import RowView
from runner.errors import StateError
from runner.job.outcomes import Outcome
from runner.job.packed import KEY_BYTES
from runner.results.answer import NULL
from runner.results.locate import Shown, Source
from runner.results.splice import Merged, Splicer

_OK = int(Outcome.OK)


class Writer(Protocol):
    """Where merged lines go, see `export`."""

    def write(self, merged: Merged) -> None: ...


class Accounting(msgspec.Struct, frozen=True):
    """ok + error + held + missing = wanted, always."""

    wanted: int
    ok: int
    error: int
    held: int
    missing: int  # no outcome yet; those in flight included
    in_flight: int
    repaired: int  # lines in which bytes that are not JSON were put right


def _unsettled(code: str, message: str) -> bytes:
    return msgspec.json.encode({"code": code, "message": message, "status": None, "retryable": False})


_MISSING = _unsettled("missing", "not asked yet")
_HELD = _unsettled("held", "it is not known whether the remote got this request")
_IN_FLIGHT = _unsettled("in_flight", "a batch that holds this request is running")


def merge(
    rows: Iterable[RowView],
    shown: Shown,
    sources: Sequence[Source],
    writer: Writer,
    *,
    in_flight: bytes = b"",
    held: bytes = b"",
    parse_json: bool = False,
) -> Accounting:
    """Write one line a row. in_flight, held: sorted packed keys; a row in one of them without an answer is that.

    Raises StateError when a raw file does not hold what its index says, or rows and `shown` differ in number.
    """
    places, owners, total, write = shown.places, shown.sources, len(shown), writer.write
    splicer = Splicer(sources, parse_json=parse_json)
    answered, line_of = splicer.answered, splicer.line
    ok = error = waiting = running = missing = number = 0
    try:
        for number, row in enumerate(rows, 1):
            if number > total:
                raise _changed()
            value = places[number - 1]
            if value >> 60 == _OK:
                ok += 1
                owner = owners[number - 1]
                write(answered(owner, value, row) or line_of(owner, value, row))
                continue
            custom_id, row_json, digest = row
            if _contains(held, digest):
                waiting += 1
                reason = _HELD
            elif _contains(in_flight, digest):
                running += 1
                reason = _IN_FLIGHT
            elif value:
                error += 1
                write(line_of(owners[number - 1], value, row))
                continue
            else:
                missing += 1
                reason = _MISSING
            write(Merged(custom_id, row_json, NULL, NULL, reason, None, digest.hex(), None))
    finally:
        splicer.close()
    if number != total:
        raise _changed()
    assert ok + error + waiting + missing + running == number
    return Accounting(number, ok, error, waiting, missing + running, running, splicer.repaired)


def _contains(keys: bytes, digest: bytes) -> bool:
    """Whether sorted packed keys hold the key of this digest."""
    if not keys:
        return False
    count, key = len(keys) // KEY_BYTES, digest[:KEY_BYTES]
    at = bisect_left(range(count), key, key=lambda i: keys[i * KEY_BYTES : (i + 1) * KEY_BYTES])
    return keys[at * KEY_BYTES : (at + 1) * KEY_BYTES] == key


def _changed() -> StateError:
    return StateError("the dataset changed while its results were written", hint="run the command again")
