"""Rows of a CSV file: a header, then text. Quoted line breaks are fine, ragged rows are not."""

from __future__ import annotations

import csv
from codecs import BOM_UTF8 as BOM
from collections.abc import Iterator
from functools import partial
from typing import IO

from runner.data.picks import Picks
from runner.errors import DataError, Mark

MAX_FIELD_CHARACTERS = 64 << 20


def read(file: IO[bytes], name: str, picks: Picks) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row) of each asked row; every value is text. A BOM is accepted, blank lines are no rows.

    Raises DataError naming the line: too few or too many fields, an empty or doubled column name, NUL, bad quoting,
    text that is not UTF-8.
    """
    csv.field_size_limit(MAX_FIELD_CHARACTERS)  # one setting for the whole process; the default is 128 KiB
    reader = csv.reader(_lines(file, name), strict=True)
    line = 1
    try:
        header = next((fields for fields in reader if fields), None)
        if header is None:
            return
        _check_header(header, Mark(name, reader.line_num))
        width, take, every = len(header), picks.take, picks.every
        line = reader.line_num + 1
        for fields in reader:
            if fields:
                if len(fields) != width:
                    raise _ragged(fields, width, Mark(name, line))
                if every or take():
                    yield line, dict(zip(header, fields, strict=True))
                    if picks.done:
                        return
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"the row is not CSV: {error}", hint="is a quote left open?", mark=Mark(name, line)) from error


def _lines(file: IO[bytes], name: str) -> Iterator[str]:
    """Lines as text. Decoded one by one, so that a bad byte is on the line the error names."""
    for number, line in enumerate(iter(partial(file.readline, MAX_FIELD_CHARACTERS), b""), 1):
        if b"\0" in line:
            raise DataError("the line holds a NUL character", mark=Mark(name, number))
        try:
            yield line.removeprefix(BOM).decode() if number == 1 else line.decode()
        except UnicodeDecodeError as error:
            raise DataError(
                "the text is not UTF-8",
                hint="convert the file, for example with `iconv -t UTF-8`",
                mark=Mark(name, number),
            ) from error


def _check_header(header: list[str], mark: Mark) -> None:
    seen: set[str] = set()
    for number, column in enumerate(header, 1):
        if not column.strip():
            raise DataError(f"column {number} has no name", hint="the first line names the columns", mark=mark)
        if column in seen:
            raise DataError(f"the column `{column}` is there twice", hint="rename one of them", mark=mark)
        seen.add(column)


def _ragged(fields: list[str], width: int, mark: Mark) -> DataError:
    return DataError(
        f"the row has {len(fields)} fields, the header has {width}",
        hint="a field with a comma in it needs quotes",
        mark=mark,
    )
