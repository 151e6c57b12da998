"""A text of the specs that means something: a template, or a pattern."""

from __future__ import annotations

import msgspec

from runner.errors import Mark


class Source(msgspec.Struct, frozen=True):
    """A template or a pattern as the user wrote it: `what` names it in messages, `mark` is where its text starts."""

    text: str
    mark: Mark
    what: str

    def place(self, line: int) -> Mark:
        """The place of line `line` (from 1) of the text."""
        return Mark(self.mark.file, self.mark.line + line - 1) if self.mark.line else self.mark

    def snippet(self, line: int) -> str:
        lines = self.text.splitlines()
        return lines[line - 1] if 0 < line <= len(lines) else ""


class Value(msgspec.Struct, frozen=True):
    """What specs take from a row: a column as it is, or the text of a template. One of the two is there."""

    column: str = ""
    template: Source | None = None
    mark: Mark = Mark("")
    what: str = ""  # how it is called in messages
