"""The rows of a page, packed: what filters need whole, and texts in blocks that are unpacked when they are seen.

Statuses and slices are one byte a row, so that a filter touches no text. Rows come in the order in which a reviewer
wants them: wrong somewhere first, then a sample of the others, which is the same each time, then those whose text is
left out to keep the page small. Two passes over the rows: the first only counts.
"""

from __future__ import annotations

import base64
import json
import zlib
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from runner.reports import figures
from runner.reports.facts import STATUSES, Answer, Group, Held, Row, Rows
from runner.reports.shown import line, shown

BLOCK_ROWS = 500
_BLOCK_BYTES = 4 << 20  # or fewer rows: a block is unpacked whole
_TEXT_CHARS = 100_000  # of one text; the rest is in the results file
_SAMPLED_BYTES = 1 << 20  # from which it is foreseen how small the rest becomes
_SLICE_VALUES = 250
_OTHER, _ABSENT = 254, 255
_CODES = {word: code for code, word in enumerate(STATUSES)}
_WRONG = frozenset(("wrong", "partly", "unreadable", "unanswered"))
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class Limit(NamedTuple):
    """How many texts a page may hold; None: as many as there are."""

    rows: int | None = None
    size: int | None = 20 << 20  # bytes of the page


USUAL = Limit()
ALL = Limit(None, None)
NONE = Limit(0, 0)


class Packed(NamedTuple):
    """One group's rows. meta: what the page's script has to know. blocks: base64 of raw deflate."""

    meta: dict[str, Any]
    statuses: str
    blocks: list[str]

    @property
    def left_out(self) -> int:
        """Rows whose texts are not in the page."""
        return int(self.meta["rows"] - self.meta["texts"])


def packed(group: Group, rows: Rows, limit: Limit) -> Packed:
    """Reads the rows of the group twice."""
    survey = _Survey(group)
    for row in rows(group.name):
        survey.add(row)
    wrong, others = survey.chosen(limit)
    first, second = _Blocks(survey.columns, wrong), _Blocks(survey.columns, others)
    if wrong.rows or others.rows:
        for at, row in enumerate(rows(group.name)):
            (first if survey.is_wrong[at] else second).offer(at, row)
    first.end()
    second.end()
    ahead = [*first.taken, *second.taken]
    order = [*ahead, *_rest(ahead, survey.is_wrong)]
    starts = [*first.starts, *(start + len(first.taken) for start in second.starts)]
    meta = {
        "name": line(group.name),
        "rows": len(order),
        "texts": len(ahead),
        "columns": list(map(line, survey.columns)),
        "slices": [{"name": line(name), "values": values} for name, values in survey.slice_values()],
        "starts": starts,
        "checks": [
            {
                "name": line(check.name),
                "form": check.form,
                "wrong": list(check.counts_wrong),
                "said": [figures.word_of(status, check) for status in STATUSES],
            }
            for check in _checks(group)
        ],
        "cells": [
            {"label": line(cell.label), "address": line(cell.address), "output": line(cell.provenance.output)}
            for cell in group.cells
        ],
    }
    return Packed(meta, _squeezed(survey.bytes_in(order)), [*first.blocks, *second.blocks])


def _checks(group: Group) -> Sequence[Any]:
    return group.cells[0].checks if group.cells else ()


def _rest(ahead: Sequence[int], is_wrong: bytearray) -> list[int]:
    """The rows without their text, in the same order: those that are wrong, then the others."""
    there = bytearray(len(is_wrong))
    for at in ahead:
        there[at] = 1
    left = [at for at, taken in enumerate(there) if not taken]
    return [*(at for at in left if is_wrong[at]), *(at for at in left if not is_wrong[at])]


class _Chosen(NamedTuple):
    """Which rows of one kind come with their text: those with at most this rank, up to so many rows and bytes."""

    ranks: array[int] | None  # None: in input order
    most_rank: int
    rows: int
    size: int | None


class _Survey:
    """The first pass: statuses, slices, and how large the texts are."""

    def __init__(self, group: Group) -> None:
        self._forms = [check.form for check in _checks(group)]
        self._cells = len(group.cells)
        self._statuses = [bytearray() for _ in range(self._cells * len(self._forms))]
        self._slices: dict[str, tuple[dict[str, int], bytearray]] = {}
        self._sizes = array("Q")
        self._ranks = array("L")
        self._sampled = [0, 0]  # bytes before and after
        self.is_wrong = bytearray()
        self.columns: dict[str, None] = {}

    def add(self, row: Row) -> None:
        at = len(self.is_wrong)
        is_wrong = False
        for cell in range(self._cells):
            answer = row.answers[cell] if cell < len(row.answers) else None
            held = answer.checks if answer is not None else ()
            is_wrong |= answer is not None and answer.text is None
            for number, form in enumerate(self._forms):
                code, counts = _code(held[number], form) if number < len(held) else (_ABSENT, False)
                self._statuses[cell * len(self._forms) + number].append(code)
                is_wrong |= counts
        self.is_wrong.append(is_wrong)
        for name in row.columns:
            self.columns.setdefault(name)
        self._add_slices(row, at)
        data = _line(row, list(self.columns)).encode()
        self._sizes.append(len(data))
        self._ranks.append(zlib.crc32(row.custom_id.encode("utf-8", "surrogatepass")))
        if at % 16 == 0 and self._sampled[0] < _SAMPLED_BYTES:
            self._sampled[0] += len(data)
            self._sampled[1] += len(_deflated(data)) * 4 // 3

    def _add_slices(self, row: Row, at: int) -> None:
        for name in row.slices:
            self._slices.setdefault(name, ({}, bytearray([_ABSENT]) * at))
        for name, (values, codes) in self._slices.items():
            value = row.slices.get(name)
            if value is None:
                codes.append(_ABSENT)
            elif value in values or len(values) < _SLICE_VALUES:
                codes.append(values.setdefault(value, len(values)))
            else:
                codes.append(_OTHER)

    def slice_values(self) -> Iterator[tuple[str, list[str]]]:
        for name, (values, _) in self._slices.items():
            yield name, [line(value) for value in values]

    def chosen(self, limit: Limit) -> tuple[_Chosen, _Chosen]:
        """Which of the wrong rows, and which of the others."""
        wrong = self.is_wrong.count(1)
        others = len(self.is_wrong) - wrong
        if limit.rows is not None:
            wrong = min(wrong, limit.rows)
            others = min(others, limit.rows - wrong)
        if limit.size is None:
            return _Chosen(None, 0, wrong, None), self._sample(others, None)
        ratio = self._sampled[1] / self._sampled[0] if self._sampled[0] else 1.0
        needed = sum(size for size, is_wrong in zip(self._sizes, self.is_wrong, strict=True) if is_wrong) * ratio
        left = max(0, limit.size - int(needed))
        return _Chosen(None, 0, wrong, limit.size), self._sample(others, int(left / ratio) if others else 0)

    def _sample(self, rows: int, size: int | None) -> _Chosen:
        """The rows with the lowest ranks, which follow from their ids alone: the same rows each time."""
        ranked = sorted(rank for rank, is_wrong in zip(self._ranks, self.is_wrong, strict=True) if not is_wrong)
        most = ranked[rows - 1] if 0 < rows <= len(ranked) else -1
        if size is not None and rows:
            by_rank = sorted(
                (rank, size)
                for rank, size, is_wrong in zip(self._ranks, self._sizes, self.is_wrong, strict=True)
                if not is_wrong
            )
            total = 0
            for rank, more in by_rank:
                total += more
                if total > size:
                    most = min(most, rank - 1)
                    break
        return _Chosen(self._ranks, most, rows, None)

    def bytes_in(self, order: Sequence[int]) -> bytes:
        """Statuses of each cell and check, then slices, one byte a row; then where each row stands in the input."""
        parts = [bytes(map(codes.__getitem__, order)) for codes in self._statuses]
        parts += [bytes(map(codes.__getitem__, order)) for _, codes in self._slices.values()]
        lines = b"".join((at + 1).to_bytes(4, "little") for at in order)
        return b"".join((*parts, lines))


def _code(held: Held, form: str) -> tuple[int, bool]:
    """The byte of a status, and whether the row counts as wrong somewhere. A transcript without an error is right."""
    if held.status == "measured" and form == "ratio":
        return (_CODES["wrong"], True) if held.score else (_CODES["right"], False)
    return _CODES[held.status], held.status in _WRONG


class _Blocks:
    """The second pass: texts of the rows that were chosen, in blocks."""

    def __init__(self, columns: Sequence[str] | dict[str, None], chosen: _Chosen) -> None:
        self._columns = list(columns)
        self._chosen = chosen
        self._lines: list[str] = []
        self._bytes = 0
        self._size = 0
        self.taken: list[int] = []
        self.starts: list[int] = []
        self.blocks: list[str] = []

    def offer(self, at: int, row: Row) -> None:
        chosen = self._chosen
        if len(self.taken) >= chosen.rows or (chosen.ranks is not None and chosen.ranks[at] > chosen.most_rank):
            return
        if chosen.size is not None and self._size >= chosen.size:
            return
        packed_row = _line(row, self._columns)
        if not self._lines:
            self.starts.append(len(self.taken))
        self.taken.append(at)
        self._lines.append(packed_row)
        self._bytes += len(packed_row)
        if len(self._lines) == BLOCK_ROWS or self._bytes >= _BLOCK_BYTES:
            self.end()

    def end(self) -> None:
        if self._lines:
            self.blocks.append(_squeezed("\n".join(self._lines).encode()))
            self._size += len(self.blocks[-1])
            self._lines, self._bytes = [], 0


def _line(row: Row, columns: Sequence[str]) -> str:
    """One row as JSON on one line; nothing in it is invisible."""
    return _encode(
        [
            _cut(row.custom_id),
            [_cut(row.columns.get(name)) for name in columns],
            [None if answer is None else _answer(answer) for answer in row.answers],
        ]
    )


def _answer(answer: Answer) -> list[Any]:
    checks = [[_cut(one.got), _cut(one.expected), one.score, _cut(one.reason)] for one in answer.checks]
    whose = [_cut(answer.finish), answer.digest, _cut(answer.batch)]
    return [_cut(answer.text), _cut(answer.error), *whose, checks]


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= _TEXT_CHARS:
        return None if text is None else shown(text)
    return f"{shown(text[:_TEXT_CHARS])}\n⟨{len(text) - _TEXT_CHARS:,} more characters are in the results file⟩"


def _deflated(data: bytes) -> bytes:
    squeezing = zlib.compressobj(6, zlib.DEFLATED, -15)
    return squeezing.compress(data) + squeezing.flush()


def _squeezed(data: bytes) -> str:
    return base64.b64encode(_deflated(data)).decode()
