"""Request messages in protobuf's JSON: camelCase or snake_case, null is unset, an unknown field is refused by name."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

from runner.server.fireworks_batch.errors import invalid

Reader = Callable[[str, Any], Any]  # (name of the field, what came) -> its value; raises ApiError 400
_SNAKE = re.compile(r"_+([a-zA-Z0-9])")
_INTEGER = re.compile(r"-?\d{1,19}")


def camel(name: str) -> str:
    return _SNAKE.sub(lambda found: found[1].upper(), name)


def message(known: Mapping[str, Reader]) -> Reader:
    """Reads an object with these fields (camelCase); what is unset is left out."""

    def read(where: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise wrong(where, value)
        out: dict[str, Any] = {}
        for given, inner in value.items():
            name = camel(given)
            if name not in known:
                raise invalid(f'unknown field "{given[:80]}"')
            if name in out:
                raise invalid(f'duplicate field "{given[:80]}"')
            # null is unset in protobuf's JSON, but an unknown name is refused even with it
            if inner is not None:
                out[name] = known[name](given, inner)
        return out

    return read


def text(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise wrong(where, value)
    return value


def boolean(where: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong(where, value)
    return value


def int64(where: str, value: Any) -> int:
    """A number, or its digits in a string."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    raise wrong(where, value)


def number(where: str, value: Any) -> float:
    """A float32, as its shortest decimal."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong(where, value)
    try:
        (narrow,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError as error:
        raise wrong(where, value) from error
    # protobuf's JSON prints a float32 with as few digits as read back to the same one: 0.7, not 0.699999988079071
    return next(short for digits in range(6, 18) if _narrow(short := float(f"{narrow:.{digits}g}")) == narrow)


def _narrow(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def anything(where: str, value: Any) -> Any:
    return value


def struct_of(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(where, value)
    return value


def texts(where: str, value: Any) -> list[str]:
    if not isinstance(value, list):
        raise wrong(where, value)
    return [text(where, one) for one in value]


def one_of(*words: str) -> Reader:
    def read(where: str, value: Any) -> str:
        if value not in words:
            raise invalid(f"invalid value for enum field {where}: {str(value)[:80]!r}")
        return str(value)

    return read


def wrong(where: str, value: Any) -> Exception:
    return invalid(f"invalid value for field {where or 'body'}: {str(value)[:80]!r}")
