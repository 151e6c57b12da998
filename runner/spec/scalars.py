"""What a plain scalar means: the YAML 1.2 core rules, so that `NO`, `12:30` and `2026-11-21` stay text.

One step stricter than the core rules: a leading zero (`010`) makes text, because readers disagree
about what number it would be.
"""

from __future__ import annotations

import re

MAX_DIGITS = 400  # longer ones are no number anybody meant; Python refuses them from 4,300 on

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_INF = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z")
_WORDS: dict[str, bool | float | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    ".nan": float("nan"),
    ".NaN": float("nan"),
    ".NAN": float("nan"),
}


def resolve(text: str) -> bool | int | float | str | None:
    """The value of a plain scalar."""
    if text in _WORDS:
        return _WORDS[text]
    # most values are words: one look at the first character, and no pattern is tried
    if text[0] not in "+-.0123456789" or len(text) > MAX_DIGITS:
        return text
    if _INT.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    if _OCTAL.match(text):
        return int(text[2:], 8)
    if _HEX.match(text):
        return int(text[2:], 16)
    if _INF.match(text):
        return float(text.replace(".", ""))
    return text
