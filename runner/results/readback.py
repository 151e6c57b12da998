"""Answers read back from results files that runner wrote: a fresh clone pays for nothing its outputs remember.

Every line of such a file names its request by digest and carries its origin, so it can stand in for a raw line.
What is kept goes into one raw file for each origin, in the line format of our own results without the rows.
"""

from __future__ import annotations

import csv
import hashlib
import re
import shutil
import struct
import sys
import tempfile
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Raw

from runner.errors import StateError, UsageError
from runner.files import BUFFER_BYTES, whole
from runner.job.outcomes import ENTRY_BYTES, Outcome, pack, place
from runner.job.packed import KEY_BYTES, Sorter
from runner.remotes.reading.verdict import NULL, Unreadable
from runner.results.cells import unguarded
from runner.results.columns import NEEDED, About, table
from runner.results.export import SUFFIXES, JsonlWriter
from runner.results.lines import scan
from runner.results.locate import OutcomeSource
from runner.results.names import RESULTS
from runner.results.own import Cost, Own, cost_in, may_be_sent, read_own
from runner.results.parquet import pyarrow_of
from runner.results.splice import OK, Merged

_LOOKED_AT = 100  # lines before a table is taken for somebody else's
SHOWN = 5  # damaged lines that are named
MOST_ORIGINS = 64  # of one file, each with an open file of its own
BATCH = "adopted"  # stands for the batch where a line names none: a word that results files keep

# How what is read back is kept: as in our own .jsonl, without the rows.
_COLUMNS = ("custom_id", "answer", "finish", "response", "error", "batch", "digest", "origin")
_SHELVED = table(".jsonl", About(), chosen=_COLUMNS)
_WITH_COST = table(".jsonl", About(), chosen=(*_COLUMNS, *Cost._fields))  # where no response says it

_ENTRY = struct.Struct(f">{KEY_BYTES}sQ")
_encode = msgspec.json.Encoder().encode
_decode_raw = msgspec.json.Decoder(Raw).decode
_decode_number = msgspec.json.Decoder(float).decode


class ReadBackFile(msgspec.Struct, frozen=True):
    """The answers of one origin: a raw file with a complete index, like a batch that ended well."""

    origin: str
    path: Path
    rows: int
    keys: bytes  # sorted, packed
    index: bytes

    def source(self, generation: int = 0) -> OutcomeSource:
        """The same, as `locate` and `merge` take it."""
        return OutcomeSource(self.index, generation, BATCH, self.origin, (self.path,), is_read_back=True)


class ReadBack(msgspec.Struct, frozen=True):
    """What a results file gave: answers + duplicates + unanswered + damaged = lines."""

    files: tuple[ReadBackFile, ...]  # by origin
    lines: int
    answers: int
    duplicates: int  # equal requests: the first answer stays
    unanswered: int  # errors, and requests without an outcome
    damaged: int
    damaged_examples: tuple[str, ...]  # `capitals.jsonl:17: not a line of a results file`, the first five
    sent: bytes = b""  # keys of the unanswered that a remote may have: sorted, packed


def read_back(path: Path, to_dir: Path, costs: Collection[str] = ()) -> ReadBack:
    """Copy the answers of an output that runner wrote to raw files in `to_dir`, one for each origin.

    path: a .jsonl, .csv or .parquet, or a folder of transcripts, which is known by its `_results.jsonl`.
    costs: the columns of `Cost` that are ours in it; kept of lines without a response.
    The files are named by their content and immutable; reading the same back again changes nothing. Damaged lines are
    counted and skipped. Raises UsageError for another suffix, StateError for a folder without `_results.jsonl`,
    RunnerError without pyarrow, OSError.
    """
    if path.is_dir():
        path = _results_in(path)
    to_dir.mkdir(parents=True, exist_ok=True)
    shelves: dict[str, _Shelf] = {}
    lines = unanswered = damaged = 0
    examples: list[str] = []
    sent = Sorter()
    with ExitStack() as stack:
        for number, line in _own_lines(path):
            lines += 1
            try:
                own, outcome = read_own(line)
                origin = own.origin or ""
                if origin not in shelves and outcome == Outcome.OK and len(shelves) == MOST_ORIGINS:
                    raise Unreadable(f"more than {MOST_ORIGINS} origins in one file")
            except Unreadable as reason:
                damaged += 1
                if len(examples) < SHOWN:
                    examples.append(f"{path.name}:{number}: {reason}")
                continue
            if outcome != Outcome.OK:
                unanswered += 1
                if may_be_sent(own):
                    sent.add(bytes.fromhex(own.digest[: 2 * KEY_BYTES]))
                continue
            shelf = shelves.get(origin)
            if shelf is None:
                shelf = shelves[origin] = _Shelf(origin, to_dir)
                stack.callback(shelf.close)
            shelf.add(own, cost_in(own, costs) if costs else None)
        files = tuple(shelves[origin].settled(to_dir) for origin in sorted(shelves))
    answers = sum(file.rows for file in files)
    duplicates = lines - unanswered - damaged - answers
    return ReadBack(files, lines, answers, duplicates, unanswered, damaged, tuple(examples), sent.sorted())


class _Shelf:
    """The answers of one origin while they are collected, in a nameless file that dies with the process."""

    def __init__(self, origin: str, to_dir: Path) -> None:
        self._origin = origin
        self._stage: IO[bytes] = tempfile.TemporaryFile(dir=to_dir, buffering=BUFFER_BYTES)  # noqa: SIM115
        self._hash = hashlib.sha256()
        self._usual = JsonlWriter(self._stage, _SHELVED.columns).line
        self._with_cost = JsonlWriter(self._stage, _WITH_COST.columns).line
        self._places = Sorter(ENTRY_BYTES)
        self._offset = self._rows = 0

    def add(self, own: Own, cost: Cost | None) -> None:
        answer, response = bytes(own.answer) or NULL, bytes(own.response) or NULL
        who = (own.batch, own.digest, own.origin, own.finish)
        error = bytes(own.error) or NULL  # of an answer that is none, and is not asked for again
        merged = Merged(own.custom_id, NULL, answer, response, error, *who, cost=cost)
        line = self._usual(merged) if cost is None else self._with_cost(merged)
        self._places.add(pack(bytes.fromhex(own.digest[: 2 * KEY_BYTES]), Outcome.OK, 0, self._offset))
        self._rows += 1
        self._offset += len(line)
        self._hash.update(line)
        self._stage.write(line)

    def settled(self, to_dir: Path) -> ReadBackFile:
        """Copy the first answer to each request into its final file."""
        index = self._places.sorted()
        rows = len(index) // ENTRY_BYTES
        path = to_dir / f"adopted-{self._hash.hexdigest()[:32]}.jsonl"
        self._stage.seek(0)
        with whole(path, mode=0o600) as out:
            if rows == self._rows:
                shutil.copyfileobj(self._stage, out, BUFFER_BYTES)
            else:
                index = self._copy_first(index, out)
        keys = b"".join([key for key, _ in _ENTRY.iter_unpack(index)])
        return ReadBackFile(self._origin, path, rows, keys, index)

    def _copy_first(self, index: bytes, out: IO[bytes]) -> bytes:
        """Copy the lines the index names; the index over the copy."""
        wanted = array("Q", sorted(place(value)[2] for _, value in _ENTRY.iter_unpack(index)))
        moved = Sorter(ENTRY_BYTES)
        read = written = taken = 0
        for line in self._stage:
            if taken < len(wanted) and wanted[taken] == read:
                own, _ = read_own(line[:-1])
                moved.add(pack(bytes.fromhex(own.digest[: 2 * KEY_BYTES]), Outcome.OK, 0, written))
                out.write(line)
                written += len(line)
                taken += 1
            read += len(line)
        return moved.sorted()

    def close(self) -> None:
        self._stage.close()


def is_ours(path: Path) -> bool:
    """Whether a table reads as results of ours: one of its first lines does, or it has our columns and no line.

    Raises UsageError for another suffix, RunnerError without pyarrow, OSError.
    """
    lines = 0
    for lines, (_, line) in enumerate(_own_lines(path), 1):  # counted
        try:
            read_own(line)
        except Unreadable:
            if lines == _LOOKED_AT:
                return False
            continue
        return True
    return not lines


def _results_in(folder: Path) -> Path:
    path = folder / RESULTS
    if not path.is_file():
        raise StateError(
            f"its `{RESULTS}` is gone, and transcripts alone do not say which requests they answer",
            hint=f"bring `{path}` back, from git or a backup, before anything is paid for again",
        )
    return path


# --- lines of each format -----------------------------------------------------------------------------------------


def _own_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(line or row number from 1, line of our own format) of a results file, whatever its suffix."""
    match path.suffix.lower():
        case ".jsonl":
            for number, (_, line) in enumerate(scan(path), 1):
                if line.strip():
                    yield number, line
        case ".csv":
            yield from _csv_lines(path)
        case ".parquet":
            yield from _parquet_lines(path)
        case _:
            raise UsageError(f"`{path.name}` is not a results file", hint=f"it ends in one of {', '.join(SUFFIXES)}")


def _csv_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    csv.field_size_limit(sys.maxsize)  # of the process; a response may be long
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as source:
        rows = csv.reader(source)
        try:
            header = next(rows, [])
            names = names_of(header)
            if not _is_ours(names):
                yield 1, b""  # some other table: one damaged line says so
                return
            for row in rows:
                if row:
                    cells = dict(zip(names, row, strict=False))
                    if not cells.get("answer"):
                        cells.pop("answer", None)
                    yield rows.line_num, _line(cells) if len(row) == len(header) else b""
        except csv.Error:
            yield rows.line_num, b""


# The last columns of a .csv of format 1. Where the input had such names already, these got a suffix.
_ENDING_1 = ("answer", "error", "batch", "digest", "origin", "response")
_SUFFIX_1 = re.compile(r"(?:_result)+\Z")


def names_of(header: Sequence[str]) -> Sequence[str]:
    """The names of a header as they are written now; of format 1 the input's columns have no name that counts."""
    ending = tuple(_SUFFIX_1.sub("", name) for name in header[-len(_ENDING_1) :])
    if ending != _ENDING_1 or _SUFFIX_1.sub("", header[0]) != "custom_id":
        return header
    return ["custom_id", *("" for _ in header[1 : -len(_ENDING_1)]), *_ENDING_1]


def _is_ours(names: Collection[str]) -> bool:
    """Whether lines with these columns say whose answers they hold, and hold them."""
    return {*NEEDED} <= set(names) and not {"answer", "response"}.isdisjoint(names)


def _parquet_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    arrow = pyarrow_of()
    number = 0
    try:
        with arrow.parquet.ParquetFile(path) as file:
            names = [name for name in _READ if name in file.schema_arrow.names]
            if not _is_ours(names):
                yield 1, b""
                return
            for batch in file.iter_batches(batch_size=1024, columns=names):
                for row in batch.to_pylist():
                    number += 1
                    if row.get("answer") is None:
                        row.pop("answer", None)
                    yield number, _line({name: "" if value is None else str(value) for name, value in row.items()})
    except (arrow.ArrowException, ValueError):  # ValueError: text that is not UTF-8
        yield number + 1, b""


_READ = (*_COLUMNS[:-2], "status", "error_code", "error_message", *NEEDED, *Cost._fields)


def _line(cells: Mapping[str, str]) -> bytes:
    """One line of our own format from cells, by name; `b""`, which no reader accepts, where JSON should be and is not.

    An error without its JSON is known by its code: whether a request waits for a person hangs on it.
    """
    get = cells.get
    code = get("error_code", "")
    try:
        response, error = _one_line(get("response", "")), _one_line(get("error", ""))
    except (msgspec.MsgspecError, RecursionError):
        return b""
    says_whether = "error" in cells or "error_code" in cells or get("status") == OK
    if error == NULL and code:
        error = _encode({"code": code, "message": get("error_message", ""), "status": None, "retryable": True})
    return b"".join(
        (
            b'{"custom_id":',
            _encode(unguarded(get("custom_id", ""))),
            b',"answer":',
            _encode(unguarded(cells["answer"])) if "answer" in cells else NULL,
            b',"finish":',
            _encode(get("finish") or None),
            *((b',"response":', response) if "response" in cells else ()),
            *((b',"error":', error) if says_whether else ()),
            b',"batch":',
            _encode(unguarded(get("batch", "")) or None),
            b',"digest":',
            _encode(get("digest", "")),
            b',"origin":',
            _encode(unguarded(get("origin", "")) or None),
            *(
                b',"%b":%b' % (name.encode(), cells[name].encode())
                for name in Cost._fields
                if _is_number(get(name, ""))
            ),
            b"}",
        )
    )


def _is_number(cell: str) -> bool:
    try:
        _decode_number(cell)
    except msgspec.MsgspecError:
        return False
    return True


def _one_line(cell: str) -> bytes:
    if not cell:
        return NULL
    found = bytes(_decode_raw(cell.encode()))
    return msgspec.json.format(found, indent=-1) if b"\n" in found else found
