"""A .parquet of typed columns, written by groups of rows, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import msgspec

from runner.errors import RunnerError
from runner.remotes.reading.verdict import NULL
from runner.results import columns as named
from runner.results.cells import cell_of
from runner.results.columns import Column
from runner.results.kinds import Kind, Of, Unfit, fitting
from runner.results.splice import Merged

GROUP_ROWS = 10_000  # rows of a row group, at most
GROUP_BYTES = 16 << 20  # and its bytes before compression, roughly
FORMAT_KEY = b"runner.format"  # in the metadata of the file

_decode = msgspec.json.Decoder().decode


def pyarrow_of() -> Any:
    """pyarrow with its parquet module, imported only here: it is large and optional."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise RunnerError(".parquet needs pyarrow", hint="pip install 'runner-batch[parquet]'") from error
    return pa


@contextmanager
def parquet_to(out: BinaryIO, columns: Sequence[Column]) -> Iterator[ParquetRows]:
    """A .parquet on `out` while the block runs."""
    arrow = pyarrow_of()
    schema = arrow.schema([(column.name, _type(arrow, column.kind)) for column in columns])
    schema = schema.with_metadata({FORMAT_KEY: str(named.FORMAT).encode()})
    with arrow.parquet.ParquetWriter(out, schema, compression="zstd") as file:
        rows = ParquetRows(file, arrow, schema)
        yield rows
        rows.flush()


class ParquetRows:
    """Rows on their way into a file."""

    def __init__(self, file: Any, arrow: Any, schema: Any) -> None:
        self._file, self._arrow, self._schema = file, arrow, schema
        self._rows: list[list[Any]] = []
        self._size_bytes = 0

    def add(self, cells: list[Any], size_bytes: int) -> None:
        """One row. size_bytes: what it holds in memory, roughly."""
        self._rows.append(cells)
        self._size_bytes += size_bytes
        if len(self._rows) >= GROUP_ROWS or self._size_bytes >= GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is held as one row group."""
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [self._arrow.array(cells, kind) for cells, kind in zip(columns, self._schema.types, strict=True)]
            self._file.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        self._rows, self._size_bytes = [], 0


class ParquetWriter:
    """Values as their columns hold them; what does not fit its column, an answer beside its schema, is null."""

    def __init__(self, rows: ParquetRows, columns: Sequence[Column]) -> None:
        self._add = rows.add
        self._values = [_value(column) for column in columns]

    def write(self, merged: Merged) -> None:
        size = len(merged.row) + len(merged.answer) + len(merged.response)
        self._add([value(merged) for value in self._values], size)


def _value(column: Column) -> Callable[[Merged], Any]:
    """How the value of a column is made of a line."""
    take, text = column.take, column.text
    if text is not None and column.kind.of is Of.TEXT:
        return text
    match column.kind.of:
        case Of.TEXT:
            return lambda line: None if (value := take(line)) == NULL else cell_of(value)
        case Of.JSON | Of.NOTHING:
            return lambda line: None if (value := take(line)) == NULL else value.decode()
        case _:
            return _typed(take, fitting(column.kind))


def _typed(take: Callable[[Merged], bytes], fit: Callable[[Any], Any]) -> Callable[[Merged], Any]:
    def value(line: Merged) -> Any:
        found = take(line)
        if found == NULL:
            return None
        try:
            return fit(_decode(found))
        except (Unfit, msgspec.MsgspecError, RecursionError):
            return None

    return value


def _type(arrow: Any, kind: Kind) -> Any:
    """The type of a column in arrow."""
    match kind.of:
        case Of.FLAG:
            return arrow.bool_()
        case Of.WHOLE:
            return arrow.int64()
        case Of.NUMBER:
            return arrow.float64()
        case Of.LIST:
            return arrow.list_(_type(arrow, kind.item or Kind(Of.TEXT)))
        case Of.RECORD:
            return arrow.struct([(name, _type(arrow, one)) for name, one in kind.fields.items()])
        case _:
            return arrow.string()
