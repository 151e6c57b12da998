"""Writers of results files: .jsonl, .csv and .parquet, chosen by suffix, each a stream with flat memory.

They know columns, and nothing of what a line holds, see `columns`.
"""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, BinaryIO

import msgspec

from runner.compile.compiled import RowView
from runner.errors import UsageError
from runner.files import whole
from runner.results.cells import STARTS, cell_bytes, cell_of, cells_bytes, csv_line, guarded, json_bytes
from runner.results.columns import Column, Table
from runner.results.inputs import InputRow
from runner.results.kinds import Of
from runner.results.merge import Writer
from runner.results.parquet import parquet_to, pyarrow_of
from runner.results.splice import Merged, Usual
from runner.results.wholefile import target_of

SUFFIXES = (".jsonl", ".csv", ".parquet")

_LONG_BYTES = 1 << 20  # a response that is not worth a copy
_OF_EACH = ("custom_id", "digest")  # text that no two lines share
_encode = msgspec.json.Encoder().encode


@contextmanager
def writer_for(path: Path, root: Path, table: Table, *, is_guarded: bool = True) -> Iterator[Writer]:
    """A writer by suffix. The file appears under its name, whole, when the block ends well, and else not at all.

    root: the project root; the file lies inside it, links followed. is_guarded: cells of a .csv that a spreadsheet
    would run as a formula get an apostrophe before them.
    Raises UsageError for another suffix, RunnerError outside the root or where pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"`{path.name}` has an unknown suffix", hint=f"use one of {', '.join(SUFFIXES)}")
    if suffix == ".parquet":
        pyarrow_of()  # before anything is opened
    with (
        whole(target_of(path, root), keeps_equal=True) as out,
        writer_on(out, suffix, table, is_guarded=is_guarded) as it,
    ):
        yield it


def _jsonl_writer(out: IO[bytes], columns: Sequence[Column]) -> JsonlWriter:
    return JsonlWriter(out, columns) if _usual_line(columns) is None else _UsualWriter(out, columns)


@contextmanager
def writer_on(out: BinaryIO, suffix: str, table: Table, *, is_guarded: bool = True) -> Iterator[Writer]:
    """A writer by suffix of what goes to `out`, which is whole when the block has ended."""
    if suffix == ".parquet":
        with parquet_to(out, table.columns) as writer:
            yield _stepped(writer, table)
    elif suffix == ".csv":
        yield _stepped(CsvWriter(out, table.columns, is_guarded=is_guarded), table)
    else:
        yield _stepped(_jsonl_writer(out, table.columns), table)


def _stepped(writer: Writer, table: Table) -> Writer:
    return _Stepped(writer, table) if table.steps else writer


class _Stepped:
    """A writer to which lines come by way of the steps."""

    def __init__(self, writer: Writer, table: Table) -> None:
        self._write, self._stepped = writer.write, table.stepped

    def write(self, merged: Merged) -> None:
        self._write(self._stepped(merged))


class JsonlWriter:
    """One JSON object a line, split at b"\n" only. What is JSON already is copied, never decoded."""

    def __init__(self, out: IO[bytes], columns: Sequence[Column]) -> None:
        self._write = out.write
        self._parts = _parts_of(columns)
        self.line = _usual_line(columns) or self._joined  # the line with its newline

    def write(self, merged: Merged) -> None:
        if len(merged[3]) < _LONG_BYTES:
            self._write(self.line(merged))
            return
        for part in self._parts(merged):
            self._write(part)

    def _joined(self, merged: Merged) -> bytes:
        return b"".join(self._parts(merged))


class _UsualWriter(JsonlWriter):
    """One of lines whose own values are the usual ones, in their usual order (`_usual_line`): it takes many.

    What they have in common is worked out once, and no call is made for a single one.
    """

    def __init__(self, out: IO[bytes], columns: Sequence[Column]) -> None:
        super().__init__(out, columns)
        self._columns = columns

    def write_usual(self, rows: Sequence[RowView], found: Sequence[Usual], about: Merged) -> None:
        """See `merge.BlockWriter`."""
        shared, between = _runs(self._columns)
        a, b, c, d, e, f, g = _literals(_getter(shared)(about), between)
        custom_ids, row_jsons, digests = zip(*rows, strict=True)
        bodies, texts, _ = zip(*found, strict=True)
        parts = [b""] * (11 * len(rows))
        parts[0::11] = [a] * len(rows)
        parts[1::11] = map(_encode, custom_ids)
        parts[2::11] = [b] * len(rows)
        parts[3::11] = row_jsons
        parts[4::11] = [c] * len(rows)
        parts[5::11] = texts
        parts[6::11] = [d] * len(rows)
        parts[7::11] = bodies
        parts[8::11] = [e + about.error + f + b'"'] * len(rows)
        parts[9::11] = hexlify(b"".join(digests), b"\n", 32).split(b"\n")
        parts[10::11] = [b'"' + g] * len(rows)
        self._write(b"".join(parts))


def _parts_of(columns: Sequence[Column]) -> Callable[[Merged], list[bytes]]:
    """A function from a line to the parts of its JSON, to be joined before the next call.

    Between the values of the line stand the names, and with them the texts that neighbours mostly share (batch,
    origin, ending), which are written anew only when one of them changes. A closure, since each line of each run comes
    through here: to look things up on an object was a fifth of the price.
    """
    shared_fields, between = _runs(columns)
    own = [column for column in columns if not _is_shared(column)]
    shared_of, fields_of = _getter(shared_fields), _getter([0 if column.part else column.field for column in own])
    texts = [2 * n + 1 for n, column in enumerate(own) if column.is_text]
    takes = [(2 * n + 1, column.take()) for n, column in enumerate(own) if column.part]
    parts = [b""] * (2 * len(own) + 1)
    last: tuple[Any, ...] | None = None

    def parts_of(merged: Merged) -> list[bytes]:
        nonlocal last
        if (shared := shared_of(merged)) != last:
            last = shared
            parts[::2] = _literals(shared, between)
        parts[1::2] = fields_of(merged)
        for place in texts:
            parts[place] = _encode(parts[place])
        for place, take in takes:
            parts[place] = take(merged)
        return parts

    return parts_of


_USUAL = tuple(map(Merged._fields.index, ("custom_id", "row", "answer", "response", "error", "digest")))
_USUALLY_SHARED = set(map(Merged._fields.index, ("batch", "origin", "finish")))


def _usual_line(columns: Sequence[Column]) -> Callable[[Merged], bytes] | None:
    """The same in one piece, for lines whose own values are these in this order; None for others.

    Nearly all files have them. Written out, with the texts that neighbours share in the literals between, a line takes
    two thirds of the time that the parts of any columns take.
    """
    own = [column for column in columns if not _is_shared(column)]
    shared_fields, between = _runs(columns)
    is_usual = tuple(column.field for column in own) == _USUAL and set(shared_fields) == _USUALLY_SHARED
    if not is_usual or any(column.part for column in own):
        return None
    shared_of = _getter(shared_fields)
    of_batch: object = object()  # the first line is another's
    of_origin = of_finish = of_batch
    a = b = c = d = e = f = g = b""

    def line(merged: Merged) -> bytes:
        nonlocal of_batch, of_origin, of_finish, a, b, c, d, e, f, g
        custom_id, row, answer, response, error, batch, digest, origin, finish, *_ = merged
        if batch != of_batch or origin != of_origin or finish != of_finish:
            of_batch, of_origin, of_finish = batch, origin, finish
            a, b, c, d, e, f, g = _literals(shared_of(merged), between)
            f, g = f + b'"', b'"' + g  # a digest has nothing that JSON would write otherwise
        return b"".join((a, _encode(custom_id), b, row, c, answer, d, response, e, error, f, digest.encode(), g))

    return line


def _literals(shared: tuple[Any, ...], between: list[_Run]) -> list[bytes]:
    """What stands around the values that each line has of its own."""
    values = [*map(_encode, shared), b""]
    return [b"".join([head + values[at] for head, at in run]) for run in between]


_Run = list[tuple[bytes, int]]  # literal, and the number of the shared text after it, -1 for none


def _runs(columns: Sequence[Column]) -> tuple[list[int], list[_Run]]:
    """The fields of shared texts, and what stands around the values that each line has of its own."""
    shared: list[int] = []
    between: list[_Run] = [[]]
    for number, column in enumerate(columns):
        head = (b"," if number else b"{") + _encode(column.name) + b":"
        if _is_shared(column):
            between[-1].append((head, len(shared)))
            shared.append(column.field)
        else:
            between[-1].append((head, -1))
            between.append([])
    between[-1].append((b"}\n", -1))
    return shared, between


def _is_shared(column: Column) -> bool:
    return column.is_text and column.name not in _OF_EACH


def _getter(fields: Sequence[int]) -> Callable[[Merged], tuple[Any, ...]]:
    """The fields of a line, always as a tuple."""
    if len(fields) > 1:
        return itemgetter(*fields)
    return lambda line: tuple([line[field] for field in fields])


class CsvWriter:
    """RFC 4180, UTF-8: text bare, all else as JSON.

    Text that a spreadsheet would run as a formula gets a leading apostrophe, ids and the input's columns included; a
    plain number such as `-5` does not.
    """

    def __init__(self, out: IO[bytes], columns: Sequence[Column], *, is_guarded: bool = True) -> None:
        self._cells = _cells(columns, is_guarded=is_guarded)
        self._write = out.write
        names = [column.name for column in columns]
        self._write(csv_line(map(guarded, names) if is_guarded else names))

    def write(self, merged: Merged) -> None:
        self._write(b",".join([cell(merged) for cell in self._cells]) + b"\r\n")


_Cell = Callable[[Merged], bytes]


def _cells(columns: Sequence[Column], *, is_guarded: bool) -> list[_Cell]:
    """How the cells of a line are made; columns of the input that stand side by side in one go."""
    cells: list[_Cell] = []
    for row, some in groupby(columns, lambda column: column.part if column.of_input else None):
        if isinstance(row, InputRow):
            cells.append(_input_cells(row, [column.field for column in some], is_guarded=is_guarded))
        else:
            cells += [_cell(column, is_guarded=is_guarded and not column.is_safe) for column in some]
    return cells


def _input_cells(row: InputRow, fields: list[int], *, is_guarded: bool) -> _Cell:
    texts = row.texts
    is_whole = fields == [*range(len(row.names))]

    def cells(line: Merged) -> bytes:
        found = texts(line)
        if not is_whole:
            found = [found[field] for field in fields]
        if is_guarded and not STARTS.isdisjoint([cell[:1] for cell in found]):
            found = [guarded(cell) for cell in found]
        return cells_bytes(found)

    return cells


def _cell(column: Column, *, is_guarded: bool) -> _Cell:
    """How a cell of a column is made of a line."""
    take, field = column.take(), column.field
    if column.is_text:
        return _text_cell(field, is_guarded=is_guarded) if column.name in _OF_EACH else _Shared(field, is_guarded)
    if column.kind.of is Of.JSON:  # to be read back as JSON, also where it is a text
        return lambda line: json_bytes(take(line))
    if is_guarded:
        return lambda line: cell_bytes(guarded(cell_of(take(line))))
    return lambda line: cell_bytes(cell_of(take(line)))


def _text_cell(field: int, *, is_guarded: bool) -> _Cell:
    get: Callable[[Merged], str | None] = itemgetter(field)
    if is_guarded:
        return lambda line: cell_bytes(guarded(get(line) or ""))
    return lambda line: cell_bytes(get(line) or "")


class _Shared:
    """A cell with a text that neighbours mostly share."""

    def __init__(self, field: int, is_guarded: bool) -> None:
        self._get: Callable[[Merged], str | None] = itemgetter(field)
        self._cell = _text_cell(field, is_guarded=is_guarded)
        self._text: str | None = None
        self._found = b""

    def __call__(self, line: Merged) -> bytes:
        text = self._get(line)
        if text != self._text:
            self._text, self._found = text, self._cell(line)
        return self._found
