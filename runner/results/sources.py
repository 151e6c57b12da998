"""The types that columns of a parquet source have, and their values made again from the JSON a row is kept as.

A row travels as JSON, where a time is text and a decimal is its digits, see `data.parquet`; here is the way back.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # zoned ones are in UTC too
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


class Restored(msgspec.Struct, frozen=True):
    """A type of arrow that results can have, and how a value of it is made of JSON; None where it is the same."""

    type: Any
    back: Callable[[Any], Any] | None = None


def restored(arrow: Any, kind: Any) -> Restored | None:
    """The type of results for one of a source. None for one that JSON does not bring back."""
    of = arrow.types
    if of.is_dictionary(kind) or of.is_run_end_encoded(kind):
        return restored(arrow, kind.value_type)
    if of.is_string_view(kind):
        return Restored(arrow.string())
    if of.is_float16(kind):
        return Restored(arrow.float32())
    same = (of.is_boolean, of.is_integer, of.is_floating, of.is_string, of.is_large_string, of.is_null)
    if any(test(kind) for test in same):
        return Restored(kind)
    if of.is_timestamp(kind):
        return Restored(kind, _instant(_DIGITS[kind.unit]))
    if of.is_duration(kind):
        return Restored(kind, _lasting(_DIGITS[kind.unit]))
    for test, back in _OF_TEXT.items():
        if getattr(of, test)(kind):
            return Restored(arrow.binary() if of.is_binary_view(kind) else kind, back)
    return _nested(arrow, kind)


_OF_TEXT: dict[str, Callable[[str], Any]] = {
    "is_decimal": Decimal,
    "is_date": date.fromisoformat,
    "is_time": time.fromisoformat,
    "is_binary": base64.b64decode,
    "is_large_binary": base64.b64decode,
    "is_binary_view": base64.b64decode,
    "is_fixed_size_binary": base64.b64decode,
}


def _instant(digits: int) -> Callable[[str], int]:
    per_second: int = 10**digits

    def back(text: str) -> int:
        since = datetime.fromisoformat(text[:19]) - _EPOCH
        fraction = text[20:].rstrip("Z").ljust(digits, "0")[:digits]
        return (since.days * 86_400 + since.seconds) * per_second + int(fraction or 0)

    return back


def _lasting(digits: int) -> Callable[[str], int]:
    return lambda seconds: int(Decimal(seconds).scaleb(digits))


def _nested(arrow: Any, kind: Any) -> Restored | None:
    of = arrow.types
    if of.is_struct(kind):
        fields = {kind.field(n).name: restored(arrow, kind.field(n).type) for n in range(kind.num_fields)}
        known = {name: one for name, one in fields.items() if one is not None}
        if len(known) < kind.num_fields:
            return None
        return Restored(arrow.struct([(name, one.type) for name, one in known.items()]), _record(known))
    if of.is_map(kind):
        key, item = restored(arrow, kind.key_type), restored(arrow, kind.item_type)
        if key is None or item is None:
            return None
        return Restored(arrow.map_(key.type, item.type), _pairs(key, item))
    if not (of.is_list(kind) or of.is_large_list(kind) or of.is_fixed_size_list(kind)):
        return None
    item = restored(arrow, kind.value_type)
    if item is None:
        return None
    made = arrow.large_list(item.type) if of.is_large_list(kind) else arrow.list_(item.type)
    return Restored(made, None if item.back is None else lambda values: [_or_none(item, value) for value in values])


def _or_none(of: Restored, value: Any) -> Any:
    return value if value is None or of.back is None else of.back(value)


def _record(fields: dict[str, Restored]) -> Callable[[Any], Any]:
    return lambda found: {name: _or_none(one, found.get(name)) for name, one in fields.items()}


def _pairs(key: Restored, item: Restored) -> Callable[[Any], Any]:
    return lambda found: [(_or_none(key, one), _or_none(item, other)) for one, other in found]
