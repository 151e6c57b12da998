"""A .parquet written by groups of rows, so that memory stays flat, each group column by column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import msgspec

from runner.errors import RunnerError
from runner.remotes.reading.verdict import NULL
from runner.results import columns as named
from runner.results import kinds
from runner.results.cells import cell_of
from runner.results.columns import Column, Part
from runner.results.inputs import InputRow
from runner.results.kinds import Kind, Of, Unfit, fitting
from runner.results.sources import Restored, restored
from runner.results.splice import Merged

GROUP_ROWS = 10_000  # rows of a row group, at most
GROUP_BYTES = 16 << 20  # and its bytes before compression, roughly
FORMAT_KEY = b"runner.format"  # in the metadata of the file

_decode = msgspec.json.Decoder().decode
_decode_all = msgspec.json.Decoder(list[Any]).decode


def pyarrow_of() -> Any:
    """pyarrow with its parquet module, imported only here: it is large and optional."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise RunnerError(".parquet needs pyarrow", hint="pip install 'runner-batch[parquet]'") from error
    return pa


@contextmanager
def parquet_to(out: BinaryIO, columns: Sequence[Column]) -> Iterator[ParquetWriter]:
    """A writer of .parquet on `out` while the block runs."""
    arrow = pyarrow_of()
    schema = arrow.schema([(column.name, _type(arrow, column.kind)) for column in columns])
    schema = schema.with_metadata({FORMAT_KEY: str(named.FORMAT).encode()})
    with arrow.parquet.ParquetWriter(out, schema, compression="zstd") as file:
        writer = ParquetWriter(file, arrow, schema, columns)
        yield writer
        writer.flush()


class ParquetWriter:
    """Values as their columns hold them; what does not fit its column, an answer beside its schema, is null.

    Lines are held as they come, and turned into columns a group at a time: a decoder takes ten thousand values in one
    call, and what several columns show of a line is worked out once.
    """

    def __init__(self, file: Any, arrow: Any, schema: Any, columns: Sequence[Column]) -> None:
        self._file, self._arrow, self._schema = file, arrow, schema
        self._columns = columns
        self._lines: list[Merged] = []
        self._size_bytes = 0

    def write(self, merged: Merged) -> None:
        self._lines.append(merged)
        self._size_bytes += len(merged[1]) + len(merged[2]) + len(merged[3])  # row, answer, response
        if len(self._lines) >= GROUP_ROWS or self._size_bytes >= GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is held as one row group."""
        lines, self._lines, self._size_bytes = self._lines, [], 0
        if not lines:
            return
        parts: dict[Part, list[Sequence[Any]]] = {}
        arrays = []
        for column, kind in zip(self._columns, self._schema.types, strict=True):
            values, is_json = _values(column, lines, parts)
            arrays.append(self._array(values, column.kind, kind, is_json=is_json))
        self._file.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))

    def _array(self, values: list[Any], kind: Kind, type_: Any, *, is_json: bool) -> Any:
        if kind.of is Of.JSON or kind.of is Of.NOTHING:
            return self._arrow.array([None if value == NULL else value for value in values], type_)
        if kind.of is Of.SOURCE:
            values = list(_restored(values, restored(self._arrow, kind.source)))
        elif is_json:
            values = _plain_as(values, kind)
        try:
            return self._arrow.array(values, type_)
        except (self._arrow.ArrowException, TypeError, OverflowError):  # an input beyond what its column holds
            return self._arrow.array(list(_fitted(values, kind)), type_)


def _plain_as(values: list[bytes], kind: Kind) -> list[Any]:
    """What JSON stands for, as a column of a kind holds it."""
    if kind.of is Of.TEXT:
        return list(_texts_in(values))
    plain = list(_plain_in(values))
    # arrow checks a vector of a thousand numbers itself, and says where one is none: then each is looked at
    return plain if kind.of is Of.VECTOR else list(_fitted(plain, kind))


def _values(column: Column, lines: list[Merged], parts: dict[Part, list[Sequence[Any]]]) -> tuple[list[Any], bool]:
    """The values of a column, and whether they are JSON. parts: worked out before, for other columns."""
    field, part, is_json = column.field, column.part, column.is_json
    if part is None:
        return [line[field] for line in lines], is_json
    if isinstance(part, InputRow) and column.kind.of is not Of.JSON:
        part, is_json = part.plain, False
    if part not in parts:
        parts[part] = list(map(part, lines))
    return [found[field] for found in parts[part]], is_json


def _texts_in(values: list[bytes]) -> list[str | None]:
    """The texts of JSON strings; what is another JSON as it is written."""
    with suppress(msgspec.MsgspecError):
        texts: list[str | None] = _decode_texts(b"[" + b",".join(values) + b"]")
        return texts
    return [None if value == NULL else cell_of(value) for value in values]


_decode_texts = msgspec.json.Decoder(list[str | None]).decode


def _plain_in(values: list[bytes]) -> Iterable[Any]:
    """The values that JSON stands for; none where it is none."""
    try:
        return _decode_all(b"[" + b",".join(values) + b"]")
    except (msgspec.MsgspecError, RecursionError):
        return map(_plain, values)


def _plain(value: bytes) -> Any:
    try:
        return _decode(value)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _fitted(values: Iterable[Any], kind: Kind) -> Iterator[Any]:
    fit: Callable[[Any], Any] = fitting(kind)
    for value in values:
        try:
            yield None if value is None else fit(value)
        except Unfit:
            yield None


def _restored(values: list[Any], source: Restored | None) -> Iterable[Any]:
    """The values of a source; one that does not come back is null."""
    back = source.back if source else None
    return values if back is None else (_back(value, back) for value in values)


def _back(value: Any, back: Callable[[Any], Any]) -> Any:
    try:
        return None if value is None else back(value)
    except (ValueError, TypeError, AttributeError, ArithmeticError):
        return None


def kind_of(source: Any) -> Kind:
    """The kind of a column whose type in the input is `source`, of arrow."""
    found = restored(pyarrow_of(), source)
    return kinds.JSON if found is None else Kind(Of.SOURCE, source=source)


def _type(arrow: Any, kind: Kind) -> Any:
    """The type of a column in arrow."""
    match kind.of:
        case Of.SOURCE:
            found = restored(arrow, kind.source)
            return found.type if found else arrow.string()
        case Of.FLAG:
            return arrow.bool_()
        case Of.WHOLE:
            return arrow.int64()
        case Of.NUMBER:
            return arrow.float64()
        # Doubles, though models compute in floats: a number comes back as the remote wrote it, where floats would show
        # 0.1 as 0.10000000149. Compressed, a decimal takes hardly more.
        case Of.VECTOR:
            return arrow.list_(arrow.float64())
        case Of.LIST:
            return arrow.list_(_type(arrow, kind.item or Kind(Of.TEXT)))
        case Of.RECORD:
            return arrow.struct([(name, _type(arrow, one)) for name, one in kind.fields.items()])
        case _:
            return arrow.string()
