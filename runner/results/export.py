"""Writers of results files: .jsonl, .csv and .parquet, chosen by suffix, each a stream with flat memory.

They know columns, and nothing of what a line holds, see `columns`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import msgspec

from runner.errors import UsageError
from runner.files import whole
from runner.remotes.reading.verdict import NULL
from runner.results.cells import FORMULA_STARTS, cell_of, csv_line, guarded
from runner.results.columns import Column, Table
from runner.results.kinds import Of
from runner.results.merge import Writer
from runner.results.parquet import ParquetWriter, parquet_to, pyarrow_of
from runner.results.splice import Merged
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
    with ExitStack() as stack:
        out = stack.enter_context(whole(target_of(path, root), keeps_equal=True))
        writer: Writer
        if suffix == ".parquet":
            writer = ParquetWriter(stack.enter_context(parquet_to(out, table.columns)), table.columns)
            yield _stepped(writer, table)
        elif suffix == ".csv":
            text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=False)
            stack.callback(text.detach)
            yield _stepped(CsvWriter(text, table.columns, is_guarded=is_guarded), table)
            text.flush()
        else:
            yield _stepped(JsonlWriter(out, table.columns), table)


def _stepped(writer: Writer, table: Table) -> Writer:
    return _Stepped(writer, table) if table.steps else writer


class _Stepped:
    """A writer to which lines come by way of the steps."""

    def __init__(self, writer: Writer, table: Table) -> None:
        self._write, self._stepped = writer.write, table.stepped

    def write(self, merged: Merged) -> None:
        self._write(self._stepped(merged))


class JsonlWriter:
    """One JSON object a line, split at b"\n" only. What is JSON already is copied, never decoded.

    A line is joined from parts: between the values of the line stand the names, and with them the texts that
    neighbours mostly share (batch, origin, ending), which are written anew only when one of them changes.
    """

    def __init__(self, out: IO[bytes], columns: Sequence[Column]) -> None:
        self._write = out.write
        shared, between = _runs(columns)
        self._between = between
        self._shared = _getter(shared)
        self._last: tuple[Any, ...] | None = None
        own = [column for column in columns if not _is_shared(column)]
        self._fields = _getter([column.field or 0 for column in own])
        self._texts = [2 * n + 1 for n, column in enumerate(own) if column.field is not None and column.text]
        self._takes = [(2 * n + 1, column.take) for n, column in enumerate(own) if column.field is None]
        self._parts = [b""] * (2 * len(own) + 1)

    def write(self, merged: Merged) -> None:
        if len(merged[3]) < _LONG_BYTES:
            self._write(b"".join(self._filled(merged)))
            return
        for part in self._filled(merged):
            self._write(part)

    def line(self, merged: Merged) -> bytes:
        """The line with its newline."""
        return b"".join(self._filled(merged))  # a quarter cheaper than a format

    def _filled(self, merged: Merged) -> list[bytes]:
        parts = self._parts
        shared = self._shared(merged)
        if shared != self._last:
            self._last = shared
            texts = [*map(_encode, shared), b""]
            parts[::2] = [b"".join([head + texts[at] for head, at in run]) for run in self._between]
        parts[1::2] = self._fields(merged)
        for place in self._texts:
            parts[place] = _encode(parts[place])
        for place, take in self._takes:
            parts[place] = take(merged)
        return parts


_Run = list[tuple[bytes, int]]  # literal, and the number of the shared text after it, -1 for none


def _runs(columns: Sequence[Column]) -> tuple[list[int], list[_Run]]:
    """The fields of shared texts, and what stands around the values that each line has of its own."""
    shared: list[int] = []
    between: list[_Run] = [[]]
    for number, column in enumerate(columns):
        head = (b"," if number else b"{") + _encode(column.name) + b":"
        if _is_shared(column):
            between[-1].append((head, len(shared)))
            shared.append(column.field or 0)
        else:
            between[-1].append((head, -1))
            between.append([])
    between[-1].append((b"}\n", -1))
    return shared, between


def _is_shared(column: Column) -> bool:
    return column.field is not None and column.text is not None and column.name not in _OF_EACH


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

    def __init__(self, out: io.TextIOWrapper, columns: Sequence[Column], *, is_guarded: bool = True) -> None:
        self._cells = [_cell(column) for column in columns]
        self._risky = [n for n, column in enumerate(columns) if is_guarded and _is_risky(column)]
        self._write = out.write
        names = [column.name for column in columns]
        self._write(csv_line(map(guarded, names) if is_guarded else names))

    def write(self, merged: Merged) -> None:
        cells = [cell(merged) or "" for cell in self._cells]
        for n in self._risky:
            if (cell := cells[n]) and cell[0] in FORMULA_STARTS:
                cells[n] = guarded(cell)
        self._write(csv_line(cells))


def _is_risky(column: Column) -> bool:
    """Whether a stranger could make it begin a formula: it is text that came from outside."""
    return not column.is_safe and column.kind.of is not Of.JSON


def _cell(column: Column) -> Callable[[Merged], str | None]:
    """How a cell of a column is made of a line."""
    take = column.take
    if column.text is not None:
        return column.text
    if column.kind.of is Of.JSON:  # to be read back as JSON, also where it is a text
        return lambda line: None if (value := take(line)) == NULL else value.decode()
    return lambda line: cell_of(take(line))
