"""What a value of a row is as text, alike in every template: lists and objects are JSON, null is an error."""

from __future__ import annotations

import json
from typing import Any

PLAIN = frozenset({str, int, float})  # types whose text is the usual one
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
