"""Rows of a JSONL file: one object a line, lines end at b"\\n" and nowhere else."""

from __future__ import annotations

import json
from codecs import BOM_UTF8 as BOM
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import IO, Any

import msgspec

from runner.data.picks import Picks
from runner.errors import DataError, Mark

MAX_LINE_BYTES = 64 << 20
_decode = msgspec.json.Decoder().decode


def read(file: IO[bytes], name: str, picks: Picks) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, row) of each asked row. Blank lines are no rows; BOM and CRLF are accepted.

    Big integers stay exact. Raises DataError naming the line: not JSON, not an object, a key twice, invalid UTF-8,
    lone surrogates, NaN, a line over 64 MiB.
    """
    wanted = enumerate(_lines(file), 1) if picks.every else _picked(_lines(file), name, picks)
    for number, line in wanted:
        try:
            row = _decode(line)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            if line.isspace() or line == b"":
                continue
            raise _broken(error, line, Mark(name, number)) from error
        if type(row) is not dict:
            raise DataError(
                "the line is not a JSON object",
                hint='write every row as one object, such as `{"country": "Peru"}`',
                mark=Mark(name, number),
            )
        if line.count(b'":') != len(row):
            _refuse_double_keys(line, row, Mark(name, number))
        yield number, row


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines with their ends, without the BOM; one that is longer than allowed comes in pieces of exactly the limit."""
    lines = iter(partial(file.readline, MAX_LINE_BYTES), b"")
    first = next(lines, b"")
    return chain((first.removeprefix(BOM),), lines)


def _picked(lines: Iterator[bytes], name: str, picks: Picks) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(lines, 1):
        if line and not line.isspace() and picks.take():
            yield number, line
            if picks.done:
                return


def _broken(error: Exception, line: bytes, mark: Mark) -> DataError:
    if len(line) == MAX_LINE_BYTES:
        return DataError("the line is over 64 MiB", mark=mark)
    words = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return DataError(f"the line is not JSON: {words}", mark=mark)


def _refuse_double_keys(line: bytes, row: dict[str, Any], mark: Mark) -> None:
    """Raise DataError when a key is there twice: the parser keeps the last one silently.

    Called for lines with another number of `":` than the row has keys: objects in objects, quotes in texts. Only a
    line that puts blanks before some of its colons and not before others can hide a double key from the counting.
    """
    if line.count(b'":') - line.count(b'\\":') == _keys_in(row):
        return

    def keep(pairs: list[tuple[str, Any]]) -> None:
        seen = set()
        for key, _ in pairs:
            if key in seen:
                raise DataError(f"the key `{key}` is there twice", mark=mark)
            seen.add(key)

    json.loads(line, object_pairs_hook=keep)


def _keys_in(value: Any) -> int:
    if type(value) is dict:
        return len(value) + sum([_keys_in(item) for item in value.values() if type(item) in (dict, list)])
    return sum([_keys_in(item) for item in value if type(item) in (dict, list)])
