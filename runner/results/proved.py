"""Whether a table that no record speaks of shows by itself that nobody edited it.

A fresh clone has results of which nothing is remembered. Each of their lines names its request, its batch and whose
answer it is, and holds the response: what else it says of the answer follows from that. A line of which it does not
follow was written by a person, or by a job that wrote other columns; nobody can tell, and the file is kept.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from runner.errors import RunnerError
from runner.job import finish
from runner.mending import NOT_SO
from runner.remotes.reading.verdict import NULL, TEXT, Expected, as_wanted
from runner.remotes.vendor import Reader
from runner.results.cells import cell_of, guarded, unguarded
from runner.results.columns import NEEDED, Column, Table
from runner.results.kinds import Of
from runner.results.lines import scan
from runner.results.splice import Merged

# What follows from the response; whatever else a line has names the request, the batch, or the row as it was.
_FOLLOWS = ("answer", "answer_json", "finish", "language", "text", "words", "segments", "speakers")
_ALSO_JSON = (TEXT, Expected(is_json=True))  # what an earlier spec may have asked for
_OF_SCHEMAS = (finish.NOT_JSON, finish.INVALID)  # endings that a spec of that day decided
_HEX = re.compile(r"[0-9a-f]{64}")
_decode_line = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str | None).decode
_encode = msgspec.json.Encoder().encode


class Proof(NamedTuple):
    """What lines are held to."""

    table: Table  # as the file would be written now
    ours: Mapping[str, Column]  # all columns that it may have beside those
    wanted: Expected
    reader_of: Callable[[str], Reader]  # of a provider, by its name. Raises RunnerError


def is_proved(path: Path, proof: Proof) -> bool:
    """Whether each line of a table is one that runner wrote of the response in it. Raises OSError.

    What became of a request without an answer is not proved: its error is no answer, and comes again with the request.
    """
    try:
        lines = _cells_of_csv(path) if path.suffix.lower() == ".csv" else _cells_of_json(path)
        names: list[str] = []
        columns: list[Column] | None = None
        for cells in lines:
            if not names:
                names = list(cells)
                columns = _columns(names, proof)
            if columns is None or list(cells) != names or not _follows(cells, columns, proof):
                return False
    except (RunnerError, ValueError, csv.Error, *NOT_SO):
        return False
    return True


def _columns(names: Collection[str], proof: Proof) -> list[Column] | None:
    """The columns to be held to their responses; None where one is not ours, or nothing says whose answers they are."""
    known = {**proof.ours, **{column.name: column for column in proof.table.columns}}
    if not known.keys() >= {*names} or not {*NEEDED} <= {*names}:
        return None
    picked = {name for step in proof.table.steps for name, _ in step.columns}
    return [known[name] for name in names if name in picked or name in _FOLLOWS]


class _Cell(msgspec.Struct, frozen=True):
    """A value as a file has it: JSON, or the text of a cell of a .csv."""

    raw: bytes
    text: str | None = None

    @property
    def said(self) -> str | None:
        """A text; None where there is none."""
        return _decode_text(self.raw) if self.text is None else unguarded(self.text) or None

    @property
    def json(self) -> bytes:
        return self.raw if self.text is None else self.text.encode() or NULL

    def holds(self, value: bytes, column: Column) -> bool:
        if self.text is None:
            return self.raw == value
        cell = value.decode() if column.kind.of is Of.JSON and value != NULL else cell_of(value)
        return self.text in (cell, guarded(cell))


_NOTHING = _Cell(NULL)


def _follows(cells: Mapping[str, _Cell], columns: list[Column], proof: Proof) -> bool:
    """Whether a line of ours says of its response what we would say."""
    said = {name: cells.get(name, _NOTHING).said for name in ("digest", "origin", "batch", "custom_id")}
    origin, error = said["origin"], cells.get("error", _NOTHING).json
    if not _HEX.fullmatch(said["digest"] or ""):
        return False
    response = cells.get("response", _NOTHING).json
    if not origin:  # it was never sent
        return response == NULL and all(cells[column.name].holds(NULL, column) for column in columns)
    whose = said["batch"], said["digest"] or "", origin
    line = Merged(said["custom_id"] or "", _row_in(cells, proof), NULL, response, error, *whose)
    if response == NULL:
        return _shows(cells, columns, line, proof)
    reader = proof.reader_of(origin.partition("@")[0])
    ending = cells.get("finish", _NOTHING).said
    for wanted in (proof.wanted, *_ALSO_JSON):
        answer, ends = as_wanted(reader.answer(response, wanted), wanted)
        ends = ending if ending in _OF_SCHEMAS and wanted.is_json else ends
        if _shows(cells, columns, line._replace(answer=answer, finish=ends), proof):
            return True
    return False


def _shows(cells: Mapping[str, _Cell], columns: list[Column], line: Merged, proof: Proof) -> bool:
    line = proof.table.stepped(line)
    return all(cells[column.name].holds(column.take()(line), column) for column in columns)


def _row_in(cells: Mapping[str, _Cell], proof: Proof) -> bytes:
    """The row of a line; of a .csv made of the columns of the input."""
    if "row" in proof.ours and "row" in cells:
        return cells["row"].json
    of_input = [column for column in proof.table.columns if column.of_input and column.name in cells]
    return _encode({column.of_input: cells[column.name].text for column in of_input})


def _cells_of_json(path: Path) -> Iterator[dict[str, _Cell]]:
    for _, line in scan(path):
        if line.strip():
            yield {name: _Cell(bytes(raw)) for name, raw in _decode_line(line).items()}


def _cells_of_csv(path: Path) -> Iterator[dict[str, _Cell]]:
    csv.field_size_limit(sys.maxsize)  # of the process; a response may be long
    with path.open(encoding="utf-8-sig", newline="") as source:
        rows = csv.reader(source, strict=True)
        header = [unguarded(name) for name in next(rows, [])]
        for row in rows:
            if row:
                yield {name: _Cell(NULL, cell) for name, cell in zip(header, row, strict=True)}
