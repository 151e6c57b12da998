"""What is known of each request of one calls batch: the steps it went through, and the last of them, packed.

A batch may have 100,000 requests, each a call of its own: so they are numbers in arrays here, and no objects.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple, Protocol

import msgspec

from runner.job.capabilities import Content
from runner.job.outcomes import Outcome, pack
from runner.job.packed import KEY_BYTES


class CallStep(IntEnum):
    """The last thing that is known of one request. NONE: it was never sent."""

    NONE = 0
    INTENT = 1  # it may have been sent
    RECEIPT = 2  # the remote took it and gave an id
    ANSWERED = 3  # its line stands in the raw file: an answer or a failure
    CLEARED = 4  # nothing was accepted, or a person said so: it is free to be asked again
    HELD = 5  # nobody knows whether it was accepted: a person decides
    REPEATED = 6  # nobody knows, and it is free to be asked again all the same: maybe twice


JOURNAL, RAW = "journal", "0.jsonl"  # the files of a calls batch, in the folder of its objects
FREE = (CallStep.NONE, CallStep.CLEARED, CallStep.REPEATED)  # to be sent, or to be sent again


def resubmits(said: str, content: Content) -> bool:
    """Whether a call of unknown outcome is made again. said: `on_unknown` of its job; empty where it says nothing.

    A recording may take an hour and cost as much; one row costs a fraction of a cent, and whoever asks rows one by one
    wants them answered. So without a word recordings wait for a person, and rows are asked again and counted.
    """
    return said == "resubmit" or (not said and content is Content.TEXT)


AGAIN = (Outcome.RETRY, Outcome.UNPAID)  # asked again once the batch is over


class CallEntry(NamedTuple):
    """One thing that happened to the request number `ordinal` of the batch."""

    ordinal: int
    step: CallStep
    remote_id: str = ""
    account: str = ""
    outcome: Outcome | None = None
    offset: int = 0  # of its line in the raw file
    size: int = 0  # of that line, with its newline


class State(msgspec.Struct, frozen=True):
    """What is known of one request. The receipt and the line of an earlier try are forgotten at the next intent."""

    step: CallStep
    intents: int  # how often it was about to be sent; at most 255
    remote_id: str = ""
    account: str = ""
    outcome: Outcome | None = None
    offset: int = 0
    size: int = 0
    repeats: int = 0  # how often it was sent again though nobody knew what became of it; at most 255


class Journal(Protocol):
    """The log of one calls batch. Safe to share between threads."""

    states: States
    commits: int  # how many times something was made durable

    def append(self, *entries: CallEntry) -> None:
        """Returns once they are durable, all in one commit. Raises StateError, now and ever after, when that fails."""
        ...

    def answer(self, ordinal: int, outcome: Outcome, line: bytes) -> CallEntry:
        """Append a line, with its newline, to the raw file and say so in the journal, both durably."""
        ...

    def close(self) -> None: ...


class States:
    """The last state of every request, packed: about 30 bytes each, and its remote id."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.repeated = 0  # how often a call of unknown outcome was made again
        self.raw_bytes = 0  # where the last line that is known of ends
        self._steps = bytearray(rows)
        self._intents = bytearray(rows)
        self._repeats = bytearray(rows)
        self._outcomes = bytearray(rows)
        self._offsets = array("Q", bytes(8 * rows))
        self._sizes = array("I", bytes(4 * rows))
        self._names = bytearray()
        self._starts = array("Q", bytes(8 * rows))
        self._lengths = array("H", bytes(2 * rows))
        self._owners = array("I", bytes(4 * rows))
        self._accounts: dict[str, int] = {"": 0}

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, ordinal: int) -> State:
        step = CallStep(self._steps[ordinal])
        intents, repeats = self._intents[ordinal], self._repeats[ordinal]
        if step is CallStep.NONE or step is CallStep.INTENT:
            return State(step, intents, repeats=repeats)
        start = self._starts[ordinal]
        remote_id = self._names[start : start + self._lengths[ordinal]].decode()
        account = list(self._accounts)[self._owners[ordinal]]
        if step is not CallStep.ANSWERED:
            return State(step, intents, remote_id, account, repeats=repeats)
        outcome = Outcome(self._outcomes[ordinal])
        offset, size = self._offsets[ordinal], self._sizes[ordinal]
        return State(step, intents, remote_id, account, outcome, offset, size, repeats)

    def count(self, step: CallStep) -> int:
        return self._steps.count(step)

    def count_of(self, outcome: Outcome) -> int:
        """How many requests were answered so."""
        return self._outcomes.count(outcome)

    def at(self, step: CallStep) -> Iterator[int]:
        """Ordinals of the requests whose last step this is, ascending."""
        found = self._steps.find(step)
        while found >= 0:
            yield found
            found = self._steps.find(step, found + 1)

    def tell(self, entry: CallEntry) -> None:
        """Take an entry in. Raises IndexError for a request that the batch does not have."""
        ordinal = entry.ordinal
        if not 0 <= ordinal < self.rows:
            raise IndexError(ordinal)
        self._steps[ordinal] = entry.step
        self._outcomes[ordinal] = 0
        if entry.step is CallStep.INTENT:
            self._intents[ordinal] = min(self._intents[ordinal] + 1, 255)
            self._lengths[ordinal] = self._owners[ordinal] = 0
        elif entry.step is CallStep.REPEATED:
            self.repeated += 1
            self._repeats[ordinal] = min(self._repeats[ordinal] + 1, 255)
        elif entry.step is CallStep.RECEIPT:
            self._keep_receipt(ordinal, entry.remote_id.encode(), entry.account)
        elif entry.step is CallStep.ANSWERED:
            self._outcomes[ordinal] = 0 if entry.outcome is None else entry.outcome
            self._offsets[ordinal], self._sizes[ordinal] = entry.offset, entry.size
            self.raw_bytes = max(self.raw_bytes, entry.offset + entry.size)

    def _keep_receipt(self, ordinal: int, remote_id: bytes, account: str) -> None:
        self._starts[ordinal], self._lengths[ordinal] = len(self._names), len(remote_id)
        self._names += remote_id
        self._owners[ordinal] = self._accounts.setdefault(account, len(self._accounts))


def so_far(states: States, keys: bytes) -> tuple[bytes, bytes]:
    """An index of what is settled of a calls batch that goes on, held calls as LOST; and the keys still to be sent.

    keys: of the batch, sorted and packed; requests are numbered in their order. What failed and may be asked again is
    asked again only once the batch is over, so it counts as still to be sent.
    """
    settled, unsent = bytearray(), bytearray()
    for number in range(states.rows):
        key = keys[number * KEY_BYTES : (number + 1) * KEY_BYTES]
        state = states[number]
        if state.step in FREE or (state.step is CallStep.ANSWERED and state.outcome in AGAIN):
            unsent += key
        elif state.step is CallStep.ANSWERED and state.outcome is not None:
            settled += pack(key, state.outcome, 0, state.offset)
        elif state.step is CallStep.HELD:
            settled += pack(key, Outcome.LOST)
    return bytes(settled), bytes(unsent)


def check(entry: CallEntry, rows: int) -> None:
    """Raises ValueError for what could not be read back."""
    is_sound = 0 <= entry.ordinal < rows and entry.step is not CallStep.NONE
    if entry.step is CallStep.RECEIPT:
        is_sound = is_sound and bool(entry.remote_id) and max(len(entry.remote_id), len(entry.account)) <= 4096
    if entry.step is CallStep.ANSWERED:
        is_sound = is_sound and entry.outcome is not None
    if not is_sound:
        raise ValueError(f"not an entry of this batch: {entry}")
