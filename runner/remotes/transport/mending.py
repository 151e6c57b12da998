"""JSON of remotes that do not write it well: half a surrogate pair, control characters in texts, broken UTF-8.

An answer that was paid for is not thrown away for one bad character of it.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec


def decode(data: bytes | str) -> Any:
    """The value, mended where it has to be. Raises ValueError for what is no JSON at all."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        try:
            return _mended(json.loads(text, strict=False))
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def _mended(value: Any) -> Any:
    """The same with texts that UTF-8 can carry."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_mended(key): _mended(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_mended(one) for one in value]
    return value
