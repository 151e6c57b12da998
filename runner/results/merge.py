"""One line for every wanted request, in input order, whatever the batches did.

A line is spliced from bytes that exist already: the row as it was read, the response as it was downloaded. It holds
no newline, because neither of them does.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec

from runner.compile.compiled import RowView
from runner.errors import StateError
from runner.job.finish import FLAWS, STOP
from runner.job.outcomes import Outcome, Unsettled
from runner.job.packed import KEY_BYTES, Sorter
from runner.remotes.reading.verdict import NULL, TEXT, Expected
from runner.results.locate import Chosen, OutcomeSource
from runner.results.splice import ERROR, TOGETHER, Merged, Splicer, Usual, usual_line, usual_of

_OK = int(Outcome.OK)


# Number of the first row from 0, how many there are, the line of the first or what all have in common, whether bytes
# were put right in it
Unusual = Callable[[int, int, Merged, bool], None]


class Writer(Protocol):
    """Where merged lines go, see `export`."""

    def write(self, merged: Merged) -> None: ...


@runtime_checkable
class BlockWriter(Writer, Protocol):
    """One that takes many usual answers at once."""

    def write_usual(self, rows: Sequence[RowView], found: Sequence[Usual], about: Merged) -> None:
        """Write what `write` would of the lines of these rows. about: what they have in common, see `usual_line`."""
        ...


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
    return merge_blocks(
        blocks_of(rows),
        shown,
        sources,
        writer,
        states=states,
        wanted=wanted,
        is_strict=is_strict,
        retries_invalid=retries_invalid,
        unusual=unusual,
    )


def blocks_of(rows: Iterable[RowView]) -> Iterator[list[RowView]]:
    """The same rows, some at a time."""
    remaining = iter(rows)
    while block := list(islice(remaining, TOGETHER)):
        yield block


def merge_blocks(
    blocks: Iterable[Sequence[RowView]],
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
    """`merge`, which has all written of the rows of a block before it asks for the next one."""
    # The usual row is an answer that is cut out as it stands, and nearly every row of every run is. They are read,
    # checked and written many at once; whatever a run of millions can do without is done for the others only.
    states = states or bytes(len(shown))
    splicer = Splicer(sources, wanted=wanted, asked=Counter(shown.sources) if sources else None)
    flawed = _Flawed()
    write = writer.write
    waiting: Counter[int] = Counter()  # by `Unsettled`; 0: its outcome is nowhere
    ok = error = 0
    try:
        for first, owner, rows, found in _looked_up(splicer, shown, blocks):
            about = usual_of(sources[owner], found[0][2]) if found else None
            if about is not None and (about.finish == STOP or not retries_invalid):
                ok += len(rows)
                if about.finish != STOP:
                    about = flawed.seen(about, rows, is_error=is_strict)
                    if unusual is not None:
                        unusual(first, len(rows), about, False)
                _write_usual(writer, rows, found, about)
                continue
            for number, row in enumerate(rows, first):
                value, state = shown.places[number], states[number]
                if value >> 60 == _OK:
                    ok += 1
                    before = splicer.repaired
                    if about is not None:
                        line = usual_line(about, row, found[number - first])
                    else:
                        line = splicer.line(owner, value, row)
                    line = flawed.seen(line, (row,), is_error=not state if retries_invalid else is_strict)
                    if unusual is not None:
                        unusual(number, 1, line, splicer.repaired > before)
                elif value and not state:  # else an error is not the last word: what the row waits for is shown
                    error += 1
                    line = splicer.line(owner, value, row)
                else:
                    waiting[state] += 1
                    line = _without_outcome(row, state)
                write(line)
    finally:
        splicer.close()
    none = flawed.errors
    return Accounting(
        wanted=len(shown),
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


def _write_usual(writer: Writer, rows: Sequence[RowView], found: Sequence[Usual], about: Merged) -> None:
    if isinstance(writer, BlockWriter):
        writer.write_usual(rows, found, about)
        return
    for row, usual in zip(rows, found, strict=True):
        writer.write(usual_line(about, row, usual))


class _Some(NamedTuple):
    """Rows that follow each other and are of one source, and usual answers that ended alike or none of those."""

    first: int  # number of the first, from 0
    owner: int
    rows: Sequence[RowView]
    found: Sequence[Usual]  # their usual answers; empty: there is none, and each is looked at by itself


def _looked_up(splicer: Splicer, shown: Chosen, blocks: Iterable[Sequence[RowView]]) -> Iterator[_Some]:
    """All rows in their order. Raises StateError where they are not as many as `shown`."""
    places, owners = shown.places, shown.sources
    end = 0
    for block in blocks:
        first, end = end, end + len(block)
        if end > len(shown):
            raise _changed()
        at = first
        while at < end:
            stop = _end_of_answers(places, owners, at, end)
            found = (
                splicer.usual(owners[at], places[at:stop], block[at - first : stop - first]) if stop > at else [None]
            )
            for some in _alike(found):
                rows = block[at - first : at - first + len(some)]
                yield _Some(at, owners[at], rows, list(filter(None, some)))
                at += len(some)
    if end != len(shown):
        raise _changed()


def _alike(found: Sequence[Usual | None]) -> Iterator[Sequence[Usual | None]]:
    """Those that follow each other and ended alike. Nearly always all of them did."""
    if len({one and one[2] for one in found}) == 1:
        yield found
        return
    for _, run in groupby(found, _ending):
        yield list(run)


def _ending(found: Usual | None) -> str:
    return "" if found is None else found[2]


def _end_of_answers(places: array[int], owners: array[int], at: int, end: int) -> int:
    """Where the answers of one source end that begin there."""
    owner = owners[at]
    if owners[at:end].count(owner) == end - at and _are_answers(places[at:end]):
        return end
    while at < end and owners[at] == owner and places[at] >> 60 == _OK:
        at += 1
    return at


def _are_answers(places: array[int]) -> bool:
    return min(places) >> 60 == _OK == max(places) >> 60


class _Flawed:
    """Answers that are none: how each ended, and whose those are that count as errors."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.keys = Sorter()
        self.errors = 0

    def seen(self, line: Merged, rows: Sequence[RowView], *, is_error: bool) -> Merged:
        """The line of an answer as it is written, or what those of some rows have in common: if it is none, it is
        shown as an error all the same.
        """
        finish = line.finish
        if finish is None or finish not in FLAWS:
            return line
        self.counts[finish] += len(rows)
        if not is_error:
            return line
        self.errors += len(rows)
        for row in rows:
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
