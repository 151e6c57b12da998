"""What a value of a row is as text, alike in every template: lists and objects are JSON, null is an error."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from runner.mending import NOT_SO

PLAIN = frozenset({str, int, float})  # types whose text is the usual one
DROPPED = frozenset({"", "False", "false", "0", "None"})  # what `where` may render to and so drop the row
OFFER = "write `| default('...')` after it, or leave such rows out with `where`"


class Null(ValueError):
    """A value that would be written is null; `name` is its column, where that is known."""

    def __init__(self, name: str = "") -> None:
        super().__init__(f"{f'`{name}`' if name else 'a value'} is null here: {OFFER}")
        self.name = name


def text_of(value: Any, name: str = "") -> str:
    """name: of the column that is written, where it is one. Raises Null."""
    if value is None:
        raise Null(name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    return str(value)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def json_of(value: Any) -> str:
    """A value as compact JSON. Raises ValueError for what JSON cannot say."""
    try:
        text = _encode(value).decode()
    except TypeError as error:  # what only a template has, such as a method
        raise ValueError(f"a value of type {type(value).__name__} is not JSON") from error
    if "null" in text:  # which msgspec writes for NaN and infinity, too
        try:
            json.dumps(value, allow_nan=False)
        except ValueError as error:
            raise ValueError("a number in it is NaN or infinite, which cannot be sent") from error
    return text


def json_in(value: Any) -> str:
    """The same of what a column holds: a text is JSON itself. Raises ValueError."""
    if value is None:
        raise ValueError("it is null")
    if not isinstance(value, str):
        return json_of(value)
    try:
        return json_of(_decode(value))
    except NOT_SO as error:
        raise ValueError(f"its text is not JSON ({error})") from error
