"""One line for every wanted request, in input order, whatever the batches did.

A line is spliced from bytes that exist already: the row as it was read, the response as it was downloaded. It holds
no newline, because neither of them does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from runner.compile.compiled import RowView
from runner.errors import StateError
from runner.job.outcomes import Outcome, Unsettled
from runner.results.answer import NULL
from runner.results.locate import Shown, Source
from runner.results.splice import Merged, Splicer

_OK = int(Outcome.OK)


class Writer(Protocol):
    """Where merged lines go, see `export`."""

    def write(self, merged: Merged) -> None: ...


class Accounting(msgspec.Struct, frozen=True):
    """ok + error + not_sent + in_flight + unknown + needs_decision + missing = wanted, always."""

    wanted: int
    ok: int
    error: int
    not_sent: int = 0
    in_flight: int = 0
    unknown: int = 0
    needs_decision: int = 0
    missing: int = 0  # said to be settled, and no batch on record holds the outcome
    repaired: int = 0  # lines in which bytes that are not JSON were put right

    def with_bad(self, rows: int) -> Accounting:
        """The same with rows that became no requests, and have no lines."""
        return msgspec.structs.replace(self, wanted=self.wanted + rows, error=self.error + rows) if rows else self


def _reason(code: str, message: str) -> bytes:
    return msgspec.json.encode({"code": code, "message": message, "status": None, "retryable": False})


_REASONS: Mapping[int, bytes] = {
    state: _reason(state.word, message)
    for state, message in (
        (Unsettled.NOT_SENT, "it was not sent yet, or is to be sent again"),
        (Unsettled.IN_FLIGHT, "it was sent, and its outcome is not here yet"),
        (Unsettled.UNKNOWN, "it is not known whether the remote got this request"),
        (Unsettled.NEEDS_DECISION, "it was sent and not answered, and is sent again only when you say so"),
    )
}
_MISSING = _reason("missing", "its outcome is on record nowhere")


def merge(
    rows: Iterable[RowView],
    shown: Shown,
    sources: Sequence[Source],
    writer: Writer,
    *,
    states: bytes | bytearray = b"",
    parse_json: bool = False,
) -> Accounting:
    """Write one line a row.

    states: `Unsettled` of each row, in input order, 0 where it is settled; empty: all of them are. A row with an
    answer shows it, whatever its state.
    Raises StateError when a raw file does not hold what its index says, or rows and `shown` differ in number.
    """
    places, owners, total, write = shown.places, shown.sources, len(shown), writer.write
    splicer = Splicer(sources, parse_json=parse_json)
    answered, line_of = splicer.answered, splicer.line
    states = states or bytes(total)
    waiting = dict.fromkeys(Unsettled, 0)
    ok = error = missing = number = 0
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
            state = states[number - 1]
            if value and not state:
                error += 1
                write(line_of(owners[number - 1], value, row))
                continue
            if state:
                waiting[Unsettled(state)] += 1
            else:
                missing += 1
            custom_id, row_json, digest = row
            write(Merged(custom_id, row_json, NULL, NULL, _REASONS.get(state, _MISSING), None, digest.hex(), None))
    finally:
        splicer.close()
    if number != total:
        raise _changed()
    told = {state.word: count for state, count in waiting.items()}
    assert ok + error + missing + sum(told.values()) == number
    return Accounting(number, ok, error, missing=missing, repaired=splicer.repaired, **told)


def _changed() -> StateError:
    return StateError("the dataset changed while its results were written", hint="run the command again")
