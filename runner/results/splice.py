"""A line of results, spliced from the raw line its place points to.

The raw line is checked again when it is read: whose it is, and that it is JSON in UTF-8. An index and its files can
only drift apart by damage, and an answer shown for the wrong request would be worse than none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import msgspec

from runner.compile.compiled import RowView
from runner.errors import StateError
from runner.job.finish import STOP
from runner.job.outcomes import NO_LINE, Outcome, place
from runner.job.packed import KEY_BYTES
from runner.job.wireid import coded, keys_named
from runner.mending import NOT_SO, repaired
from runner.remotes.reading.verdict import (
    NULL,
    TEXT,
    Answer,
    Expected,
    Parsed,
    Unreadable,
    as_wanted,
    is_wanted,
    kept_as_wanted,
    parsed,
)
from runner.results.lines import RawLines
from runner.results.locate import OutcomeSource
from runner.results.own import Cost, cost_in, read_own

OK, ERROR = "ok", "error"  # of Merged.status; what is not settled has a word of its own


class Merged(NamedTuple):
    """One line of a results file. `row`, `answer`, `response` and `error` are JSON, `null` where there is none."""

    custom_id: str  # the user's own
    row: bytes
    answer: bytes
    response: bytes  # the body, without a vendor's wrapper around it
    error: bytes
    batch: str | None
    digest: str  # 64 hex characters
    origin: str | None
    finish: str | None = None  # how the answer ended, see `finish`
    status: str = OK  # what became of the request, in a word
    more: tuple[bytes, ...] = ()  # what steps made of the line, by their columns
    cost: Cost | None = None  # as an earlier file says, where the response is not there to say it


_Who = tuple[str | None, str, str | None, str | None, str]
_Fields = tuple[str, bytes, bytes, bytes, bytes, *_Who, tuple[bytes, ...], None]
# Half the price of calling the class.
merged: Callable[[_Fields], Merged] = partial(tuple.__new__, Merged)
# The body, the answer in it, and how that ended; bare, as one is made for nearly every line.
Usual = tuple[bytes, bytes, str]
TOGETHER = 256  # rows that are looked up at once
TOGETHER_BYTES = 1 << 20  # of their lines
_OK = int(Outcome.OK)
_BROKEN = (Unreadable, OSError, IndexError, *NOT_SO)
_encode = msgspec.json.Encoder().encode

_SILENCE: Mapping[int, tuple[str, str]] = {
    Outcome.FINAL: ("no_result", "the remote gave no result"),
    Outcome.RETRY: ("no_result", "the batch ended without a line for this request"),
    Outcome.LOST: ("batch_cancelled", "the batch was stopped before this request was answered"),
    Outcome.UNPAID: ("insufficient_quota", "the account could not pay, and nothing was asked"),
    Outcome.REJECTED: ("batch_rejected", "the remote refused the whole batch"),
    Outcome.LATE: ("batch_cancelled", "its batch took too long and was stopped before this request was answered"),
    Outcome.GAVE_UP: ("gave_up", "its batch took too long and was stopped before this request was answered"),
}


class Splicer:
    """Turns places into lines of results. Close it: it holds raw files open."""

    def __init__(
        self, sources: Sequence[OutcomeSource], *, wanted: Expected = TEXT, asked: Mapping[int, int] | None = None
    ) -> None:
        """asked: of how many rows each source will be asked."""
        self._sources = sources
        self._wanted = wanted
        self._raw = RawLines()
        for owner, rows in (asked or {}).items():
            for file in sources[owner].files:
                self._raw.expect(file, rows)
        self.repaired = 0  # lines in which what is not JSON was put right

    def close(self) -> None:
        self._raw.close()

    def usual(self, owner: int, values: Sequence[int], rows: Sequence[RowView]) -> list[Usual | None]:
        """For each of the first of these rows the usual success: text that is whole or cut, JSON as it should be.

        None for everything else, which is what `line` is for. At least one is looked at, and more as long as their
        lines are short. values: of answers, as packed in an index. Nearly every row of every run comes through here.
        """
        source = self._sources[owner]
        if source.is_read_back:
            return [None] * len(rows)
        lines = self._lines(source, values)
        plains = source.reader.plains(lines)
        asked = [row[2][:KEY_BYTES] for row in rows[: len(plains)]]
        keys = keys_named([one[0] for one in plains if one is not None])
        found: list[Usual | None]
        if keys == asked:
            found = [one and one[1:] for one in plains]
        else:
            named = iter(keys)
            found = [
                one[1:] if one is not None and next(named) == key else None
                for one, key in zip(plains, asked, strict=True)
            ]
        if self._wanted.is_json:
            found = [None if one is None else self._json_of(*one) for one in found]
        return found

    def _lines(self, source: OutcomeSource, values: Sequence[int]) -> list[bytes]:
        """The lines at these places, up to so many bytes; empty where there is none."""
        at, files, left = self._raw.at, source.files, TOGETHER_BYTES
        whole = b""
        if min(values) >> 52 == (file := max(values) >> 52) and file & 0xFF < len(files):
            whole = self._raw.whole(files[file & 0xFF])
        lines: list[bytes] = []
        for value in values:
            offset = value & NO_LINE
            end = whole.find(b"\n", offset)
            try:
                line = whole[offset:end] if end >= 0 else at(files[value >> 52 & 0xFF], offset)
            except (IndexError, OSError):
                line = b""
            lines.append(line)
            if (left := left - len(line)) <= 0:
                break
        return lines

    def _json_of(self, body: bytes, text: bytes, finish: str) -> Usual | None:
        json = parsed(text)
        return (body, json, finish) if finish != STOP or is_wanted(json, text, self._wanted) else None

    def line(self, owner: int, value: int, row: RowView) -> Merged:
        """The line of one row whose outcome is at `value` (as packed in an index) of source number `owner`.

        Raises StateError when the raw file does not hold what the index says.
        """
        # What fails may only lack room: a line nested so deeply that it is read with a higher limit of recursion, which
        # no usual line has to pay for. What fails then too is damage. It ends the command: a line that is not the one
        # the index means may be another request's answer.
        source = self._sources[owner]
        with suppress(*_BROKEN):
            return self._line(source, value, row)
        try:
            with _room():
                return self._line(source, value, row)
        except _BROKEN as problem:
            raise _damaged(source, value) from problem

    def _line(self, source: OutcomeSource, value: int, row: RowView) -> Merged:
        offset = value & NO_LINE
        if offset == NO_LINE:
            error = _silence(value >> 60, source.fallback_error)
            return self._merged(source, row, NULL, None, NULL, error)
        raw = self._raw.at(source.files[value >> 52 & 0xFF], offset)
        if source.is_read_back:
            return self._own(source, raw, row)
        reader = source.reader
        try:
            name, body = reader.parts(raw)
        except (msgspec.MsgspecError, ValueError):
            raw = repaired(raw)
            name, body = reader.parts(raw)
            self.repaired += 1
        if not name.endswith(coded(row.digest[:KEY_BYTES])):
            raise Unreadable("another request's line")
        if value >> 60 == _OK:
            return self._merged(source, row, *self._answer(source, body), body)
        return self._merged(source, row, NULL, None, body, _encode(_told(reader.parse(raw), value >> 60)))

    def _answer(self, source: OutcomeSource, body: bytes) -> Answer:
        return as_wanted(source.reader.answer(body, self._wanted), self._wanted)

    def _own(self, source: OutcomeSource, raw: bytes, row: RowView) -> Merged:
        """A line we wrote earlier, with its batch and origin; only row and id are those of today."""
        own, _ = read_own(raw)
        if not own.digest.startswith(row.digest.hex()):  # whoever only judges it knows the key alone
            raise Unreadable("another request's line")
        response, answer = bytes(own.response) or NULL, bytes(own.answer) or NULL
        if response != NULL:
            found = self._answer(source, response)
        else:
            found = kept_as_wanted(Answer(answer, own.finish), self._wanted)
        line = self._merged(source, row, *found, response)
        return line._replace(batch=own.batch or source.batch, origin=own.origin, cost=cost_in(own))

    def _merged(
        self,
        source: OutcomeSource,
        row: RowView,
        answer: bytes,
        finish: str | None,
        response: bytes,
        error: bytes = NULL,
    ) -> Merged:
        status = OK if error == NULL else ERROR
        who = (error, source.batch, row.digest.hex(), source.origin)
        return Merged(row.custom_id, row.row_json, answer, response, *who, finish, status)


def usual_of(source: OutcomeSource, finish: str) -> Merged:
    """What the lines of all usual answers of a source have in common that ended alike."""
    return Merged("", b"", b"", b"", NULL, source.batch, "", source.origin, finish)


def usual_line(about: Merged, row: RowView, found: Usual) -> Merged:
    """`Splicer.line` of a row with a usual answer. about: `usual_of` those that it is one of."""
    custom_id, row_json, digest = row
    body, answer, _ = found
    _, _, _, _, error, batch, _, origin, finish, status, *_ = about
    return merged((custom_id, row_json, answer, body, error, batch, digest.hex(), origin, finish, status, (), None))


@contextmanager
def _room() -> Iterator[None]:
    """Let what is nested deeply be read again: the index read it from another depth of the stack."""
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(2 * usual)
    try:
        yield
    finally:
        sys.setrecursionlimit(usual)


def _told(line: Parsed, outcome: int) -> dict[str, Any]:
    """The error of a line, in the remote's own words."""
    if line.fault is None:
        raise Unreadable("not an error")
    return {**line.fault._asdict(), "retryable": outcome in (Outcome.RETRY, Outcome.UNPAID)}


def _damaged(source: OutcomeSource, value: int) -> StateError:
    _, file, offset = place(value)
    path = source.files[file] if file < len(source.files) else f"file {file}"
    return StateError(
        f"the downloaded results of batch `{source.batch}` are damaged: {path}, byte {offset:,}",
        hint="move `.runner/` away and run `runner apply` again; answers are found again on the remote and in outputs",
    )


def _silence(outcome: int, said: Mapping[str, Any] | None) -> bytes:
    """The error of a request without a line; `said`: what is known about its whole batch."""
    code, message = _SILENCE[outcome]
    error = {"code": code, "message": message, "status": None, "retryable": outcome == Outcome.RETRY}
    return _encode({**error, **(said or {})})
