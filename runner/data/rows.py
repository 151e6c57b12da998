"""Open a dataset: the suffix picks the reader, and every row carries the place it came from."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from runner.data import csv, files, jsonl, parquet, paths, sniff
from runner.data.block import MOST_OTHERS, Bad, BadRow, Block, RowsUnread, SourceRow
from runner.data.files import expand, signature
from runner.data.picks import Picks
from runner.data.source import DataSource, FileStamp
from runner.errors import DataError, Mark, Problem

__all__ = ["Block", "DataSource", "FileStamp", "SourceRow", "expand", "open_blocks", "open_rows", "signature"]

_BLOCK_ROWS = 512
_MOST_BLOCKS = 200  # read to find them


def open_rows(
    dataset: DataSource, root: Path, at: Iterable[int] | None = None, *, bad: Bad | None = None
) -> Iterator[SourceRow]:
    """Rows of all files of a dataset in order, streamed. Arguments and errors as of `open_blocks`."""
    return chain.from_iterable(open_blocks(dataset, root, at, bad=bad))


def open_blocks(
    dataset: DataSource, root: Path, at: Iterable[int] | None = None, *, checked: bool = True, bad: Bad | None = None
) -> Iterator[Block]:
    """Rows of all files of a dataset in order, in runs. An error comes after the rows before it.

    at: positions in the dataset, ascending; the others are skipped without being decoded where the format allows it,
    and reading stops after the last. None reads all. checked: False leaves out what costs time and was done when the
    same bytes were read before. bad: takes what is wrong with single rows of a dataset that says `skip_bad`; they are
    left out, and counted as rows all the same.
    Raises DataError with the file and line, or with the dataset's place in the specs.
    """
    picks = Picks(at)
    listener = (bad or ignore) if dataset.skip_bad else None
    if dataset.are_paths:
        yield from paths.blocks(dataset, root, picks)
        return
    for name in expand(dataset, root):
        if not picks.done:
            yield from _read(dataset, root, name, picks, checked, listener)


def columns_of(dataset: DataSource, root: Path) -> dict[str, Any] | None:
    """The columns of a dataset, in order of first appearance, with their types in arrow: None for text.

    None where no file's head tells them (.jsonl), or files differ about a type. Raises DataError.
    """
    found: dict[str, Any] = {}
    if dataset.are_paths:
        return dict.fromkeys(paths.COLUMNS)
    for name in expand(dataset, root):
        form, packing = files.kind_of(name)
        if form in (".jsonl", ".ndjson"):
            return None
        if form == ".parquet":
            with files.open_bytes(root / name, packing, Mark(name)) as file:
                here = parquet.types_in(file, name)
        else:
            listener = ignore if dataset.skip_bad else None
            first = next(iter(_read(dataset, root, name, Picks(None), False, listener)), None)
            here = dict.fromkeys(first.values[0]) if first else {}
        if any(column in found and found[column] != kind for column, kind in here.items()):
            return None
        found.update(here)
    return found


def ignore(problem: Problem) -> None:
    """It was told of before."""


def _read(dataset: DataSource, root: Path, name: str, picks: Picks, checked: bool, bad: Bad | None) -> Iterator[Block]:
    with opened(dataset, root, name, bad) as (file, form):
        match form:
            case ".jsonl" | ".ndjson":
                yield from jsonl.read(file, name, picks, checked=checked, bad=bad)
            case ".parquet":
                yield from parquet.read(file, name, picks, bad=bad)
            case _:
                delimiter = dataset.delimiter or ("\t" if form == ".tsv" else None)
                rows = csv.read(file, name, picks, delimiter=delimiter, bad=bad)
                yield from _blocks(rows, name, picks, has_gaps=bad is not None)


@contextmanager
def opened(dataset: DataSource, root: Path, name: str, bad: Bad | None) -> Iterator[tuple[io.BufferedReader[Any], str]]:
    """A file of a dataset, unpacked, and its format; what goes wrong in the block is said in a user's words."""
    form, packing = files.kind_of(name)
    with in_words(dataset, root, name, bad), files.open_bytes(root / name, packing, Mark(name)) as file:
        if form != ".parquet" and sniff.ends_lines_with_cr(file.peek(sniff.HEAD)[: sniff.HEAD]):
            words = "the lines end in a carriage return alone, as on an old Mac"
            raise DataError(words, hint="convert it: `tr '\\r' '\\n' < OLD > NEW`", mark=Mark(name))
        yield file, form


@contextmanager
def in_words(dataset: DataSource, root: Path, name: str, bad: Bad | None) -> Iterator[None]:
    """What goes wrong with a file in the block is said in a user's words."""
    try:
        yield
    except BadRow as error:
        others = _Others(error)
        offer = "put it right"
        if bad is None and _goes_on(dataset, root, name, others):
            offer += f", or write `skip_bad: true` in dataset `{dataset.key}` to go on without such rows"
        hint = f"{error.hint}; {offer}".lstrip("; ")
        raise RowsUnread(error.message, hint=hint, mark=error.mark, others=others.problems) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"the compressed file is damaged: {_damage(error)}",
            hint="copy or download it again, or pack it anew",
            mark=Mark(name),
        ) from error
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror or error}", mark=Mark(name)) from error


def _damage(error: Exception) -> str:
    """What is wrong with a compressed file, without the numbers and bytes that its library quotes."""
    match error:
        case zlib.error():
            return "its bytes are not what was packed"
        case gzip.BadGzipFile():
            return "its checksum is wrong" if "check" in str(error) else "what follows its end is not gzip"
        case _:
            return "it ends too early" if "end-of-stream" in str(error) else str(error)


class _Others:
    """What is wrong with rows after the first that is: as many as are told."""

    def __init__(self, first: DataError) -> None:
        self._first = first
        self.problems: list[Problem] = []

    def __call__(self, problem: Problem) -> None:
        if problem.mark != self._first.mark and len(self.problems) < MOST_OTHERS:
            is_said = problem.hint == self._first.hint
            self.problems.append(replace(problem, hint="") if is_said else problem)


def _goes_on(dataset: DataSource, root: Path, bad_file: str, others: _Others) -> bool:
    """Whether `skip_bad` would get past the bad rows of a file to good ones; what else is wrong near them is told of.

    Reads up to the first good row of all files, and at most so far into the bad one that an error takes no second.
    """
    is_good = False
    try:
        for block in islice(_read(dataset, root, bad_file, Picks(None), True, others), _MOST_BLOCKS):
            is_good |= len(block) > 0
            if len(others.problems) == MOST_OTHERS and is_good:
                break
        if not is_good:
            others.problems.clear()  # it is no file of rows at all: the first line says so
        rest = (_read(dataset, root, name, Picks(None), True, ignore) for name in expand(dataset, root))
        return is_good or any(len(block) for block in chain.from_iterable(rest))
    except DataError:
        return is_good


def _blocks(rows: Iterator[csv.Numbered], name: str, picks: Picks, *, has_gaps: bool) -> Iterator[Block]:
    """Rows of a reader that gives them one by one, in runs. has_gaps: rows may be left out of them."""
    while True:
        lines: list[int] = []
        numbers: list[int] = []
        values: list[dict[str, Any]] = []
        error = None
        try:
            for line, row in islice(rows, _BLOCK_ROWS):
                lines.append(line)
                numbers.append(picks.position)
                values.append(row)
        except (DataError, EOFError, zlib.error, OSError) as raised:
            # the rows before it are good, and whoever reads them may want no more
            error = raised
        if values:
            yield Block(name, lines, picks.among(len(values)) if picks.every and not has_gaps else numbers, values)
        if error is not None:
            raise error
        if len(values) < _BLOCK_ROWS:
            return
