"""Rows of a Parquet file, with every value turned into something JSON can say, always the same way."""

from __future__ import annotations

import base64
import io
import math
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import IO, Any
from uuid import UUID

from runner.data.block import Bad, Block, told
from runner.data.picks import Picks
from runner.errors import DataError, Mark

BATCH_ROWS = 4096
_AGAIN = "copy or download it again, or write it anew"
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # the zone is added as text
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def read(file: io.BufferedReader[Any], name: str, picks: Picks, *, bad: Bad | None = None) -> Iterator[Block]:
    """The asked rows in runs; lines count rows from 1.

    Times become ISO 8601 text (zoned ones in UTC, with `Z`), decimals their digits, bytes base64, durations seconds,
    NaN and infinity null. bad: takes what is wrong with single rows, which are then left out.
    Raises DataError for doubled column names and values without a JSON form.
    """
    before = 0
    try:
        with _seekable(file) as whole:
            source = _pyarrow(name).ParquetFile(whole)
            _check_names(source.schema_arrow.names, name)
            for batch in source.iter_batches(BATCH_ROWS):
                if not picks.skip(batch.num_rows):
                    yield from _block(batch, name, before, picks, bad)
                if picks.done:
                    return
                before += batch.num_rows
    except (ValueError, OverflowError, NotImplementedError, OSError) as error:  # pyarrow's errors are of these
        raise _unreadable(error, Mark(name, before)) from error


def types_in(file: io.BufferedReader[Any], name: str) -> dict[str, Any]:
    """The columns of a file, with the types that arrow gives them. Raises DataError as `read` does."""
    try:
        with _seekable(file) as whole:
            schema = _pyarrow(name).ParquetFile(whole).schema_arrow
            _check_names(schema.names, name)
            return dict(zip(schema.names, schema.types, strict=True))
    except (ValueError, NotImplementedError, OSError) as error:  # pyarrow's errors are of these
        raise _unreadable(error, Mark(name)) from error


def _pyarrow(name: str) -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            f"`{name}` needs the pyarrow package", hint="run `pip install 'runner-batch[parquet]'`", mark=Mark(name)
        ) from error
    return pyarrow.parquet


def _seekable(file: IO[bytes]) -> IO[bytes]:
    """Parquet is read from its end: an unpacked stream goes through a temporary file first."""
    if isinstance(getattr(file, "raw", None), io.FileIO):
        return file
    copy = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    shutil.copyfileobj(file, copy, 1 << 20)
    copy.seek(0)
    return copy


_REASONS = (  # a word of pyarrow's, what is said in its place, and the way out
    (r"magic bytes not found in footer|file size is", "is cut short: its end is missing", _AGAIN),
    (r"[Dd]ecrypt|[Ee]ncrypted", "is encrypted", "write it without encryption"),
    (r"[Cc]odec|[Cc]ompression", "is packed in a way that pyarrow cannot unpack", "write it with `compression='zstd'`"),
    (r"[Dd]eserializ|[Cc]orrupt|[Uu]nexpected end|[Ii]nvalid|thrift|EOF|out of range|read .* bytes",
     "is damaged", _AGAIN),
)  # fmt: skip


def _unreadable(error: Exception, mark: Mark) -> DataError:
    """What pyarrow could not read, by its kind; its own words, which may name its innards, come last."""
    words = str(error).partition("\n")[0].strip().rstrip(".")
    for pattern, said, hint in _REASONS:
        if re.search(pattern, words):
            return DataError(f"the Parquet file {said} ({words[:200]})", hint=hint, mark=mark)
    return DataError(
        f"cannot read the Parquet file: {words[:200]}", hint="write the table anew, for example as `.jsonl`", mark=mark
    )


def _check_names(names: list[str], name: str) -> None:
    for column, times in Counter(names).items():
        if not column.strip():
            raise DataError("a column has no name", hint="name it, or write the table without it", mark=Mark(name))
        if times > 1:
            raise DataError(f"the column `{column}` is there twice", hint="rename one of them", mark=Mark(name))


def _block(batch: Any, name: str, before: int, picks: Picks, bad: Bad | None) -> Iterator[Block]:
    """The asked rows of one batch; `before` rows of the file come before it."""
    first = picks.position + 1
    numbers = picks.among(batch.num_rows)
    found = _Values()
    columns = [found.of(column, name) for name, column in zip(batch.schema.names, batch.columns, strict=True)]
    asked = [number - first for number in numbers]
    good = []
    for offset in asked:
        if offset in found.wrong:
            told(bad, DataError(found.wrong[offset], mark=Mark(name, before + offset + 1)))
        else:
            good.append(offset)
    rows = list(zip(*columns, strict=True)) if columns else [()] * batch.num_rows
    if good:
        yield Block(
            name,
            [before + offset + 1 for offset in good],
            numbers if len(good) == len(asked) else [first + offset for offset in good],
            [dict(zip(batch.schema.names, rows[offset], strict=True)) for offset in good],
            nulled={first + offset: tuple(names) for offset, names in found.nulled.items()},
        )


class _Values:
    """The columns of one batch as JSON-able values, and what was found on the way, by row of the batch."""

    def __init__(self) -> None:
        self.wrong: dict[int, str] = {}
        self.nulled: dict[int, list[str]] = {}

    def of(self, column: Any, name: str) -> list[Any]:
        import pyarrow as pa

        kind = column.type
        if pa.types.is_timestamp(kind):
            # Python's datetime has no nanoseconds: write the text from the integer
            return self._each(column.cast(pa.int64()), _instant(kind.unit, kind.tz is not None), name)
        plain = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind)
        if plain or pa.types.is_large_string(kind):
            # most columns: nothing is looked at value by value
            values: list[Any] = column.to_pylist()
            return values
        return self._each(column, _plain, name)

    def _each(self, column: Any, convert: Callable[[Any], Any], name: str) -> list[Any]:
        out = []
        for offset, value in enumerate(column.to_pylist()):
            try:
                out.append(None if value is None else convert(value))
            except _NoNumber:
                out.append(_without_nan(value))
                self.nulled.setdefault(offset, []).append(name)
            except (ValueError, OverflowError) as error:
                out.append(None)
                self.wrong.setdefault(offset, f"column `{name}`: {error}")
        return out


class _NoNumber(Exception):
    """NaN or infinity, which JSON cannot say."""


def _without_nan(value: Any) -> Any:
    """The same as JSON, with null for NaN and infinity."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): _without_nan(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_nan(item) for item in value]
        case _:
            return _plain(value)


def _instant(unit: str, is_zoned: bool) -> Callable[[int], str]:
    per_second, digits = _PER_SECOND[unit], _DIGITS[unit]

    def text(value: int) -> str:
        seconds, rest = divmod(value, per_second)
        fraction = f"{rest:0{digits}d}".rstrip("0") if rest else ""
        whole = (_EPOCH + timedelta(seconds=seconds)).isoformat()
        return whole + (f".{fraction}" if fraction else "") + ("Z" if is_zoned else "")

    return text


def _plain(value: Any) -> Any:
    """A Python value that pyarrow made, as JSON has it. Raises ValueError for what has no JSON form, and _NoNumber."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if not math.isfinite(value):
                raise _NoNumber
            return value
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case datetime():
            is_zoned = value.tzinfo is not None
            naive = value.astimezone(UTC).replace(tzinfo=None) if is_zoned else value
            return _instant("us", is_zoned)((naive - _EPOCH) // timedelta(microseconds=1))
        case date() | time():
            return value.isoformat()
        case timedelta():
            return format(Decimal(value // timedelta(microseconds=1)).scaleb(-6).normalize(), "f")
        case Decimal():
            return format(value, "f")
        case bytes():
            return base64.b64encode(value).decode()
        case UUID():
            return str(value)
        case _:
            raise ValueError(f"a value of type {type(value).__name__} has no JSON form")
