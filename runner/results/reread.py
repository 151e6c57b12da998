"""Lines of a results file that runner wrote, of any format, read again to be shown.

Nothing else is needed for it: no state, no dataset, no remote. `readback` reads the same files back as answers that
were paid for, and has no use for columns; here a line is what a person looks at.
"""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from runner.errors import DataError
from runner.job.outcomes import Unsettled
from runner.mending import NOT_SO
from runner.remotes.reading.verdict import NULL
from runner.results.cells import unguarded
from runner.results.columns import HEARD, NEEDED, READ_BACK, ROW, About, ours, usual
from runner.results.names import RESULTS
from runner.results.own import Cost
from runner.results.parquet import pyarrow_of
from runner.results.readback import names_of
from runner.results.splice import ERROR, OK, Merged

WAITING = frozenset((*(state.word for state in Unsettled), "missing"))
_HEX = re.compile(r"[0-9a-f]{64}")
_HELD = "held"  # of earlier versions: nobody knows
_OF_FOLDERS = frozenset(("row", "sha256"))  # of a folder's table, beside the transcript's name
_decode_line = msgspec.json.Decoder(dict[str, Raw]).decode
_decode = msgspec.json.Decoder().decode
_OURS = frozenset(
    name for is_of_recordings in (False, True) for name in ours(About(), is_of_recordings=is_of_recordings)
)


class Line(NamedTuple):
    """One wanted row, and what became of it."""

    custom_id: str
    columns: Mapping[str, str]  # of the input, as text; JSON where a value is none
    status: str  # ok, error, or a word of `WAITING`
    text: str | None  # the answer; of JSON its text
    answer: bytes  # the same as JSON; `null` where there is none, and in tables that hold its text alone
    error_code: str
    error_message: str
    finish: str | None
    digest: str
    batch: str | None
    origin: str  # whose answer it is; empty for none
    response: bytes  # JSON; `null` where the file does not hold it
    cost: Cost  # as columns of the file say


def own_names(
    output: str, about: About, *, chosen: Sequence[str] = (), picked: Collection[str] = (), is_of_recordings: bool
) -> frozenset[str]:
    """The names that are ours in a job's results: an input may have columns that are called so where we have none.

    picked: those that show values out of answers.
    """
    known = ours(about, is_of_recordings=is_of_recordings)
    if output.endswith("/"):
        return _OURS
    names = chosen or usual(PurePosixPath(output).suffix.lower(), about, is_of_recordings=is_of_recordings)
    return frozenset({ROW, *READ_BACK, *picked, *known.keys() & {*names}})


def lines_in(output: Path, own: frozenset[str] = _OURS) -> Iterator[Line]:
    """The lines of a results file, or of a folder of transcripts, in their order.

    own: see `own_names`; without it, whatever could be a column of ours is one.
    Raises DataError for what is no such line, with its number; RunnerError without pyarrow, OSError.
    """
    path = output / RESULTS if output.is_dir() else output
    if path.suffix.lower() == ".jsonl" and own.isdisjoint(Cost._fields):
        yield from _usual_lines(path, own)
        return
    readers = {".jsonl": _in_jsonl, ".csv": _in_csv, ".parquet": _in_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"`{path.name}` is not a results file")
    number = 0
    try:
        for cells in reader(path):
            yield _line(cells, own)
            number += 1
    except (KeyError, ValueError, csv.Error, *NOT_SO) as error:
        raise _no_line(path, number + 1) from error


class _Usual(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A line with the columns that nearly all have."""

    custom_id: str
    row: dict[str, Any]
    answer: Raw
    finish: str | None
    response: Raw
    error: Any
    batch: str | None
    digest: str
    origin: str | None


_decode_usual = msgspec.json.Decoder(_Usual).decode


def _usual_lines(path: Path, own: frozenset[str]) -> Iterator[Line]:
    """JSON lines, which are mostly answers with the usual columns: those are decoded in one go, all others by `_line`.

    Every command that shows or holds results reads each of them, a million in one file.
    """
    number = 0
    try:
        with path.open("rb") as lines:
            for line in lines:
                if not line.strip():
                    continue
                try:
                    found = _decode_usual(line)
                except msgspec.MsgspecError:
                    yield _line_of_json(_decode_line(line), own)
                else:
                    answer = bytes(found.answer)
                    is_answer = found.error is None and found.origin and answer != NULL
                    if is_answer and _HEX.fullmatch(found.digest):
                        yield _answered(found, answer)
                    else:
                        yield _line_of_json(_decode_line(line), own)
                number += 1
    except (KeyError, ValueError, *NOT_SO) as error:
        raise _no_line(path, number + 1) from error


def _answered(found: _Usual, answer: bytes) -> Line:
    told = _decode(answer)
    return Line(
        found.custom_id,
        {name: value if type(value) is str else as_text(value) for name, value in found.row.items()},
        OK,
        told if type(told) is str else as_text(told),
        answer,
        "",
        "",
        found.finish or None,
        found.digest,
        found.batch or None,
        found.origin or "",
        bytes(found.response),
        _NO_COST,
    )


def _no_line(path: Path, number: int) -> DataError:
    return DataError(
        f"`{path.name}`: line {number} is not a line of a results file",
        hint="move it away and run `runner apply`: it is written again from the answers, at no cost",
    )


def _line(cells: Mapping[str, Any], own: frozenset[str]) -> Line:
    """Of cells by name: those of ours, and all others as the input's. `row` holds columns where it stands."""
    digest = cells.get("digest")
    if not {*NEEDED} <= cells.keys() or not isinstance(digest, str) or not _HEX.fullmatch(digest):
        raise ValueError("no digest or no origin")
    row = cells.get("row") or {}
    row = _decode(row) if isinstance(row, str) else row  # a table of an earlier format holds it as JSON
    columns = {name: as_text(value) for name, value in row.items()} if isinstance(row, dict) else {}
    columns |= {name: as_text(value) for name, value in cells.items() if name not in own and name not in _OF_FOLDERS}
    error = cells.get("error") or {}
    code, message = (error.get("code"), error.get("message")) if isinstance(error, dict) else ("", error)
    code, message = code or cells.get("error_code"), message or cells.get("error_message")
    is_error = bool(error) or code is not None
    status = OK if not is_error else _status(as_text(code or ""), cells["origin"])
    response = cells.get("response")
    if is_heard := "answer" not in cells and not cells.keys().isdisjoint(("text", "transcript")):
        columns |= {name: as_text(cells[name]) for name in ("file", *HEARD[:2]) if cells.get(name) is not None}
    answer = cells.get("text", _heard_in(response)) if is_heard else cells.get("answer")
    return Line(
        custom_id=as_text(cells.get("custom_id") or ""),
        columns=columns,
        status=status,
        text=None if answer is None or status != OK else as_text(answer),
        answer=NULL,
        error_code=as_text(code or ""),
        error_message=as_text(message or ""),
        finish=as_text(cells.get("finish")) or None,
        digest=digest,
        batch=as_text(cells.get("batch")) or None,
        origin=as_text(cells["origin"]),
        response=response if isinstance(response, bytes) else NULL,
        cost=_NO_COST if own.isdisjoint(Cost._fields) else _cost_in(cells, own),
    )


def _line_of_json(raw: Mapping[str, Raw], own: frozenset[str]) -> Line:
    return _line(_of_json(raw), own)._replace(answer=bytes(raw["answer"]) if "answer" in raw else NULL)


_NO_COST = Cost()


def _cost_in(cells: Mapping[str, Any], own: frozenset[str]) -> Cost:
    """What columns of ours say of the cost; a cell that holds no such number says nothing."""
    found = {}
    for name in Cost._fields:
        try:
            value = float(cells[name]) if name in own else None
        except (KeyError, TypeError, ValueError):
            continue
        if value is not None and math.isfinite(value) and (name == "usd" or value.is_integer()):
            found[name] = value if name == "usd" else int(value)
    return Cost(**found)  # type: ignore[arg-type]


class _Heard(msgspec.Struct):
    text: str | None = None


_decode_heard = msgspec.json.Decoder(_Heard | None).decode


def _heard_in(response: object) -> str | None:
    """The text of a recording whose line names its transcript's file: in the response, which every line has."""
    try:
        found = _decode_heard(response) if isinstance(response, bytes) else None
    except NOT_SO:  # text, or an answer in a shape of its own
        return None
    return found.text if found else None


def _status(code: str, origin: object) -> str:
    """A row of no origin has no outcome, and its error says where it stands; what a remote writes is an error."""
    if origin:
        return ERROR
    return code if code in WAITING else Unsettled.UNKNOWN.word if code == _HELD else ERROR


def as_text(value: object) -> str:
    """A text as it is, anything else as JSON; nothing for null."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


# --- to be scored again -------------------------------------------------------------------------------------------


def holds_rows(output: Path, mentions: Collection[str] = ()) -> bool:
    """Whether a results file holds rows and answers just as they were scored: JSON lines do, unless a job chose other
    columns. mentions: names of the answer that templates look at.
    """
    if output.suffix.lower() != ".jsonl" or not output.is_file():
        return False
    with output.open("rb") as lines:
        first = lines.readline()
    try:
        cells = _decode_line(first) if first.strip() else {}
    except NOT_SO:
        return False
    needed = {"row", "answer", *NEEDED}
    needed |= {"finish"} if "finish_reason" in mentions else set()
    needed |= {"response"} if "usage" in mentions else set()
    return not first.strip() or needed <= cells.keys()


def merged_in(output: Path) -> Iterator[Merged]:
    """The lines of a file that `holds_rows`, as they were before they were written. Raises as `lines_in` does."""
    number = 0
    try:
        with output.open("rb") as lines:
            for line in lines:
                number += 1
                if line.strip():
                    yield _merged(_decode_line(line))
    except (KeyError, ValueError, *NOT_SO) as error:
        raise _no_line(output, number) from error


def _merged(raw: Mapping[str, Raw]) -> Merged:
    line = _line_of_json(raw, _OURS)
    row, error = (bytes(raw[name]) if name in raw else NULL for name in ("row", "error"))
    whose = (line.batch, line.digest, line.origin or None, line.finish, line.status)
    return Merged(line.custom_id, row, line.answer, line.response, error, *whose)


# --- each format --------------------------------------------------------------------------------------------------


def _in_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        for line in lines:
            if line.strip():
                yield _of_json(_decode_line(line))


def _of_json(cells: Mapping[str, Raw]) -> dict[str, Any]:
    return {name: bytes(raw) if name == "response" else _decode(raw) for name, raw in cells.items()}


def _in_csv(path: Path) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(sys.maxsize)  # of the process; a response may be long
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as source:
        rows = csv.reader(source, strict=True)
        header = next(rows, [])
        # Of format 1, whose own columns may be called otherwise: those of the input have no name that counts
        names = [
            name or (f"row_{shown}" if shown in _OURS else shown)
            for name, shown in zip(names_of(header) if header else [], header, strict=True)
        ]
        for row in rows:
            if row:
                yield _of_cells({name: unguarded(cell) or None for name, cell in zip(names, row, strict=True)})


def _in_parquet(path: Path) -> Iterator[dict[str, Any]]:
    arrow = pyarrow_of()
    try:
        with arrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                yield from map(_of_cells, batch.to_pylist())
    except arrow.ArrowException as error:
        raise ValueError(str(error)) from error


def _of_cells(cells: dict[str, Any]) -> dict[str, Any]:
    """A table's cells: what holds JSON is read, but for the response, which stays as it is."""
    error, response = cells.get("error"), cells.get("response")
    more = {"error": _decode(error)} if isinstance(error, str) else {}
    return {**cells, **more, "response": response.encode() if isinstance(response, str) else NULL}
