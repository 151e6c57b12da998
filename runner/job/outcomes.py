"""What became of one request in one batch, and the packed index that says where its line is."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator
from enum import IntEnum
from functools import cache
from typing import NamedTuple

from runner.job.infile import Run
from runner.job.packed import KEY_BYTES, chosen, unpack

ENTRY_BYTES = 24
NO_LINE = (1 << 52) - 1
_ENTRY = struct.Struct(f">{KEY_BYTES}sQ")


class Outcome(IntEnum):
    """The outcome of one request in one batch."""

    OK = 1  # an answer
    FINAL = 2  # an error that asking again will not change
    RETRY = 3  # 408, 409, 429, 5xx, expired, timed out, or no line at all: may be asked again
    LOST = 4  # cancelled or vanished before it answered: a person decides
    REJECTED = 5  # the whole batch was refused for its input
    UNPAID = 6  # the account could not pay: nothing was asked, and no attempt is used up
    # What an answer is held to is known by its job, so these two are in no index on record: an index is judged when it
    # is read, and only for jobs that ask again for answers that are none.
    INVALID = 7  # an answer that is none: one attempt of several
    INVALID_FOR_GOOD = 8  # the same, read back from a file that says that its attempts are used up
    GAVE_UP = 9  # its batch took too long and was stopped: an error, until a person has it asked again
    LATE = 10  # the same, and it is asked again; that was no attempt


# Of a row, of a batch and of a call alike: no waiting cures these, and the requests are none the worse for it.
OUT_OF_MONEY = frozenset(
    (
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_balance",
        "insufficient_funds",
        "insufficient_credits",
        "payment_required",
    )
)


def is_out_of_money(code: str, status: int | None = None) -> bool:
    """Whether an error says that the account cannot pay, by its code or its HTTP status."""
    return status == 402 or code.strip().lower() in OUT_OF_MONEY


class Unsettled(IntEnum):
    """Where a wanted request without an outcome stands. Its `word` is the same in files, sums and JSON."""

    NOT_SENT = 1
    IN_FLIGHT = 2
    UNKNOWN = 3  # the remote may have it or not
    NEEDS_DECISION = 4  # a person decides whether it is asked again

    @property
    def word(self) -> str:
        return self.name.lower()


class IndexEntry(NamedTuple):
    """One line of an index: `file` is the number of the raw file, `offset` where its line begins."""

    key: bytes
    outcome: Outcome
    file: int
    offset: int  # NO_LINE where the remote gave none


ANSWERS = frozenset((Outcome.OK, Outcome.INVALID, Outcome.INVALID_FOR_GOOD))  # each was paid for
_INVALID = ANSWERS - {Outcome.OK}
_LEFT = frozenset((Outcome.RETRY, Outcome.LOST))
_HOLDING = frozenset((Outcome.OK, Outcome.INVALID_FOR_GOOD))


def pack(key: bytes, outcome: int, file: int = 0, offset: int = NO_LINE) -> bytes:
    """24 bytes: key, then outcome (4 bits), file (8 bits) and offset (52 bits), big-endian."""
    return _ENTRY.pack(key, outcome << 60 | file << 52 | offset)


def place(value: int) -> tuple[int, int, int]:
    """(outcome, file, offset) of the eight bytes after the key."""
    return value >> 60, value >> 52 & 0xFF, value & NO_LINE


def answered(index: Run) -> bytes:
    """The keys of an index that have an answer which holds, packed, in its order."""
    return _with_outcome(index, _HOLDING)


def paid(index: Run) -> bytes:
    """The keys of an index that have an answer, be it one that is asked for again, packed, in its order."""
    return _with_outcome(index, ANSWERS)


def invalid(index: Run) -> bytes:
    """The keys of an index as judged whose answer is none, packed, in its order."""
    return _with_outcome(index, _INVALID)


def settled(index: Run) -> bytes:
    """The keys of an index that have an answer, or an error that asking again will not change, packed, in its order."""
    return _with_outcome(index, _HOLDING | {Outcome.FINAL, Outcome.REJECTED, Outcome.GAVE_UP})


def unanswered(index: Run) -> bytes:
    """The keys of an index that have no answer, packed, in its order."""
    return _with_outcome(index, frozenset(Outcome) - ANSWERS)


def good(index: Run) -> bytes:
    """The keys of an index that have an answer which nobody judged to be none, packed, in its order."""
    return _with_outcome(index, frozenset((Outcome.OK,)))


def _with_outcome(index: Run, outcomes: Collection[Outcome]) -> bytes:
    """The keys of an index that have one of these outcomes. Slices with a step: nothing is unpacked of a million."""
    index = index[:]
    words = array("Q", index)  # three 64-bit words an entry, of which two are its key
    keys = array("Q", bytes(len(words) // 3 * KEY_BYTES))
    keys[0::2], keys[1::2] = words[0::3], words[1::3]
    return chosen(keys.tobytes(), index[KEY_BYTES::ENTRY_BYTES].translate(_mask(frozenset(outcomes))))


@cache
def _mask(outcomes: frozenset[Outcome]) -> bytes:
    """For each first byte of what follows a key, whether it has one of these outcomes."""
    return bytes(first >> 4 in outcomes for first in range(256))


def left_behind(index: bytes, outcome: Outcome) -> bytes:
    """An index in which what may be asked again, or waits for a person, has this outcome, and no line that says why."""
    return b"".join(
        [
            pack(key, outcome) if value >> 60 in _LEFT else _ENTRY.pack(key, value)
            for key, value in _ENTRY.iter_unpack(index)
        ]
    )


def as_judged(index: bytes, keys: bytes, outcome: Outcome) -> bytes:
    """An index in which these answers have another outcome. keys: sorted; all of them are in it."""
    judged, at = bytearray(index), 0
    for key in unpack(keys):
        at = bisect_left(range(len(index) // ENTRY_BYTES), key, at, key=lambda n: _key_at(index, n))
        judged[at * ENTRY_BYTES + KEY_BYTES] = judged[at * ENTRY_BYTES + KEY_BYTES] & 0x0F | outcome << 4
    return bytes(judged)


def _key_at(index: bytes, number: int) -> bytes:
    return index[number * ENTRY_BYTES : number * ENTRY_BYTES + KEY_BYTES]


def refused(index: Run) -> Iterator[IndexEntry]:
    """The entries of an index that are errors for good, and have a line that says why."""
    for key, value in _ENTRY.iter_unpack(index[:]):
        if value >> 60 == Outcome.FINAL and value & NO_LINE != NO_LINE:
            _, file, offset = place(value)
            yield IndexEntry(key, Outcome.FINAL, file, offset)


def with_a_line(index: Run) -> bytes:
    """The keys of an index that some result file says something about, packed, in its order."""
    return b"".join([key for key, value in _ENTRY.iter_unpack(index[:]) if value & NO_LINE != NO_LINE])


def entries(index: bytes) -> list[IndexEntry]:
    """A whole index unpacked: for tests and small answers only."""
    return [IndexEntry(key, Outcome((v := place(value))[0]), v[1], v[2]) for key, value in _ENTRY.iter_unpack(index)]
