"""A dataset in segments of some tens of kilobytes, each known by what its bytes are: those that were worked on before
are recognized by hashing them, wherever they stand now, and their rows are neither parsed nor handed out.

The list of segments of an earlier reading leads the walk: the bytes that should come next are hashed and compared.
Where they differ, rows are read until a line begins one of the known segments again, whole. So an inserted row shifts
nothing, and what moved is found where it went. A segment begins and ends between two rows, also where a row of CSV
goes over many lines, since the walk only ever looks for one between two rows.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from codecs import BOM_UTF8 as BOM
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from runner.data import csv, files, jsonl
from runner.data.block import Bad, Block
from runner.data.csv import MAX_FIELD_CHARACTERS
from runner.data.files import expand
from runner.data.jsonl import MAX_LINE_BYTES
from runner.data.picks import Picks
from runner.data.rows import ignore, in_words, opened
from runner.data.sniff import HEAD
from runner.data.source import DataSource
from runner.errors import DataError, Problem
from runner.files import bytes_at

SEGMENT_BYTES = 32 << 10
_READ_BYTES = 1 << 20
_DIGEST_BYTES = 16
_CANDIDATES = 4  # segments that begin alike and are compared at one place
_FEW_SEGMENTS = 64  # fewer are never too many


class Unsuitable(Exception):
    """The dataset cannot be walked in segments: it is to be read in the plain way."""


class Segment(msgspec.Struct, array_like=True):
    """Some rows that follow each other in one file."""

    file: int  # number of the file in the dataset
    size_bytes: int
    digest: bytes  # of the bytes, and of what they mean: the format and a header before them
    head: int  # of the first line
    rows: int  # all that the bytes hold, whoever wants them
    lines: int
    is_open: bool = False  # ends with the file, in a line without its newline
    is_odd: bool = False  # something is to be said about its rows: it is read each time
    first_line: int = 0  # number of it in its file
    was: int = -1  # its number among the segments known before; -1: it was read now


class Cut(NamedTuple):
    """Some whole segments that follow each other in a file of lines."""

    file: int  # number of the file in the dataset
    start: int  # of its bytes in the file
    line: int  # number of the first one
    lines: int
    data: bytes


def suits(dataset: DataSource, root: Path) -> bool:
    """Whether a dataset can be walked in segments. Raises DataError for files that are not there."""
    if dataset.are_paths:
        return False
    forms = {files.kind_of(name)[0] for name in expand(dataset, root)}
    return ".parquet" not in forms and not (dataset.skip_bad and forms - {".jsonl", ".ndjson"})


def are_plain_lines(names: Sequence[str]) -> bool:
    """Whether files can be cut anywhere between two lines: none is packed, and no row goes over several."""
    return all(files.kind_of(name) in ((".jsonl", ""), (".ndjson", "")) for name in names)


def cuts(dataset: DataSource, root: Path, size_bytes: int) -> Iterator[Cut]:
    """All segments of a dataset of plain lines in order, taken together to about `size_bytes`, without a look at what
    is in the lines. Raises as `Walk.blocks` does."""
    listener = ignore if dataset.skip_bad else None
    usual = size_bytes + SEGMENT_BYTES
    for number, name in enumerate(expand(dataset, root)):
        with opened(dataset, root, name, listener) as (file, _):
            start, line, most = _Window(file).skip_marks(), 1, usual
            # read at its place, once: windows copy, and the processes that wait for these wait for the copies, too
            while data := bytes_at(file.fileno(), most, start):
                end = _end_of_segments(data, size_bytes, is_rest=len(data) < most)
                if not end:  # one line is longer than all that
                    if most > MAX_LINE_BYTES:
                        raise Unsuitable
                    most *= 2
                    continue
                data, most = data[:end], usual
                lines = data.count(b"\n") + (not data.endswith(b"\n"))
                yield Cut(number, start, line, lines, data)
                start += end
                line += lines


def _end_of_segments(data: bytes, size_bytes: int, *, is_rest: bool) -> int:
    """Where the segments end with which some bytes begin, `size_bytes` of them or a little more; 0 where the first does
    not end here. is_rest: nothing comes after the bytes."""
    end = 0
    while end < min(size_bytes, len(data)):
        found = data.rfind(b"\n", end, end + SEGMENT_BYTES)
        if found < 0:
            found = data.find(b"\n", end + SEGMENT_BYTES)
        if found < 0:
            return len(data) if is_rest else end
        end = found + 1
    return end


class Walk:
    """One reading of a dataset. `segments` grows while `blocks` is gone through, and is whole after it."""

    def __init__(self, dataset: DataSource, root: Path, known: Sequence[Segment] = (), bad: Bad | None = None) -> None:
        """known: of an earlier reading. bad: takes what is wrong with single rows of a dataset that says `skip_bad`."""
        self.segments: list[Segment] = []
        self.names: tuple[str, ...] = ()  # of the files
        self._dataset = dataset
        self._root = root
        self._known = _Known(known)
        self._bad = bad
        self._picks = Picks(None)

    def blocks(self) -> Iterator[Block]:
        """The rows that are not in known segments, in order. Raises DataError as `rows.open_blocks` does, and
        Unsuitable where the dataset has to be read without segments."""
        listener = self._listen if self._dataset.skip_bad else None
        self.names = expand(self._dataset, self._root)
        for number, name in enumerate(self.names):
            with opened(self._dataset, self._root, name, listener) as (file, form):
                window = _Window(file)
                if form in (".jsonl", ".ndjson"):
                    window.skip_marks()
                    yield from self._jsonl(number, name, window, listener)
                else:
                    head = file.peek(HEAD)[:HEAD]
                    yield from self._csv(number, name, window, head, form)

    def blocks_of(self, names: tuple[str, ...], cut: Cut, row: int) -> Iterator[Block]:
        """The rows of one cut of a dataset alone. names: of all files. row: the position of the first row."""
        self.names = names
        self._picks.position = row - 1
        name, listener = names[cut.file], self._listen if self._dataset.skip_bad else None
        with in_words(self._dataset, self._root, name, listener):
            yield from self._jsonl(cut.file, name, _Window(io.BytesIO(cut.data)), listener, cut.line)

    def _listen(self, problem: Problem) -> None:
        self.segments[-1].is_odd = True
        if self._bad is not None:
            self._bad(problem)

    def _jsonl(self, number: int, name: str, window: _Window, listener: Bad | None, line: int = 1) -> Iterator[Block]:
        base = _base(".jsonl", b"")
        ready = self._dataset.is_ready  # whoever asks reads the lines himself
        while window.has(1):
            if (found := self._known.at(window, 0, base)) is not None:
                line += self._keep(number, line, found, window)
                continue
            segment = self._begin(number, line, window)
            data = window.take(self._end_of_lines(window, base))
            of_lines = data[:-1] if data.endswith(b"\n") else data
            for block in jsonl.of_lines(of_lines, line, name, self._picks, checked=not ready, bad=listener):
                segment.is_odd = segment.is_odd or bool(block.nulled)
                yield block
            self._finish(segment, data, base)
            line += segment.lines

    def _end_of_lines(self, window: _Window, base: hashlib._Hash) -> int:
        """Where the segment that begins at the place of the window ends: before a known one, or large enough."""
        if not self._known.is_left:
            return window.segment_end()
        end = window.line_end(0, MAX_LINE_BYTES)
        while end < SEGMENT_BYTES and window.has(end + 1) and self._known.at(window, end, base) is None:
            end = window.line_end(end, MAX_LINE_BYTES)
        return end

    def _csv(self, number: int, name: str, window: _Window, head: bytes, form: str) -> Iterator[Block]:
        delimiter = csv.delimiter_of(head, self._dataset.delimiter or ("\t" if form == ".tsv" else None), name)
        lines = _Lines(window, name, 1)
        columns = csv.columns_in(lines, name, delimiter)
        if columns is None:
            return
        base = _base(f".csv {delimiter or ','}", window.take(lines.end))
        line = lines.number
        while window.has(1):
            if (found := self._known.at(window, 0, base)) is not None:
                line += self._keep(number, line, found, window)
                continue
            segment = self._begin(number, line, window)
            lines = _Lines(window, name, line)
            yield from self._csv_rows(lines, columns, name, delimiter, base)
            self._finish(segment, window.take(lines.end), base, lines.number - line)
            line = lines.number

    def _csv_rows(
        self, lines: _Lines, columns: csv.Columns, name: str, delimiter: str | None, base: hashlib._Hash
    ) -> Iterator[Block]:
        """The rows of one segment."""
        numbers: list[int] = []
        values: list[dict[str, str]] = []
        error = None
        try:
            for line, row in csv.rows_under(lines, columns, name, delimiter, lines.number):
                numbers.append(line)
                values.append(row)
                if lines.end >= SEGMENT_BYTES:
                    break
                if self._known.is_left and lines.has_more and self._known.at(lines.window, lines.end, base) is not None:
                    break
        except DataError as raised:  # the rows before it are good, and whoever reads them may want no more
            error = raised
        if values:
            yield Block(name, numbers, self._picks.among(len(values)), values)
        if error is not None:
            raise error

    def _keep(self, number: int, line: int, found: int, window: _Window) -> int:
        """Take over a known segment; how many lines it has."""
        known = self._known.take(found)
        self.segments.append(msgspec.structs.replace(known, file=number, first_line=line, was=found))
        window.skip(known.size_bytes)
        self._picks.position += known.rows
        return known.lines

    def _begin(self, number: int, line: int, window: _Window) -> Segment:
        segment = Segment(number, 0, b"", window.head(0), self._picks.position, 0, first_line=line)
        self.segments.append(segment)
        return segment

    def _finish(self, segment: Segment, data: bytes, base: hashlib._Hash, lines: int = 0) -> None:
        segment.rows = self._picks.position - segment.rows
        segment.size_bytes = len(data)
        segment.is_open = not data.endswith(b"\n")
        segment.lines = lines or data.count(b"\n") + segment.is_open
        segment.digest = _digest(base, data)


class _Known:
    """Segments of an earlier reading, each of which is found once at most: a part that was copied holds rows anew."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = segments
        self._by_head: defaultdict[int, list[int]] = defaultdict(list)
        size = sum(segment.size_bytes for segment in segments)
        # Edits leave smaller ones behind; of too many of them everything is read once, in segments of the usual size
        if len(segments) <= _FEW_SEGMENTS + 4 * size // SEGMENT_BYTES:
            for number, segment in enumerate(segments):
                if not segment.is_odd:
                    self._by_head[segment.head].append(number)
        self._is_used = bytearray(len(segments))
        self._expected = 0  # the one after the last that was found
        self._tries = 1000 + 2 * len(segments)  # segments that begin alike and go on otherwise cost a hash each

    @property
    def is_left(self) -> bool:
        return bool(self._by_head)

    def at(self, window: _Window, start: int, base: hashlib._Hash) -> int | None:
        """The number of the segment that stands whole at `start` of the window, if one does."""
        if not self._by_head or (numbers := self._by_head.get(window.head(start))) is None:
            return None
        if self._expected in numbers and self._is_at(self._expected, window, start, base):
            return self._expected
        free = [number for number in numbers if not self._is_used[number] and number != self._expected]
        return next((number for number in free[:_CANDIDATES] if self._is_at(number, window, start, base)), None)

    def take(self, number: int) -> Segment:
        self._is_used[number] = True
        self._expected = number + 1
        return self._segments[number]

    def _is_at(self, number: int, window: _Window, start: int, base: hashlib._Hash) -> bool:
        segment = self._segments[number]
        if self._is_used[number] or not window.has(start + segment.size_bytes):
            return False
        if segment.is_open and window.has(start + segment.size_bytes + 1):
            return False
        if _digest(base, window.view(start, segment.size_bytes)) == segment.digest:
            return True
        self._tries -= 1
        if not self._tries:
            self._by_head.clear()
        return False


class _Window:
    """What was read of a file and is still to be gone through; positions count from the place reached."""

    __slots__ = ("_at", "_data", "_file", "_is_whole")

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._data = b""
        self._at = 0
        self._is_whole = False  # nothing more comes

    def has(self, size: int) -> bool:
        """Whether so many bytes are left. Reads them."""
        while not self._is_whole and len(self._data) - self._at < size:
            piece = self._file.read(max(_READ_BYTES, size - len(self._data) + self._at))
            self._is_whole = not piece
            if piece:
                self._data = self._data[self._at :] + piece
                self._at = 0
        return len(self._data) - self._at >= size

    def view(self, start: int, size: int) -> memoryview:
        return memoryview(self._data)[self._at + start : self._at + start + size]

    def skip_marks(self) -> int:
        """Step over byte order marks; some programs write a second one. How many bytes they take."""
        size = 0
        while self.has(len(BOM)) and self._data.startswith(BOM, self._at):
            self._at += len(BOM)
            size += len(BOM)
        return size

    def line_end(self, start: int, longest: int) -> int:
        """The position after the line that begins at `start`; that of the end where nothing ends it.

        Raises Unsuitable for a longer line.
        """
        seen = start
        while True:
            found = self._data.find(b"\n", self._at + seen)
            if found >= 0:
                return found + 1 - self._at
            seen = len(self._data) - self._at
            if seen - start > longest:
                raise Unsuitable
            if not self.has(seen + 1):
                return seen

    def segment_end(self) -> int:
        """The position after the segment that begins here, where none is known: after the last line that ends within
        its size, or after the one line that is longer. Raises Unsuitable."""
        self.has(SEGMENT_BYTES)
        found = self._data.rfind(b"\n", self._at, self._at + SEGMENT_BYTES)
        return self.line_end(0, MAX_LINE_BYTES) if found < 0 else found + 1 - self._at

    def head(self, start: int) -> int:
        """What tells the first line of a segment from others, mostly."""
        size = self.line_end(start, MAX_LINE_BYTES) - start
        return zlib.crc32(self.view(start, size)) << 32 | size & 0xFFFFFFFF

    def take(self, size: int) -> bytes:
        """The next bytes."""
        self.has(size)
        found = self._data[self._at : self._at + size]
        self._at += len(found)
        return found

    def skip(self, size: int) -> None:
        self._at += size


class _Lines:
    """Lines of a window as text, for the reader of CSV, which asks for no more of them than a row has."""

    def __init__(self, window: _Window, name: str, number: int) -> None:
        """number: of the first line."""
        self.window = window
        self.end = 0  # position after the last line that was handed out
        self.number = number  # of the next one
        self._name = name

    @property
    def has_more(self) -> bool:
        return self.window.has(self.end + 1)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self.has_more:
            raise StopIteration
        begin = self.end
        self.end = self.window.line_end(begin, MAX_FIELD_CHARACTERS)
        self.number += 1
        return csv.text_of(self.number - 1, bytes(self.window.view(begin, self.end - begin)), self._name)


def _base(form: str, header: bytes) -> Any:
    """The hash of what the bytes of a segment mean."""
    return hashlib.sha256(f"runner-segment/1 {form} {len(header)}\n".encode() + header)


def _digest(base: hashlib._Hash, data: bytes | memoryview) -> bytes:
    whole = base.copy()
    whole.update(data)
    return whole.digest()[:_DIGEST_BYTES]
