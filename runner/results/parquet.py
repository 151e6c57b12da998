"""A .parquet written by groups of rows, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from runner.errors import RunnerError

GROUP_ROWS = 10_000  # rows of a row group, at most
GROUP_BYTES = 16 << 20  # and its bytes before compression, roughly


def pyarrow_of() -> Any:
    """pyarrow with its parquet module, imported only here: it is large and optional."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise RunnerError(".parquet needs pyarrow", hint="pip install 'runner-batch[parquet]'") from error
    return pa


@contextmanager
def rows_to(out: BinaryIO, columns: Sequence[str], *, numbers: Sequence[str] = ()) -> Iterator[ParquetRows]:
    """A .parquet on `out` while the block runs. numbers: those of the columns that are no text."""
    arrow = pyarrow_of()
    schema = arrow.schema([(name, arrow.float64() if name in numbers else arrow.string()) for name in columns])
    with arrow.parquet.ParquetWriter(out, schema, compression="zstd") as file:
        rows = ParquetRows(file, arrow, schema)
        yield rows
        rows.flush()


class ParquetRows:
    """Rows on their way into a file."""

    def __init__(self, file: Any, arrow: Any, schema: Any) -> None:
        self._file, self._arrow, self._schema = file, arrow, schema
        self._rows: list[tuple[str | float | None, ...]] = []
        self._size_bytes = 0

    def add(self, cells: tuple[str | float | None, ...], size_bytes: int) -> None:
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
