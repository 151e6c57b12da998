"""A text of the specs that means something: a template, or a pattern."""

from __future__ import annotations

import re
from enum import Enum

import msgspec

from runner.errors import Inside, Mark

_ENDS = re.compile(r"\r\n?|\n")
_BRACES = re.compile(r"\{[{%#]")


class Form(Enum):
    """What a source gives for a row."""

    TEXT = "text"  # of a template
    VALUE = "value"  # what a template of one expression and nothing else comes to, as JSON: a number stays one
    COLUMN = "column"  # what a column holds, as JSON; a text there is JSON itself, as CSV has it


class Source(msgspec.Struct, frozen=True):
    """A template or a pattern as the user wrote it: `what` names it in messages, `mark` is where its text starts."""

    text: str
    mark: Mark
    what: str
    form: Form = Form.TEXT

    def place(self, line: int) -> Mark:
        """The place of line `line` (from 1) of the text."""
        return Mark(self.mark.file, self.mark.line + line - 1) if self.mark.line else self.mark

    def inside(self, line: int, word: str = "") -> Inside:
        """The first place of a word in the braces of a line; without one, of the braces themselves."""
        lines = _ENDS.split(self.text)
        here = lines[line - 1] if 0 < line <= len(lines) else ""
        opened = _BRACES.search(here)
        found = None
        if word:
            named = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
            found = (named.search(here, opened.end()) if opened else None) or named.search(here)
        at = found or opened
        before = _ENDS.finditer(self.text)
        starts = [0, *(end.end() for end in before)]
        return Inside(self.mark, self.text, starts[min(line, len(starts)) - 1] + (at.start() if at else 0))

    def snippet(self, line: int) -> str:
        lines = self.text.splitlines()
        return lines[line - 1] if 0 < line <= len(lines) else ""


def is_whole(text: str) -> bool:
    """Whether a template is one `{{ expression }}` and nothing else, so that its value can keep its type."""
    if not (text.startswith("{{") and text.endswith("}}")) or text.startswith("{{{"):
        return False
    quote, depth, at, end = "", 0, 2, len(text) - 2
    while at < end:
        char = text[at]
        if quote:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "\"'":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth < 0:  # the braces end here, and something follows
                return False
        at += 1
    return not quote and depth == 0


class Value(msgspec.Struct, frozen=True):
    """What specs take from a row: a column as it is, or the text of a template. One of the two is there."""

    column: str = ""
    template: Source | None = None
    mark: Mark = Mark("")
    what: str = ""  # how it is called in messages
