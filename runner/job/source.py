"""A text of the specs that means something: a template, or a pattern."""

from __future__ import annotations

import re

import msgspec

from runner.errors import Inside, Mark

_ENDS = re.compile(r"\r\n?|\n")
_BRACES = re.compile(r"\{[{%#]")


class Source(msgspec.Struct, frozen=True):
    """A template or a pattern as the user wrote it: `what` names it in messages, `mark` is where its text starts."""

    text: str
    mark: Mark
    what: str

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


class Value(msgspec.Struct, frozen=True):
    """What specs take from a row: a column as it is, or the text of a template. One of the two is there."""

    column: str = ""
    template: Source | None = None
    mark: Mark = Mark("")
    what: str = ""  # how it is called in messages
