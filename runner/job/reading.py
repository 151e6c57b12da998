"""What a row gives for a place that wants a certain type: a number of CSV is text, and is meant as a number."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from runner.job.params import canonical
from runner.job.project import Place

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_INTEGER = re.compile(r"[-+]?[0-9]{1,300}")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_WORDS = {"true": True, "false": False}


class Misfit(ValueError):
    """What a row gives is not what is wanted there. hint: what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def param_of(place: Place, what: str) -> Callable[[str], str]:
    """The JSON of a row -> the JSON of a param, in the one spelling that params have. Raises Misfit."""

    def read(text: str) -> str:
        value = _decode(text)
        if place.reads and value is not None and not _holds(value, place.reads):
            found = _read(value, place.reads) if isinstance(value, str) else None
            if found is None:
                hint = "put the row right, or leave it out with `where`"
                raise Misfit(f"{what} is {told(value)} here, and should be {place.words}", hint)
            value = found
        try:
            return _encode(canonical(value, what)).decode()
        except ValueError as error:
            raise Misfit(str(error)) from error

    return read


def _holds(value: Any, reads: tuple[str, ...]) -> bool:
    match value:
        case bool():
            kinds = {"boolean"}
        case int():
            kinds = {"integer", "number"}
        case float():
            kinds = {"integer", "number"} if value.is_integer() else {"number"}
        case str():
            kinds = {"text"}
        case list():
            kinds = {"list"}
        case _:
            kinds = {"mapping"}
    return not kinds.isdisjoint(reads)


def _read(text: str, reads: tuple[str, ...]) -> Any:
    """A text as one of these types; None where it is none of them."""
    bare = text.strip()
    if {"integer", "number"} & set(reads) and _INTEGER.fullmatch(bare):
        return int(bare)
    if "number" in reads and _NUMBER.fullmatch(bare):
        return float(bare)
    if "boolean" in reads and bare.lower() in _WORDS:
        return _WORDS[bare.lower()]
    if {"list", "mapping"} & set(reads) and bare[:1] in "[{":
        try:
            value = _decode(bare)
        except (msgspec.MsgspecError, RecursionError):
            return None
        return value if _holds(value, reads) else None
    return None


def told(value: Any) -> str:
    """A value in words, short enough for a message."""
    match value:
        case None:
            return "null"
        case bool():
            return f"`{str(value).lower()}`"
        case str():
            return f'the text `"{value[:40]}"`'
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            return f"`{str(value)[:40]}`"


def named(value: Any) -> str:
    """The same of what is a name."""
    return f"`{value[:80]}`" if isinstance(value, str) else told(value)
