"""Rows of a JSONL file: one object a line, lines end at b"\\n" and nowhere else."""

from __future__ import annotations

import json
from codecs import BOM_UTF8 as BOM
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import IO, Any

import msgspec

from runner.data.block import Block
from runner.data.picks import Picks
from runner.errors import DataError, Mark

MAX_LINE_BYTES = 64 << 20
_READ_BYTES = 64 << 10
_BLANKS = b" \t\r"  # what JSON allows around a value, but for the line's end
_decode = msgspec.json.Decoder().decode


def read(file: IO[bytes], name: str, picks: Picks, *, checked: bool = True) -> Iterator[Block]:
    """The asked rows in runs. Blank lines are no rows; BOM and CRLF are accepted.

    Big integers stay exact. Raises DataError naming the line: not JSON, not an object, a key twice, invalid UTF-8,
    lone surrogates, NaN, a line over 64 MiB. checked: False decodes nothing, for a file that was read before.
    """
    for first, data in _whole_lines(file, name):
        texts = list(map(bytes.strip, data.split(b"\n"), repeat(_BLANKS)))
        lines: Sequence[int] = range(first, first + len(texts))
        if not all(texts):
            lines = [line for line, text in zip(lines, texts, strict=True) if text]
            texts = list(filter(None, texts))
        before = picks.position + 1
        numbers = picks.among(len(texts))
        if len(numbers) != len(texts):
            texts, lines = [texts[n - before] for n in numbers], [lines[n - before] for n in numbers]
        values = _decoded(texts) if checked else None
        if not checked or (values is not None and _is_plain(texts, values)):
            yield Block(name, lines, numbers, values, texts)
        else:
            yield from _one_by_one(name, lines, numbers, texts, values)
        if picks.done:
            return


def _whole_lines(file: IO[bytes], name: str) -> Iterator[tuple[int, bytes]]:
    """(number of the first line, lines) without the BOM and the end of the last line. Raises DataError."""
    number, held, size = 1, [file.read(len(BOM)).removeprefix(BOM)], 0
    while piece := file.read(_READ_BYTES):
        lines, end, rest = piece.rpartition(b"\n")
        if end:
            data = b"".join((*held, lines))
            yield number, data
            number += data.count(b"\n") + 1
            held, size = [], 0
        held.append(rest)
        size += len(rest)
        if size > MAX_LINE_BYTES:
            raise DataError("the line is over 64 MiB", mark=Mark(name, number))
    if data := b"".join(held):
        yield number, data


def _decoded(texts: list[bytes]) -> list[dict[str, Any]] | None:
    """The rows, None if one of them is none."""
    try:
        values = [_decode(text) for text in texts]
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return values if set(map(type, values)) <= {dict} else None


def _is_plain(texts: list[bytes], values: list[dict[str, Any]]) -> bool:
    """Whether it is certain that no row has a key twice: `":` comes as often as there are keys, and no blank comes
    before a colon, so that one line cannot make up for another."""
    data = b"\n".join(texts)
    plain = data.count(b'":') == sum(map(len, values))
    return plain and b" :" not in data and b"\t:" not in data and b"\r:" not in data


def _one_by_one(
    name: str,
    lines: Sequence[int],
    numbers: Sequence[int],
    texts: list[bytes],
    decoded: list[dict[str, Any]] | None,
) -> Iterator[Block]:
    """The same rows looked at closely: those before the first that is wrong, and what is wrong with it."""
    rows = decoded or (_value(text, Mark(name, line)) for text, line in zip(texts, lines, strict=True))
    values: list[dict[str, Any]] = []
    try:
        for line, text, row in zip(lines, texts, rows, strict=True):
            if text.count(b'":') != len(row):
                _refuse_double_keys(text, row, Mark(name, line))
            values.append(row)
    except DataError:
        if good := len(values):
            yield Block(name, lines[:good], numbers[:good], values, texts[:good])
        raise
    yield Block(name, lines, numbers, values, texts)


def _value(text: bytes, mark: Mark) -> dict[str, Any]:
    try:
        row: Any = _decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        words = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DataError(f"the line is not JSON: {words}", mark=mark) from error
    if type(row) is not dict:
        raise DataError(
            "the line is not a JSON object",
            hint='write every row as one object, such as `{"country": "Peru"}`',
            mark=mark,
        )
    return row


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
