"""Results of a job whose requests are recordings, as one table: a line for each, what was heard in columns of its own.

`response` holds the whole answer, so a table alone is enough to know every answer again.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, BinaryIO

import msgspec

from runner.results.answer import NULL
from runner.results.cells import cell_of, csv_line, guarded
from runner.results.merge import Writer
from runner.results.parquet import ParquetRows, rows_to
from runner.results.splice import Merged
from runner.results.transcript import transcript_of

HEARD = ("duration", "language", "text", "words", "segments", "speakers")
ENDING = ("error", "batch", "digest", "origin", "response")
COLUMNS = ("custom_id", "file", *HEARD, *ENDING)

_encode = msgspec.json.Encoder().encode


def line_form(columns: Sequence[str]) -> bytes:
    """A JSON object with these keys on one line, to be filled with `%`."""
    return b"{%b}\n" % b",".join(b'"%b":%%b' % name.encode() for name in columns)


def ending_of(merged: Merged) -> tuple[bytes, ...]:
    """The values under `ENDING`, as JSON."""
    return (
        merged.error,
        _encode(merged.batch),
        b'"%b"' % merged.digest.encode(),
        _encode(merged.origin),
        merged.response,
    )


class JsonlWriter:
    """One JSON object a line."""

    def __init__(self, out: IO[bytes]) -> None:
        self._write = out.write
        self._form = line_form(COLUMNS)

    def write(self, merged: Merged) -> None:
        self._write(self._form % (_encode(merged.custom_id), *transcript_of(merged), *ending_of(merged)))


class CsvWriter:
    """RFC 4180, UTF-8. Words, segments, speakers, error and response are JSON text.

    Text of an answer that a spreadsheet would run as a formula gets a leading apostrophe; ids and file names do not.
    """

    def __init__(self, out: io.TextIOWrapper) -> None:
        self._write = out.write
        self._write(csv_line(COLUMNS))

    def write(self, merged: Merged) -> None:
        file, duration, *heard = map(cell_of, transcript_of(merged))
        cells = (
            merged.custom_id,
            file,
            duration,
            *map(guarded, heard),
            cell_of(merged.error),
            merged.batch or "",
            merged.digest,
            merged.origin or "",
            cell_of(merged.response),
        )
        self._write(csv_line(cells))


@contextmanager
def parquet_writer(out: BinaryIO) -> Iterator[Writer]:
    """A .parquet of recordings on `out`, whole when the block ends."""
    with rows_to(out, COLUMNS, numbers=("duration",)) as rows:
        yield ParquetWriter(rows)


class ParquetWriter:
    """The same columns: `duration` is a number, all others are text, some of it JSON."""

    def __init__(self, rows: ParquetRows) -> None:
        self._add = rows.add

    def write(self, merged: Merged) -> None:
        heard = transcript_of(merged)
        text = [None if part == NULL else cell_of(part) for part in heard]
        cells = (
            merged.custom_id,
            text[0],
            None if heard.duration == NULL else float(heard.duration),
            *text[2:],
            None if merged.error == NULL else merged.error.decode(),
            merged.batch,
            merged.digest,
            merged.origin,
            None if merged.response == NULL else merged.response.decode(),
        )
        self._add(cells, 2 * len(merged.response) + len(merged.row))
