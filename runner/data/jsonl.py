"""Rows of a JSONL file: one object a line, lines end at b"\\n" and nowhere else."""

from __future__ import annotations

import json
import math
import re
from codecs import BOM_UTF8 as BOM
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import IO, Any

import msgspec

from runner.data.block import Bad, Block, MergeConflict, refuse_conflict, told
from runner.data.picks import Picks
from runner.errors import DataError, Mark

MAX_LINE_BYTES = 64 << 20
_READ_BYTES = 64 << 10
_BLANKS = b" \t\r"  # what JSON allows around a value, but for the line's end
_CUT = "Input data was truncated"
_NO_NUMBERS = (b"NaN", b"Infinity")
_BLANKS_BEFORE = (b" :", b"\t:", b"\r:")
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


# A file is read a piece at a time and worked on piece by piece, all its lines together. Where a piece is plain, as
# nearly all are, nothing is done line by line in Python but decoding; one that holds something odd is gone through
# again, slowly, to say what and where.
def read(file: IO[bytes], name: str, picks: Picks, *, checked: bool = True, bad: Bad | None = None) -> Iterator[Block]:
    """The asked rows in runs. Blank lines are no rows; BOM and CRLF are accepted.

    Big integers stay exact; NaN and infinity, which Python writes and JSON does not know, become null. checked: False
    decodes nothing, for a file that was read before. bad: takes what is wrong with single rows, which are left out.
    Raises DataError naming the line: not JSON, not an object, a key twice, invalid UTF-8, lone surrogates, a line over
    64 MiB.
    """
    for first, data in _whole_lines(file, name):
        yield from of_lines(data, first, name, picks, checked=checked, bad=bad)
        if picks.done:
            return


def of_lines(
    data: bytes, first: int, name: str, picks: Picks, *, checked: bool = True, bad: Bad | None = None
) -> Iterator[Block]:
    """The asked rows of some lines, without the end of the last one. first: the number of the first line.

    Arguments and errors as of `read`.
    """
    texts = list(map(bytes.strip, data.split(b"\n"), repeat(_BLANKS)))
    lines: Sequence[int] = range(first, first + len(texts))
    if not all(texts):
        lines = [line for line, text in zip(lines, texts, strict=True) if text]
        texts = list(filter(None, texts))
    before = picks.position + 1
    numbers = picks.among(len(texts))
    if len(numbers) != len(texts):
        texts, lines = [texts[n - before] for n in numbers], [lines[n - before] for n in numbers]
    plain = not checked and not _has_any(_NO_NUMBERS, data)
    values = None if plain else _decoded(texts)
    if plain or (values is not None and _is_plain(texts, values)):
        yield Block(name, lines, numbers, values, texts)
    else:
        yield from _one_by_one(name, lines, numbers, texts, bad)


def _whole_lines(file: IO[bytes], name: str) -> Iterator[tuple[int, bytes]]:
    """(number of the first line, lines) without the BOM and the end of the last line. Raises DataError."""
    while (begun := file.read(len(BOM))) == BOM:
        pass  # some programs write a second one
    number, held, size = 1, [begun], 0
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
    ends = data.count(b'":')
    if data.count(b":") != ends and _has_any(_BLANKS_BEFORE, data):
        return False
    if ends == sum(map(len, values)):
        return True
    # objects in objects, and quotes in texts: an escaped quote ends no key, unless its backslash is escaped itself
    return b'\\\\":' not in data and ends - data.count(b'\\":') == sum(map(_keys_in, values))


def _has_any(words: Iterable[bytes], data: bytes) -> bool:
    """Whether one of these is in the data. A search for one byte takes a fiftieth of one for several."""
    return any(word[0] in data and word in data for word in words)


def _one_by_one(
    name: str, lines: Sequence[int], numbers: Sequence[int], texts: list[bytes], bad: Bad | None
) -> Iterator[Block]:
    """The same rows looked at closely: those before the first that is wrong, and what is wrong with it."""
    good: list[int] = []
    values: list[dict[str, Any]] = []
    nulled: dict[int, tuple[str, ...]] = {}

    def block() -> Block:
        kept = [texts[n] for n in good]
        return Block(name, [lines[n] for n in good], [numbers[n] for n in good], values, kept, nulled)

    for at, (line, text) in enumerate(zip(lines, texts, strict=True)):
        mark = Mark(name, line)
        try:
            read = _value(text, mark)
            if text.count(b'":') != len(read.row):
                _refuse_double_keys(text, read.row, mark)
        except DataError as error:
            if good and (bad is None or isinstance(error, MergeConflict)):
                yield block()
            if isinstance(error, MergeConflict):
                raise
            told(bad, error)
            continue
        good.append(at)
        values.append(read.row)
        if read.nulled:
            texts[at] = _encode(read.row)
            nulled[numbers[at]] = read.nulled
    if good:
        yield block()


class _Read(msgspec.Struct, frozen=True):
    """One row, and the columns in which null stands for what is no number in JSON."""

    row: dict[str, Any]
    nulled: tuple[str, ...] = ()


def _value(text: bytes, mark: Mark) -> _Read:
    nulled: tuple[str, ...] = ()
    try:
        row: Any = _decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        lenient = _without_nan(text) if any(word in text for word in _NO_NUMBERS) else None
        if lenient is None:
            raise _not_json(text, error, mark) from error
        row, nulled = lenient
    if type(row) is not dict:
        raise DataError(
            "the line is not a JSON object",
            hint="one array is not JSONL: `jq -c '.[]' OLD > NEW.jsonl`"
            if type(row) is list
            else 'write every row as one object, such as `{"country": "Peru"}`',
            mark=mark,
        )
    return _Read(row, nulled)


def _without_nan(text: bytes) -> tuple[Any, tuple[str, ...]] | None:
    """A value in which null stands for NaN and infinity, and in which columns; None if it is not JSON even so."""
    try:
        row = json.loads(text.decode(), parse_constant=lambda _: _NAN, parse_float=_finite)
        if type(row) is not dict:
            return None
        nulled = tuple(column for column, value in row.items() if _holds_nan(value))
        return _decode(_encode(_with_nulls(row))), nulled
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None


_NAN = object()


def _finite(text: str) -> float:
    """Raises ValueError for what no float can hold."""
    value = float(text)
    if math.isinf(value):
        raise ValueError("the number is out of range")
    return value


def _holds_nan(value: Any) -> bool:
    items = value.values() if type(value) is dict else value if type(value) is list else ()
    return value is _NAN or any(map(_holds_nan, items))


def _with_nulls(value: Any) -> Any:
    if type(value) is dict:
        return {key: _with_nulls(item) for key, item in value.items()}
    if type(value) is list:
        return [_with_nulls(item) for item in value]
    return None if value is _NAN else value


def _not_json(text: bytes, error: Exception, mark: Mark) -> DataError:
    refuse_conflict(text.decode(errors="replace"), mark)
    words = _words_of(text, error)
    hint = ""
    if mark.line == 1 and re.match(rb'[\w"][^{}]*[,;\t]', text):
        hint = "if it is a table with a header, give it the suffix `.csv`"
    elif text.startswith(b"["):
        hint = "one array over many lines is not JSONL: `jq -c '.[]' OLD > NEW.jsonl`"
    elif text == b"{":
        hint = "write every object on one line: `jq -c . OLD > NEW.jsonl`"
    return DataError(f"the line is not JSON: {words}", hint=hint, mark=mark)


def _words_of(text: bytes, error: Exception) -> str:
    """What the parser says, in words about the line."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    words = str(error).removeprefix("JSON is malformed: ").partition(" - at ")[0]
    if "surrogate" in words or (words == _CUT and _is_json(text)):  # near the end of a line it is called cut, too
        return "it escapes half of a character, a surrogate without its pair"
    return words[:1].lower() + words[1:]


def _is_json(text: bytes) -> bool:
    """As Python takes it, which lets lone surrogates pass."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


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
