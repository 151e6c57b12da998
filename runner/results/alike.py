"""What would be written, held against a results file that is there: the same byte for byte, or how it differs.

Nothing is written. A fresh clone has outputs that no record speaks of, and most of them are as they should be.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from runner.files import BUFFER_BYTES
from runner.mending import NOT_SO
from runner.results.cells import guarded
from runner.results.columns import Step, Table
from runner.results.export import writer_on
from runner.results.folder import FolderWriter
from runner.results.lines import scan
from runner.results.merge import Writer
from runner.results.names import RESULTS, Names, shown
from runner.results.ours import Ours
from runner.results.parquet import pyarrow_of
from runner.results.tree import Tree

_decode_names = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Differs(Exception):
    """The file would become another one; its text says where."""


@contextmanager
def table_against(path: Path, table: Table, *, is_guarded: bool = True) -> Iterator[Writer]:
    """A writer that changes nothing, for the table at `path`. Raises Differs, in the block or at its end, OSError."""
    suffix = path.suffix.lower()
    names = [column.name for column in table.columns]
    if suffix == ".csv" and is_guarded:
        names = [guarded(name) for name in names]
    if said := _other_columns(_names_in(path), names):
        raise Differs(said)
    with path.open("rb", buffering=0) as there:
        against = _Against(there, counts_lines=suffix != ".parquet")
        with writer_on(cast(BinaryIO, against), suffix, table, is_guarded=is_guarded) as writer:
            yield writer
        against.ends()


@contextmanager
def folder_against(folder: Path, names: Names, steps: Sequence[Step] = ()) -> Iterator[Writer]:
    """The same for a folder of transcripts. Raises Differs, DataError where files of others are in the way, OSError."""
    if Ours.was_begun(folder):
        raise Differs("it was not written to its end")
    with _Tree(folder) as tree, _Ours(folder) as ours, (folder / RESULTS).open("rb", buffering=0) as there:
        against = _Against(there)
        writer = FolderWriter(cast(BinaryIO, against), tree, ours, names, folder, steps)
        yield writer
        writer.finish()
        against.ends()


@contextmanager
def lines_against(path: Path) -> Iterator[BinaryIO]:
    """The same for a file of lines, of whatever kind. Raises Differs, in the block or at its end, OSError."""
    with path.open("rb", buffering=0) as there:
        against = _Against(there)
        yield cast(BinaryIO, against)
        against.ends()


class _Against(io.RawIOBase):
    """Takes what would be written, and compares it with a file from its beginning."""

    def __init__(self, there: io.RawIOBase | io.FileIO, *, counts_lines: bool = True) -> None:
        self._there = there
        self._counts_lines = counts_lines
        self._held = bytearray()
        self._lines = 0  # before what is held
        self._is_over = False  # what writers say after it differs, at their end, does not count

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self._is_over:
            self._held += data
        if len(self._held) >= BUFFER_BYTES:
            self._compare()
        return len(data)

    def ends(self) -> None:
        """Nothing more would be written. Raises Differs."""
        self._compare()
        if self._there.read(1):
            raise Differs(f"it goes on after line {self._lines:,}" if self._counts_lines else "it is longer")

    def _compare(self) -> None:
        there = bytearray()
        while len(there) < len(self._held) and (chunk := self._there.read(len(self._held) - len(there))):
            there += chunk
        if there != self._held:
            said = self._where(there)
            self._is_over = True
            self._held.clear()
            raise Differs(said)
        self._lines += self._held.count(b"\n")
        self._held.clear()

    def _where(self, there: bytearray) -> str:
        if not self._counts_lines:
            return "its values"
        equal = next((at for at, (one, other) in enumerate(zip(there, self._held, strict=False)) if one != other), None)
        line = self._lines + 1 + self._held.count(b"\n", 0, len(there) if equal is None else equal)
        return f"it ends before line {line:,}" if equal is None else f"line {line:,}"


class _Tree(Tree):
    """A folder in which nothing is written."""

    def write(self, name: str, content: bytes) -> None:
        raise Differs(f"`{shown(name)}`")

    def set_aside(self, name: str) -> None:
        raise Differs(f"`{shown(name)}`")

    def remove(self, name: str) -> None:
        raise Differs(f"`{shown(name)}`, which is not called so any more")


class _Ours(Ours):
    """And nothing is noted."""

    def note(self, name: str, sha256: str) -> None:
        raise Differs(f"`{shown(name)}` is missing")


def _names_in(path: Path) -> list[str] | None:
    """The names of the columns of a table, in order; None where it does not say."""
    match path.suffix.lower():
        case ".csv":
            with path.open(encoding="utf-8-sig", errors="replace", newline="") as file, suppress(csv.Error):
                return next(csv.reader(file), None)
        case ".parquet":
            arrow = pyarrow_of()
            with suppress(arrow.ArrowException):
                return [str(name) for name in arrow.parquet.read_schema(path).names]
        case _:
            with suppress(*NOT_SO):
                return next((list(_decode_names(line)) for _, line in scan(path)), None)
    return None


def _other_columns(there: Sequence[str] | None, wanted: Sequence[str]) -> str:
    """How the columns of a file differ from those it would have, in words; empty where they do not."""
    if there is None or list(there) == list(wanted):
        return ""
    if lacks := [name for name in wanted if name not in there]:
        return f"it has no column `{shown(lacks[0])}`"
    if more := [name for name in there if name not in wanted]:
        return f"its column `{shown(more[0])}` is no longer wanted"
    return "its columns stand in another order"
