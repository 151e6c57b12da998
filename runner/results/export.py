"""Writers of results files: .jsonl, .csv and .parquet, chosen by suffix, each a stream with flat memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

import msgspec
from msgspec import Raw

from runner.compile.compiled import RowView
from runner.errors import DataError, UsageError
from runner.files import whole
from runner.results import recordings
from runner.results.answer import NULL
from runner.results.cells import cell_of, csv_line, guarded
from runner.results.merge import Writer
from runner.results.parquet import ParquetRows, pyarrow_of, rows_to
from runner.results.splice import Merged
from runner.results.wholefile import target_of

SUFFIXES = (".jsonl", ".csv", ".parquet")
ENDING = ("answer", "error", "batch", "digest", "origin", "response")  # the last columns of a .csv, in this order
PARQUET_COLUMNS = ("custom_id", "row", "answer", "response", "error", "batch", "digest", "origin")

_LONG_BYTES = 1 << 20  # a response that is not worth a copy
_encode = msgspec.json.Encoder().encode
_decode_row = msgspec.json.Decoder(dict[str, Raw]).decode


class _Table(NamedTuple):
    """How the lines of one kind of job look in each format."""

    jsonl: Callable[[IO[bytes]], Writer]
    csv: Callable[[io.TextIOWrapper], Writer]
    parquet: Callable[[BinaryIO], AbstractContextManager[Writer]]


def writer_for(path: Path, root: Path, *, columns: Sequence[str] = ()) -> AbstractContextManager[Writer]:
    """A writer by suffix. The file appears under its name, whole, when the block ends well, and else not at all.

    root: the project root; the file lies inside it, links followed. columns: of the rows, for .csv, see `columns_of`.
    Raises UsageError for another suffix, RunnerError outside the root or where pyarrow is not installed.
    """
    return _opened(path, root, _Table(JsonlWriter, lambda out: CsvWriter(out, columns), _parquet))


def recordings_writer_for(path: Path, root: Path) -> AbstractContextManager[Writer]:
    """The same for a job whose requests are recordings."""
    return _opened(path, root, _Table(recordings.JsonlWriter, recordings.CsvWriter, recordings.parquet_writer))


@contextmanager
def _opened(path: Path, root: Path, table: _Table) -> Iterator[Writer]:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"`{path.name}` has an unknown suffix", hint=f"use one of {', '.join(SUFFIXES)}")
    if suffix == ".parquet":
        pyarrow_of()  # before anything is opened
    with ExitStack() as stack:
        out = stack.enter_context(whole(target_of(path, root)))
        if suffix == ".parquet":
            yield stack.enter_context(table.parquet(out))
        elif suffix == ".csv":
            text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=False)
            stack.callback(text.detach)
            yield table.csv(text)
            text.flush()
        else:
            yield table.jsonl(out)


def columns_of(rows: Iterable[RowView]) -> tuple[str, ...]:
    """The columns of all rows in order of first appearance: what a .csv has to know before its first line."""
    seen: dict[str, None] = {}
    for row in rows:
        seen.update(dict.fromkeys(_decode_row(row.row_json)))
    return tuple(seen)


class JsonlWriter:
    """One JSON object a line, split at b"\\n" only."""

    def __init__(self, out: IO[bytes]) -> None:
        self._write = out.write
        self._batch: str | None = None
        self._origin: str | None = None
        self._middle, self._end = _around_digest(None, None)

    def write(self, merged: Merged) -> None:
        if len(merged.response) < _LONG_BYTES:
            self._write(self.line(merged))
            return
        for part in self._parts(merged):
            self._write(part)

    def line(self, merged: Merged) -> bytes:
        """The line with its newline."""
        return b"".join(self._parts(merged))  # a quarter cheaper than a format

    def _parts(self, merged: Merged) -> tuple[bytes, ...]:
        custom_id, row, answer, response, error, batch, digest, origin = merged
        if batch != self._batch or origin != self._origin:  # neighbours mostly share a batch
            self._batch, self._origin = batch, origin
            self._middle, self._end = _around_digest(batch, origin)
        return (
            b'{"custom_id":',
            _encode(custom_id),
            b',"row":',
            row,
            b',"answer":',
            answer,
            b',"response":',
            response,
            b',"error":',
            error,
            self._middle,
            digest.encode(),
            self._end,
        )


def _around_digest(batch: str | None, origin: str | None) -> tuple[bytes, bytes]:
    return b',"batch":%b,"digest":"' % _encode(batch), b'","origin":%b}\n' % _encode(origin)


class CsvWriter:
    """`custom_id`, the columns of the row as they are, then ours; RFC 4180, UTF-8.

    A column of ours whose name the row has already gets the suffix `_result`. Text of an answer that a spreadsheet
    would run as a formula gets a leading apostrophe; a plain number such as `-5` does not. Ids and the columns of the
    row stay as they are: they are the author's own data, and a guard would break joins and reading them back.
    """

    def __init__(self, out: io.TextIOWrapper, columns: Sequence[str]) -> None:
        self._columns = {name: number for number, name in enumerate(columns)}
        self._write = out.write
        taken = set(columns)
        first, *rest = [_free(name, taken) for name in ("custom_id", *ENDING)]
        self._write(csv_line((first, *columns, *rest)))

    def write(self, merged: Merged) -> None:
        cells = [""] * len(self._columns)
        for name, value in _decode_row(merged.row).items():
            number = self._columns.get(name)
            if number is None:
                raise DataError(
                    f"row `{merged.custom_id}` has a column `{name}` that the rows before it lack",
                    hint="write .jsonl instead, or give every row the same columns",
                )
            cells[number] = cell_of(bytes(value))
        ours = (
            guarded(cell_of(merged.answer)),
            cell_of(merged.error),
            merged.batch or "",
            merged.digest,
            merged.origin or "",
            cell_of(merged.response),
        )
        self._write(csv_line((merged.custom_id, *cells, *ours)))


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_result"
    taken.add(name)
    return name


@contextmanager
def _parquet(out: BinaryIO) -> Iterator[Writer]:
    with rows_to(out, PARQUET_COLUMNS) as rows:
        yield ParquetWriter(rows)


class ParquetWriter:
    """Eight text columns, the same for every job: `row`, `response` and `error` hold JSON, `answer` its text."""

    def __init__(self, rows: ParquetRows) -> None:
        self._add = rows.add

    def write(self, merged: Merged) -> None:
        cells = (
            merged.custom_id,
            merged.row.decode(),
            None if merged.answer == NULL else cell_of(merged.answer),
            None if merged.response == NULL else merged.response.decode(),
            None if merged.error == NULL else merged.error.decode(),
            merged.batch,
            merged.digest,
            merged.origin,
        )
        self._add(cells, len(merged.row) + len(merged.answer) + len(merged.response))
