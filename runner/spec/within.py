"""Where a character of a text stands in the file that it was read from.

YAML folds lines, strips indents and reads escapes, so a text and its file differ; but what is not blank stands in the
same order in both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from runner.errors import Mark

_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|\r?\n[ \t]*|.)", re.DOTALL)
_MEANT = {"0": "\0", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v", "n": "\n", "r": "\r", "t": "\t",
          "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029"}  # fmt: skip


def place_of(lines: Sequence[str], start: Mark, text: str, offset: int) -> Mark | None:
    """The place of `text[offset]`, or of the next character that is not blank; None where the file says otherwise.

    lines: of the file, without their breaks. start: where the text begins, its opening quote included.
    """
    if not 0 < start.line <= len(lines):
        return None
    body = "\n".join([lines[start.line - 1][max(start.column - 1, 0) :], *lines[start.line :]])
    quote = body[:1] if start.file.endswith((".yaml", ".yml")) and body[:1] in ("'", '"') else ""
    at, number = len(quote), 0
    for number, wanted in enumerate(text):
        if wanted.isspace():
            continue
        while True:
            if at >= len(body):
                return None
            found, size = _char_at(body, at, quote)
            if found and not found.isspace():
                break
            at += size
        if found != wanted:
            return None
        if number >= offset:
            return _counted(body, at, start)
        at += size
    return None


def _char_at(body: str, at: int, quote: str) -> tuple[str, int]:
    """What is meant at a place of the file, empty for nothing, and how many characters say so."""
    here = body[at]
    if quote == "'" and body[at : at + 2] == "''":
        return "'", 2
    if quote == '"' and here == "\\" and (escape := _ESCAPE.match(body, at)):
        code = escape[1] or escape[2] or escape[3]
        if code:
            return chr(int(code, 16)), len(escape[0])
        if escape[0][1] in "\r\n":
            return "", len(escape[0])
        return _MEANT.get(escape[0][1], escape[0][1]), len(escape[0])
    return here, 1


def _counted(body: str, at: int, start: Mark) -> Mark:
    line = body.count("\n", 0, at)
    column = at - (body.rfind("\n", 0, at) + 1) + 1
    return Mark(start.file, start.line + line, column if line else column + max(start.column - 1, 0))


def first_of(line: str) -> int:
    """The column of the first character of a line that is not blank, from 1."""
    return len(line) - len(line.lstrip()) + 1
