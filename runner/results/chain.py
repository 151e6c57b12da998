"""Answers as rows: what a job has answered, in the form in which a dataset of another job is read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import IO

import msgspec
from msgspec import Raw

from runner.compile.readings import AnsweredRow
from runner.errors import DataError, Problem
from runner.job.pairs import ID_COLUMN
from runner.job.project import Chain
from runner.remotes.reading.verdict import NULL
from runner.results.joined import Joined
from runner.results.splice import OK, Merged

_decode = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


class AnswersWriter:
    """A `merge.Writer` of one JSON line for each row that was answered, in input order.

    Its columns, those that are joined to it, and the answer: the text, or the value of an answer in JSON. An answer
    without a text, such as a refusal or a call of a tool, is left out and counted. Close it; call `finish` before.
    """

    def __init__(self, out: IO[bytes], chain: Chain, parent: str, joined: Joined | None, *, adds_id: bool) -> None:
        """parent: its address, for messages. adds_id: rows get a column with their ids.

        Raises SpecError for the key of the join.
        """
        self.rows = 0
        self.silent = 0
        self._write = out.write
        self._chain, self._parent, self._adds_id = chain, parent, adds_id
        self._reader = joined.reader() if joined is not None else None
        self._answers: deque[bytes] = deque()  # of the rows that the join has not given back yet

    def write(self, merged: Merged) -> None:
        """Raises DataError for a row that has a column of the name the answer gets, or no key to be joined by."""
        if merged.status != OK:
            return
        if merged.answer == NULL:
            self.silent += 1
            return
        if self._reader is None:
            self._put(merged.custom_id, merged.row, merged.answer)
            return
        self._answers.append(merged.answer)
        for row, problem in self._reader.push(AnsweredRow(merged.custom_id, merged.row, None)):
            self._joined(row, problem)

    def finish(self) -> None:
        """Write what is still on its way; raises as `write` does."""
        for row, problem in self._reader.rest() if self._reader is not None else ():
            self._joined(row, problem)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _joined(self, row: AnsweredRow, problem: Problem | None) -> None:
        if problem is not None:
            raise DataError(f"row `{row.custom_id}` of `{self._parent}`: {problem.message}", mark=self._chain.mark)
        self._put(row.custom_id, row.json, self._answers.popleft())

    def _put(self, custom_id: str, row: bytes, answer: bytes) -> None:
        columns = _decode(row)
        for name, value in self._added(custom_id, answer):
            if name in columns:
                words, hint = clash(self._chain, name)
                raise DataError(f"row `{custom_id}` of `{self._parent}` {words}", hint=hint, mark=self._chain.mark)
            columns[name] = value
        self._write(_encode(columns) + b"\n")
        self.rows += 1

    def _added(self, custom_id: str, answer: bytes) -> Iterator[tuple[str, Raw]]:
        if self._adds_id:
            yield ID_COLUMN, Raw(_encode(custom_id))
        yield self._chain.column, Raw(answer)


def clash(chain: Chain, name: str) -> tuple[str, str]:
    """What is wrong with two columns of one name, and what to do."""
    is_answer = name == chain.column
    hint = chain.way_out if is_answer else "give the dataset of that job an `id` that is a column"
    return f"has a column `{name}` of its own", hint
