"""JSON of a stranger as plain values, whatever numbers stand in it.

A number that no float or small integer holds is no reason to give up what stands beside it: only where a whole line is
looked at as values it becomes an empty list. Answers are cut out of the bytes and keep it.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode
_LONGEST = 300  # digits: Python reads integers of a few thousand, and no remote means one
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?[0-9][0-9.eE+-]*+', re.DOTALL)
_IN_ITS_PLACE = b"[]"  # no text that could be taken for an answer, no status, and not nothing


def values_of(data: bytes | msgspec.Raw) -> Any:
    """Raises msgspec.MsgspecError or ValueError for what is no JSON, RecursionError for what is nested too deeply."""
    try:
        return _decode(data)
    except msgspec.ValidationError:  # which only a number can be to a decoder that wants no type
        return _decode(_TOKEN.sub(_tamed, bytes(data)))


def _tamed(token: re.Match[bytes]) -> bytes:
    text = token[0]
    if text[:1] == b'"' or (len(text) < _LONGEST and b"e" not in text.lower()):
        return text
    try:
        is_out_of_range = float(text) in (float("inf"), float("-inf"))
    except ValueError:
        return text  # no number either: for the decoder to refuse
    return _IN_ITS_PLACE if is_out_of_range or text.lstrip(b"-").isdigit() else text
