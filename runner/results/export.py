"""Writers of results files: .jsonl, .csv and .parquet, chosen by suffix, each a stream with flat memory."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import msgspec
from msgspec import Raw

from runner.compile.compiled import RowView
from runner.errors import DataError, RunnerError, UsageError
from runner.results.answer import NULL
from runner.results.merge import Writer
from runner.results.splice import Merged
from runner.results.wholefile import target_of, whole

SUFFIXES = (".jsonl", ".csv", ".parquet")
ENDING = ("answer", "error", "batch", "digest", "origin", "response")  # the last columns of a .csv, in this order
GROUP_ROWS = 10_000  # rows of a parquet row group, at most
GROUP_BYTES = 16 << 20  # and its bytes before compression, roughly

_encode = msgspec.json.Encoder().encode
_decode_row = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_FORMULA = re.compile(r"[=+\-@\t\r]")
_SPECIAL = re.compile(r'[",\r\n]')
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\Z")


@contextmanager
def writer_for(path: Path, root: Path, *, columns: Sequence[str] = ()) -> Iterator[Writer]:
    """A writer by suffix. The file appears under its name, whole, when the block ends well, and else not at all.

    root: the project root; the file lies inside it, links followed. columns: of the rows, for .csv, see `columns_of`.
    Raises UsageError for another suffix, RunnerError outside the root or where pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"`{path.name}` has an unknown suffix", hint=f"use one of {', '.join(SUFFIXES)}")
    arrow = pyarrow_of() if suffix == ".parquet" else None
    with ExitStack() as stack:
        out = stack.enter_context(whole(target_of(path, root)))
        if arrow is not None:
            yield stack.enter_context(_parquet(out, arrow))
        elif suffix == ".csv":
            text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=False)
            stack.callback(text.detach)
            yield CsvWriter(text, columns)
            text.flush()
        else:
            yield JsonlWriter(out)


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
        self._write(self.line(merged))

    def line(self, merged: Merged) -> bytes:
        """The line with its newline."""
        custom_id, row, answer, response, error, batch, digest, origin = merged
        if batch != self._batch or origin != self._origin:  # neighbours mostly share a batch
            self._batch, self._origin = batch, origin
            self._middle, self._end = _around_digest(batch, origin)
        return b"".join(  # a quarter cheaper than a format
            (
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
        )


def _around_digest(batch: str | None, origin: str | None) -> tuple[bytes, bytes]:
    return b',"batch":%b,"digest":"' % _encode(batch), b'","origin":%b}\n' % _encode(origin)


class CsvWriter:
    """`custom_id`, the columns of the row as they are, then ours; RFC 4180, UTF-8.

    A column of ours whose name the row has already gets the suffix `_result`. Text of an answer that a spreadsheet
    would run as a formula gets a leading apostrophe; a plain number such as `-5` does not.
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


def csv_line(cells: Iterable[str]) -> str:
    """One record of RFC 4180. Quicker on long cells than the standard writer, which goes by character."""
    quoted = ['"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell for cell in cells]
    return ",".join(quoted) + "\r\n"


def cell_of(value: bytes) -> str:
    """A JSON value as text of a cell: strings bare, null empty, numbers as they were written, the rest as JSON."""
    if value == NULL:
        return ""
    return _decode_text(value) if value[:1] == b'"' else value.decode()


def guarded(cell: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return "'" + cell if _FORMULA.match(cell) and not _NUMBER.match(cell) else cell


def unguarded(cell: str) -> str:
    """What `guarded` was given."""
    return cell[1:] if cell[:1] == "'" and guarded(cell[1:]) == cell else cell


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_result"
    taken.add(name)
    return name


# --- parquet ----------------------------------------------------------------------------------------------------

PARQUET_COLUMNS = ("custom_id", "row", "answer", "response", "error", "batch", "digest", "origin")


def pyarrow_of() -> Any:
    """pyarrow with its parquet module, imported only here: it is large and optional."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise RunnerError(".parquet needs pyarrow", hint="pip install 'runner[parquet]'") from error
    return pa


@contextmanager
def _parquet(out: BinaryIO, arrow: Any) -> Iterator[Writer]:
    schema = arrow.schema([(name, arrow.string()) for name in PARQUET_COLUMNS])
    with arrow.parquet.ParquetWriter(out, schema, compression="zstd") as file:
        writer = ParquetWriter(file, arrow, schema)
        yield writer
        writer.flush()


class ParquetWriter:
    """Eight text columns, the same for every job: `row`, `response` and `error` hold JSON, `answer` its text."""

    def __init__(self, file: Any, arrow: Any, schema: Any) -> None:
        self._file, self._arrow, self._schema = file, arrow, schema
        self._rows: list[tuple[str | None, ...]] = []
        self._size_bytes = 0

    def write(self, merged: Merged) -> None:
        self._rows.append(
            (
                merged.custom_id,
                merged.row.decode(),
                None if merged.answer == NULL else cell_of(merged.answer),
                None if merged.response == NULL else merged.response.decode(),
                None if merged.error == NULL else merged.error.decode(),
                merged.batch,
                merged.digest,
                merged.origin,
            )
        )
        self._size_bytes += len(merged.row) + len(merged.answer) + len(merged.response)
        if len(self._rows) >= GROUP_ROWS or self._size_bytes >= GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is held as one row group."""
        if self._rows:
            arrays = [self._arrow.array(column, self._arrow.string()) for column in zip(*self._rows, strict=True)]
            self._file.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        self._rows, self._size_bytes = [], 0
