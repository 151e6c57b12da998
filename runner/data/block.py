"""Rows in runs: a file is read and worked on some hundred rows at a time, column by column, because in Python a call
and an object for every row cost more than the row's own work. One row with its place is made where it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

import msgspec

from runner.errors import DataError, Mark, Problem

Bad = Callable[[Problem], None]  # takes what is wrong with a row that is left out
Nulled = Mapping[int, tuple[str, ...]]  # row number -> columns in which null stands for NaN or infinity

_NONE: Nulled = {}
_encode = msgspec.json.Encoder().encode
_ODD = re.compile(r'["\\\x00-\x1f]')  # no name of a field that msgspec takes
_decode = msgspec.json.Decoder().decode


class BadRow(DataError):
    """What is wrong with one row alone: a dataset that says `skip_bad` goes on without it."""


MOST_OTHERS = 19  # rows told of beside the first one that is wrong


class RowsUnread(DataError):
    """The first row of a file that is wrong, and those after it as far as they were looked at."""

    def __init__(self, message: str, *, hint: str, mark: Mark | None, others: Sequence[Problem]) -> None:
        super().__init__(message, hint=hint, mark=mark)
        self.others = tuple(others)
        self.details = tuple(f"{one.mark}: {one.message}" for one in others)
        self.details += ("and perhaps more",) if len(others) == MOST_OTHERS else ()


class MergeConflict(DataError):
    """A file that git could not merge holds rows of both sides: no row of it is to be trusted, `skip_bad` or not."""


_CONFLICT = re.compile(r"(<{7}|>{7})( [^\n]*)?")


def refuse_conflict(line: str, mark: Mark) -> None:
    """Raise MergeConflict for a line that git writes around what it could not merge."""
    if _CONFLICT.fullmatch(line):
        raise MergeConflict(
            f"the line is a mark of a merge conflict, `{line[:40]}`", hint="resolve the conflict first", mark=mark
        )


def told(bad: Bad | None, error: DataError) -> None:
    """Tell of a row that is wrong. Raises BadRow where nobody listens."""
    if bad is None:
        raise BadRow(error.message, hint=error.hint, mark=error.mark) from error
    bad(Problem(error.mark or Mark(""), error.message, error.hint))


class SourceRow(msgspec.Struct, frozen=True, gc=False):
    """One row as it was read. `line` counts lines of the file from 1 (Parquet: rows)."""

    row: dict[str, Any]
    file: str  # relative to the project root
    line: int
    number: int  # position in the whole dataset, from 0
    text: bytes = b""  # the row as the file has it, where that is JSON
    nulled: tuple[str, ...] = ()  # columns in which null stands for NaN or infinity, which JSON cannot say

    @property
    def mark(self) -> Mark:
        return Mark(self.file, self.line)

    @property
    def json(self) -> bytes:
        """The row as one JSON object without a line break: as the file has it, else compact."""
        return self.text if self.text and b"\r" not in self.text else _encode(self.row)


class Block:
    """Some rows of one file, in order. Iterating gives SourceRows.

    texts: the rows as the file has them, without blanks around, where that is JSON; else None. values: None leaves
    decoding the texts to whoever asks. nulled: of those rows that had NaN or infinity somewhere.
    """

    __slots__ = ("_values", "file", "lines", "nulled", "numbers", "texts")

    def __init__(
        self,
        file: str,
        lines: Sequence[int],
        numbers: Sequence[int],
        values: list[dict[str, Any]] | None,
        texts: list[bytes] | None = None,
        nulled: Nulled = _NONE,
    ) -> None:
        self.file = file
        self.lines = lines
        self.numbers = numbers
        self.texts = texts
        self.nulled = nulled
        self._values = values

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[SourceRow]:
        texts = repeat(b"") if self.texts is None else self.texts
        nulled = map(self.nulled.get, self.numbers, repeat(())) if self.nulled else repeat(())
        return map(SourceRow, self.values, repeat(self.file), self.lines, self.numbers, texts, nulled)

    def at(self, indices: Sequence[int]) -> Block:
        """Some of these rows."""
        if len(indices) == len(self):
            return self
        return Block(
            self.file,
            [self.lines[i] for i in indices],
            [self.numbers[i] for i in indices],
            [self._values[i] for i in indices] if self._values is not None else None,
            [self.texts[i] for i in indices] if self.texts is not None else None,
            self.nulled,
        )

    @property
    def values(self) -> list[dict[str, Any]]:
        if self._values is None:
            self._values = [_decode(text) for text in self.texts or ()]
        return self._values

    def jsons(self) -> list[bytes]:
        """`json` of every row."""
        if self.texts is None:
            return [_encode(row) for row in self.values]
        # a carriage return between two values is no line break to us, but to many a reader of our results
        return [text if b"\r" not in text else _encode(_decode(text)) for text in self.texts]

    def column(self, name: str) -> list[Any]:
        """One column, None where a row is without it. Decodes nothing else."""
        if self._values is not None or _ODD.search(name):
            return [row.get(name) for row in self.values]
        # a type with one field: all the other values of a row are skipped and not built
        only: Any = msgspec.defstruct("Only", [("value", Any, None)], rename={"value": name}, gc=False)
        decode = msgspec.json.Decoder(only).decode
        return [decode(text).value for text in self.texts or ()]
