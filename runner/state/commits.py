"""The bytes of the journal of a calls batch: a header, then commits of `mark, size, checksum, entries`.

Only the last commit can be torn by a crash: the next is not begun before it is durable. A broken commit with a sound
one after it is damage, and nothing is guessed.
"""

from __future__ import annotations

import secrets
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from runner.errors import StateError
from runner.job.calls import CallEntry, CallStep, States
from runner.job.outcomes import Outcome

_MAGIC = b"runner-wave/1\n\0\0"
_HEADER = struct.Struct("<16s16sII")  # magic, id of this journal, requests, checksum of these
_COMMIT = struct.Struct("<2sII")  # mark, bytes of entries, checksum
_MARK = b"\xf5\xc3"  # not UTF-8
_LONGEST = 1 << 26  # bytes of one commit
_PLAIN = struct.Struct("<BI")  # step, ordinal
_RECEIPT = struct.Struct("<BIHH")  # and the bytes of id and account, which follow
_ANSWERED = struct.Struct("<BIBQI")  # and outcome, offset, size
_STEPS = dict(enumerate(CallStep))
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
DAMAGED = "restore it from a backup; or move `.runner/` away, and say what may be paid for again"


def header(rows: int) -> bytes:
    """The beginning of a journal that has an id of its own."""
    head = _HEADER.pack(_MAGIC, secrets.token_bytes(16), rows, 0)[:-4]
    return head + struct.pack("<I", zlib.crc32(head))


def commit(identity: bytes, start: int, entries: list[CallEntry]) -> bytes:
    """One commit, for the journal of that id and for byte `start` of it."""
    body = b"".join(map(_packed, entries))
    return _COMMIT.pack(_MARK, len(body), _checksum(identity, start, body)) + body


class Read:
    """A journal read to the end of its last whole commit: its id, its states, and where that end is.

    Raises StateError: damaged, or not one that we know.
    """

    def __init__(self, path: Path, data: bytes) -> None:
        self._path = path
        if len(data) < _HEADER.size:
            raise self._damaged("its beginning is cut off")
        magic, self.id, rows, checksum = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            raise StateError(f"`{path}` is not a journal that this version of runner knows", hint=DAMAGED)
        if checksum != zlib.crc32(data[: _HEADER.size - 4]):
            raise self._damaged("its beginning was changed")
        self.states = States(rows)
        self.size = _HEADER.size
        while (end := self._commit_end(data, self.size)) is not None:
            self._take(data, self.size + _COMMIT.size, end)
            self.size = end
        if self._has_commit_after(data, self.size):
            raise self._damaged(f"it was changed at byte {self.size:,}")

    def _commit_end(self, data: bytes, start: int) -> int | None:
        """Where the sound commit that starts here ends; None where there is no such thing."""
        if len(data) < start + _COMMIT.size:
            return None
        mark, size, checksum = _COMMIT.unpack_from(data, start)
        first = start + _COMMIT.size
        if mark != _MARK or size > _LONGEST or len(data) < first + size:
            return None
        is_sound = checksum == _checksum(self.id, start, data[first : first + size])
        return first + size if is_sound else None

    def _has_commit_after(self, data: bytes, start: int) -> bool:
        found = data.find(_MARK, start + 1)
        while found >= 0:
            if self._commit_end(data, found) is not None:
                return True
            found = data.find(_MARK, found + 1)
        return False

    def _take(self, data: bytes, start: int, end: int) -> None:
        try:
            for entry in _entries(data, start, end):
                self.states.tell(entry)
        except (struct.error, ValueError, LookupError) as error:
            raise self._damaged(f"the entries at byte {start:,} cannot be read") from error

    def _damaged(self, how: str) -> StateError:
        return StateError(f"the journal `{self._path}` is damaged: {how}", hint=DAMAGED)


def _checksum(identity: bytes, start: int, entries: bytes) -> int:
    """Over where a commit stands as well, so that stale or moved bytes never count."""
    return zlib.crc32(entries, zlib.crc32(identity + struct.pack("<QI", start, len(entries))))


def _packed(entry: CallEntry) -> bytes:
    if entry.step is CallStep.RECEIPT:
        remote_id, account = entry.remote_id.encode(), entry.account.encode()
        return _RECEIPT.pack(entry.step, entry.ordinal, len(remote_id), len(account)) + remote_id + account
    if entry.step is CallStep.ANSWERED:
        outcome = 0 if entry.outcome is None else entry.outcome
        return _ANSWERED.pack(entry.step, entry.ordinal, outcome, entry.offset, entry.size)
    return _PLAIN.pack(entry.step, entry.ordinal)


def _entries(data: bytes, at: int, end: int) -> Iterator[CallEntry]:
    """The entries of one commit. Raises struct.error, ValueError or KeyError for what is none."""
    while at < end:
        step = _STEPS[data[at]]
        if step is CallStep.RECEIPT:
            _, ordinal, id_size, account_size = _RECEIPT.unpack_from(data, at)
            at += _RECEIPT.size
            remote_id, account = data[at : at + id_size], data[at + id_size : at + id_size + account_size]
            at += id_size + account_size
            yield CallEntry(ordinal, step, remote_id.decode(), account.decode())
        elif step is CallStep.ANSWERED:
            _, ordinal, outcome, offset, size = _ANSWERED.unpack_from(data, at)
            at += _ANSWERED.size
            yield CallEntry(ordinal, step, outcome=_OUTCOMES[outcome], offset=offset, size=size)
        else:
            _, ordinal = _PLAIN.unpack_from(data, at)
            at += _PLAIN.size
            yield CallEntry(ordinal, step)
    if at != end:
        raise ValueError("an entry runs over the end of its commit")
