"""Which answers of one batch are none, by what a job wants: found out when they are here, before more is planned."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import NamedTuple

from runner.compile.compiled import RowView
from runner.errors import StateError
from runner.job.finish import FLAWS, STOP
from runner.job.outcomes import NO_LINE, Outcome, as_judged, place
from runner.job.packed import KEY_BYTES, common, without
from runner.remotes.reading.verdict import NULL, Expected
from runner.results.lines import RawLines
from runner.results.locate import OutcomeSource
from runner.results.own import read_own
from runner.results.splice import TOGETHER, Splicer

_ENTRY = struct.Struct(f">{KEY_BYTES}sQ")
_OK = int(Outcome.OK)


class Invalid(NamedTuple):
    """Packed, sorted keys of answers that are none. for_good: of them, those that a file says are not asked again."""

    keys: bytes = b""
    for_good: bytes = b""

    def of(self, wanted: bytes) -> Invalid:
        """Of these keys alone, sorted and packed."""
        if not self.keys or common(self.keys, wanted) * KEY_BYTES == len(self.keys):
            return self
        return Invalid(*(without(keys, without(keys, wanted)) for keys in self))

    def applied(self, index: bytes) -> bytes:
        """The index of the batch with what is said here."""
        judged = as_judged(index, self.keys, Outcome.INVALID) if self.keys else index
        return as_judged(judged, self.for_good, Outcome.INVALID_FOR_GOOD) if self.for_good else judged


def invalid_in(source: OutcomeSource, wanted: Expected) -> Invalid:
    """Every answer of a batch held to what is wanted, by the same judgement as when it is written.

    A line that is damaged is left to whoever writes it, who says so.
    """
    keys, for_good = [], []
    with closing(Splicer([source], wanted=wanted)) as splicer, RawLines() as raw:
        for row, value in _not_usual(splicer, source):
            key = row.digest
            try:
                line = splicer.line(0, value, row)
            except StateError:
                continue
            if line.finish not in FLAWS:
                continue
            keys.append(key)
            if source.is_read_back and _is_for_good(raw, source, value):
                for_good.append(key)
    return Invalid(b"".join(keys), b"".join(for_good))


def _not_usual(splicer: Splicer, source: OutcomeSource) -> Iterator[tuple[RowView, int]]:
    """Answers that have to be looked at one by one, and where they are."""
    entries = (
        (RowView("", NULL, key), value)
        for key, value in _ENTRY.iter_unpack(source.index[:])
        if value >> 60 == _OK and value & NO_LINE != NO_LINE
    )
    while some := list(islice(entries, TOGETHER)):
        while some:
            rows, values = zip(*some, strict=True)
            found = splicer.usual(0, values, rows)
            yield from (entry for entry, one in zip(some, found, strict=False) if one is None or one[2] != STOP)
            del some[: len(found)]


def _is_for_good(raw: RawLines, source: OutcomeSource, value: int) -> bool:
    _, file, offset = place(value)
    own, _ = read_own(raw.at(source.files[file], offset))
    return bytes(own.error) not in (b"", NULL)
