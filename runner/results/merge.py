"""One line for every wanted request, in input order, whatever the batches did.

A line is spliced from bytes that exist already: the row as it was read, the response as it was downloaded. It holds
no newline, because neither of them does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from runner.compile.compiled import RowView
from runner.errors import StateError
from runner.job.finish import FLAWS
from runner.job.outcomes import Outcome, Unsettled
from runner.job.packed import KEY_BYTES, Sorter
from runner.remotes.reading.verdict import NULL, TEXT, Expected
from runner.results.locate import Chosen, OutcomeSource
from runner.results.splice import ERROR, Merged, Splicer

_OK = int(Outcome.OK)


Unusual = Callable[[int, Merged, bool], None]  # number of the row from 0, its line, whether bytes were put right in it


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
    flaws: Mapping[str, int] = {}  # answers that are none, by `finish`: among `ok`, or among `error`
    told: tuple[str, ...] = ()  # what was worked out of all lines, in words
    flawed: bytes = b""  # sorted keys of those among `error`
    bad: int = 0  # among `error`: rows that became no requests, and have no lines

    @property
    def flawed_ok(self) -> Mapping[str, int]:
        """The answers that are none among `ok`."""
        return {} if self.flawed else self.flaws

    def with_bad(self, rows: int) -> Accounting:
        """The same with rows that became no requests, and have no lines."""
        more = {"wanted": self.wanted + rows, "error": self.error + rows, "bad": self.bad + rows}
        return msgspec.structs.replace(self, **more) if rows else self


def _reason(code: str, message: str) -> tuple[str, bytes]:
    """The status of a row that is not settled, and its error."""
    return code, msgspec.json.encode({"code": code, "message": message, "status": None, "retryable": False})


_REASONS: Mapping[int, tuple[str, bytes]] = {
    state: _reason(state.word, message)
    for state, message in (
        (Unsettled.NOT_SENT, "it was not sent yet, or is to be sent again"),
        (Unsettled.IN_FLIGHT, "it was sent, and its outcome is not here yet"),
        (Unsettled.UNKNOWN, "it is not known whether the remote got this request"),
        (Unsettled.NEEDS_DECISION, "it was sent and not answered, and is sent again only when you say so"),
    )
}
_MISSING = _reason("missing", "its outcome is recorded, but cannot be found")


def merge(
    rows: Iterable[RowView],
    shown: Chosen,
    sources: Sequence[OutcomeSource],
    writer: Writer,
    *,
    states: bytes | bytearray = b"",
    wanted: Expected = TEXT,
    is_strict: bool = False,
    retries_invalid: bool = False,
    unusual: Unusual | None = None,
) -> Accounting:
    """Write one line a row.

    states: `Unsettled` of each row, in input order, 0 where it is settled; empty: all of them are. A row with an
    answer shows it, whatever its state.
    wanted: what was asked for beside text. is_strict: answers that are none count as errors. retries_invalid: they do
    once they are not asked for again any more. unusual: is told of every answer that is not cut out as it stands.
    Raises StateError when a raw file does not hold what its index says, or rows and `shown` differ in number.
    """
    # The usual row is an answer that is cut out as it stands: it takes the first two branches and nothing else, and
    # whatever a run of millions can do without (a call, a look at its state) is done behind them.
    places, owners, total, write = shown.places, shown.sources, len(shown), writer.write
    splicer = Splicer(sources, wanted=wanted)
    flawed = _Flawed()
    answered, line_of = splicer.answered, splicer.line
    states = states or bytes(total)
    waiting: Counter[int] = Counter()  # by `Unsettled`; 0: its outcome is nowhere
    ok = error = number = 0
    try:
        for number, row in enumerate(rows, 1):
            if number > total:
                raise _changed()
            value = places[number - 1]
            if value >> 60 == _OK:
                ok += 1
                line = answered(owners[number - 1], value, row)
                if line is None:
                    before = splicer.repaired
                    line = line_of(owners[number - 1], value, row)
                    if line.finish is not None and line.finish in FLAWS:
                        is_error = not states[number - 1] if retries_invalid else is_strict
                        line = flawed.seen(line, row, line.finish, is_error=is_error)
                    if unusual is not None:
                        unusual(number - 1, line, splicer.repaired > before)
                write(line)
                continue
            state = states[number - 1]
            if value and not state:  # else an error is not the last word: what the row waits for is shown
                error += 1
                write(line_of(owners[number - 1], value, row))
            else:
                waiting[state] += 1
                write(_without_outcome(row, state))
    finally:
        splicer.close()
    if number != total:
        raise _changed()
    none = flawed.errors
    return Accounting(
        wanted=number,
        ok=ok - none,
        error=error + none,
        not_sent=waiting[Unsettled.NOT_SENT],
        in_flight=waiting[Unsettled.IN_FLIGHT],
        unknown=waiting[Unsettled.UNKNOWN],
        needs_decision=waiting[Unsettled.NEEDS_DECISION],
        missing=waiting[0],
        repaired=splicer.repaired,
        flaws=dict(flawed.counts),
        flawed=flawed.keys.sorted(),
    )


class _Flawed:
    """Answers that are none: how each ended, and whose those are that count as errors."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.keys = Sorter()
        self.errors = 0

    def seen(self, line: Merged, row: RowView, finish: str, *, is_error: bool) -> Merged:
        """The line of such an answer as it is written: also as an error it is shown."""
        self.counts[finish] += 1
        if not is_error:
            return line
        self.errors += 1
        self.keys.add(row.digest[:KEY_BYTES])
        error = {"code": finish, "message": FLAWS[finish].message, "status": None, "retryable": False}
        return line._replace(error=msgspec.json.encode(error), status=ERROR)


def _without_outcome(row: RowView, state: int) -> Merged:
    """The line of a row that waits for something, or whose outcome is nowhere (0)."""
    custom_id, row_json, digest = row
    status, why = _REASONS.get(state, _MISSING)
    return Merged(custom_id, row_json, NULL, NULL, why, None, digest.hex(), None, None, status)


def _changed() -> StateError:
    return StateError("the dataset changed while its results were written", hint="run the command again")
