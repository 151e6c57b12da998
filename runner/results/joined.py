"""Rows with the columns that are joined to them: what answers are held to, and no prompt sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from runner.compile.parse import parse
from runner.compile.readings import AnsweredRow, Read, Reader, Reading, over
from runner.compile.references import Index, index_of
from runner.errors import Problem
from runner.job.project import Join

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_decode_names = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


class Joined:
    """The join of one job, its references read once. Raises SpecError and DataError as `references.index_of` does."""

    def __init__(self, join: Join, root: Path) -> None:
        self.join = join
        self.index: Index = index_of(join, root)
        # A row without its reference has the same columns, null: that is no reference, and no unknown name
        self.nulls: dict[str, None] = {}
        for row in self.index.rows():
            self.nulls.update(dict.fromkeys(_decode_names(row)))

    def reader(self) -> JoinReader:
        """For one pass over the rows."""
        return JoinReader(self)


class JoinReader:
    """Takes rows in, and gives them with their joined columns, in order. Close it."""

    def __init__(self, joined: Joined) -> None:
        self._joined = joined
        value = joined.join.row
        key = Reading(parse(value.template)) if value.template else Reading(column=value.column)
        self._reader = Reader([key])

    def push(self, row: AnsweredRow) -> Iterator[tuple[AnsweredRow, Problem | None]]:
        """What is done by now, with what is wrong with a row whose key cannot be rendered."""
        for read in self._reader.push(row):
            yield from self._found(read)

    def rest(self) -> Iterator[tuple[AnsweredRow, Problem | None]]:
        for read in self._reader.rest():
            yield from self._found(read)

    def close(self) -> None:
        self._reader.close()

    def _found(self, read: Read) -> Iterator[tuple[AnsweredRow, Problem | None]]:
        problems = {at: failure.problem(read.rows[at]) for at, failure in read.failures}
        nulls = _encode(self._joined.nulls)
        for at, (row, key) in enumerate(zip(read.rows, read.texts[0], strict=True)):
            found = self._joined.index.find(key.strip()) if key and key.strip() else None
            beside = nulls if found is None else over(nulls, found)
            yield AnsweredRow(row.custom_id, over(beside, row.json), row.names, row.digest), problems.get(at)
