"""Answers read back from results files that runner wrote: a fresh clone pays for nothing its outputs remember.

Every line of such a file names its request by digest and carries its origin, so it can stand in for a raw line.
What is kept goes into one raw file for each origin, in the line format of our own results without the rows.
"""

from __future__ import annotations

import csv
import hashlib
import shutil
import struct
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec
from msgspec import Raw

from runner.errors import StateError, UsageError
from runner.files import BUFFER_BYTES, whole
from runner.job.outcomes import ENTRY_BYTES, Outcome, pack, place
from runner.job.packed import KEY_BYTES, Sorter
from runner.results import parse, recordings
from runner.results.answer import NULL
from runner.results.cells import unguarded
from runner.results.export import ENDING, PARQUET_COLUMNS, SUFFIXES, JsonlWriter
from runner.results.lines import scan
from runner.results.locate import Source
from runner.results.names import RESULTS
from runner.results.parquet import pyarrow_of
from runner.results.splice import Merged

SHOWN = 5  # damaged lines that are named
MOST_ORIGINS = 64  # of one file, each with an open file of its own
BATCH = "adopted"  # stands for the batch where a line names none

_ENTRY = struct.Struct(f">{KEY_BYTES}sQ")
_encode = msgspec.json.Encoder().encode
_decode_raw = msgspec.json.Decoder(Raw).decode


@dataclass(frozen=True, slots=True)
class AdoptedFile:
    """The answers of one origin: a raw file with a complete index, like a batch that ended well."""

    origin: str
    path: Path
    rows: int
    keys: bytes = field(repr=False)  # sorted, packed
    index: bytes = field(repr=False)

    def source(self, generation: int = 0) -> Source:
        """The same, as `locate` and `merge` take it."""
        return Source(self.index, generation, BATCH, self.origin, (self.path,), is_adopted=True)


@dataclass(frozen=True, slots=True)
class Adopted:
    """What a results file gave: adopted + duplicates + unanswered + damaged = lines."""

    files: tuple[AdoptedFile, ...]  # by origin
    lines: int
    adopted: int
    duplicates: int  # equal requests: the first answer stays
    unanswered: int  # errors, and requests without an outcome
    damaged: int
    damaged_examples: tuple[str, ...]  # `capitals.jsonl:17: not a line of a results file`, the first five
    sent: bytes = field(default=b"", repr=False)  # keys of the unanswered that a remote may have: sorted, packed


def adopt_output(path: Path, to_dir: Path) -> Adopted:
    """Copy the answers of an output that runner wrote to raw files in `to_dir`, one for each origin.

    path: a .jsonl, .csv or .parquet, or a folder of transcripts, which is known by its `_results.jsonl`.
    The files are named by their content and immutable; adopting the same again changes nothing. Damaged lines are
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
                own, outcome = parse.read_own(line)
                origin = own.origin or ""
                if origin not in shelves and outcome == Outcome.OK and len(shelves) == MOST_ORIGINS:
                    raise parse.Unreadable(f"more than {MOST_ORIGINS} origins in one file")
            except parse.Unreadable as reason:
                damaged += 1
                if len(examples) < SHOWN:
                    examples.append(f"{path.name}:{number}: {reason}")
                continue
            if outcome != Outcome.OK:
                unanswered += 1
                if parse.may_be_sent(own):
                    sent.add(bytes.fromhex(own.digest[: 2 * KEY_BYTES]))
                continue
            shelf = shelves.get(origin)
            if shelf is None:
                shelf = shelves[origin] = _Shelf(origin, to_dir)
                stack.callback(shelf.close)
            shelf.add(own)
        files = tuple(shelves[origin].settled(to_dir) for origin in sorted(shelves))
    adopted = sum(file.rows for file in files)
    duplicates = lines - unanswered - damaged - adopted
    return Adopted(files, lines, adopted, duplicates, unanswered, damaged, tuple(examples), sent.sorted())


class _Shelf:
    """The answers of one origin while they are collected, in a nameless file that dies with the process."""

    def __init__(self, origin: str, to_dir: Path) -> None:
        self._origin = origin
        self._stage: IO[bytes] = tempfile.TemporaryFile(dir=to_dir, buffering=BUFFER_BYTES)  # noqa: SIM115
        self._hash = hashlib.sha256()
        self._format = JsonlWriter(self._stage).line
        self._places = Sorter(ENTRY_BYTES)
        self._offset = self._rows = 0

    def add(self, own: parse.Own) -> None:
        answer, response = bytes(own.answer) or NULL, bytes(own.response) or NULL
        line = self._format(Merged(own.custom_id, NULL, answer, response, NULL, own.batch, own.digest, own.origin))
        self._places.add(pack(bytes.fromhex(own.digest[: 2 * KEY_BYTES]), Outcome.OK, 0, self._offset))
        self._rows += 1
        self._offset += len(line)
        self._hash.update(line)
        self._stage.write(line)

    def settled(self, to_dir: Path) -> AdoptedFile:
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
        return AdoptedFile(self._origin, path, rows, keys, index)

    def _copy_first(self, index: bytes, out: IO[bytes]) -> bytes:
        """Copy the lines the index names; the index over the copy."""
        wanted = array("Q", sorted(place(value)[2] for _, value in _ENTRY.iter_unpack(index)))
        moved = Sorter(ENTRY_BYTES)
        read = written = taken = 0
        for line in self._stage:
            if taken < len(wanted) and wanted[taken] == read:
                own, _ = parse.read_own(line[:-1])
                moved.add(pack(bytes.fromhex(own.digest[: 2 * KEY_BYTES]), Outcome.OK, 0, written))
                out.write(line)
                written += len(line)
                taken += 1
            read += len(line)
        return moved.sorted()

    def close(self) -> None:
        self._stage.close()


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
            raise UsageError(f"`{path.name}` is no results file", hint=f"it ends in one of {', '.join(SUFFIXES)}")


def _csv_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    csv.field_size_limit(sys.maxsize)  # of the process; a response may be long
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as source:
        rows = csv.reader(source)
        try:
            header = next(rows, [])
            line_of = _line_reader(header)
            if line_of is None:
                yield 1, b""  # some other table: one damaged line says so
                return
            for row in rows:
                if row:
                    yield rows.line_num, line_of(row) if len(row) == len(header) else b""
        except csv.Error:
            yield rows.line_num, b""


def _line_reader(header: list[str]) -> Callable[[list[str]], bytes] | None:
    """How rows below this header are read; None where it is none of ours."""
    if tuple(header) == recordings.COLUMNS:
        return _recording_line
    ours = [name.removesuffix("_result") for name in (*header[:1], *header[-len(ENDING) :])]
    while any(name.endswith("_result") for name in ours):
        ours = [name.removesuffix("_result") for name in ours]
    return _csv_line if ours == ["custom_id", *ENDING] else None


def _csv_line(row: list[str]) -> bytes:
    answer, error, batch, digest, origin, response = row[-len(ENDING) :]
    return _line(row[0], _encode(unguarded(answer)) if answer else NULL, response, error, batch, digest, origin)


def _recording_line(row: list[str]) -> bytes:
    error, batch, digest, origin, response = row[-len(recordings.ENDING) :]
    return _line(row[0], NULL, response, error, batch, digest, origin)


def _parquet_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    arrow = pyarrow_of()
    number = 0
    try:
        with arrow.parquet.ParquetFile(path) as file:
            there = set(file.schema_arrow.names)
            names = [name for name in PARQUET_COLUMNS if name != "row"]
            if set(recordings.COLUMNS) <= there:
                names = ["custom_id", *recordings.ENDING]
            if not set(names) <= there:
                yield 1, b""
                return
            for batch in file.iter_batches(batch_size=1024, columns=names):
                for row in batch.to_pylist():
                    number += 1
                    yield number, _parquet_line(row)
    except (arrow.ArrowException, ValueError):  # ValueError: text that is not UTF-8
        yield number + 1, b""


def _parquet_line(row: dict[str, Any]) -> bytes:
    cells = {name: "" if value is None else str(value) for name, value in row.items()}
    answer = NULL if row.get("answer") is None else _encode(cells["answer"])
    ours = (cells[name] for name in ("response", "error", "batch", "digest", "origin"))
    return _line(cells["custom_id"], answer, *ours)


def _line(custom_id: str, answer: bytes, response: str, error: str, batch: str, digest: str, origin: str) -> bytes:
    """One line from cells; `b""`, which no reader accepts, where a cell that should hold JSON does not."""
    try:
        parts = [_one_line(part) for part in (response, error)]
    except (msgspec.MsgspecError, RecursionError):
        return b""
    return b'{"custom_id":%b,"answer":%b,"response":%b,"error":%b,"batch":%b,"digest":%b,"origin":%b}' % (
        _encode(custom_id),
        answer,
        *parts,
        _encode(batch or None),
        _encode(digest),
        _encode(origin or None),
    )


def _one_line(cell: str) -> bytes:
    if not cell:
        return NULL
    found = bytes(_decode_raw(cell.encode()))
    return msgspec.json.format(found, indent=-1) if b"\n" in found else found
