"""A results file that changes in little is written by what did not change of it: whole runs of lines are copied.

What a file was made of is left beside it in the memo: the segments of its dataset, how many bytes the lines of each
take, and where the outcome of each row came from. A segment whose rows, outcomes and places are the same has the same
lines. Everything else, and all segments of which a row has no plain answer, is merged anew. Without that record, of a
file that somebody changed, and of .parquet, every line is written.
"""

from __future__ import annotations

import hashlib
import os
import sys
import weakref
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate, islice
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec.structs import replace

from runner import files
from runner.apply import keep
from runner.apply.answers import Known, merge_known
from runner.apply.session import Session
from runner.compile.blocks import Streak, streaks_of
from runner.compile.compiled import RowView
from runner.compile.job import CompiledJob
from runner.compile.shard import identity_of
from runner.data.pieces import packed, sha256_at
from runner.job.finish import FLAWS
from runner.job.outcomes import Outcome
from runner.job.packed import keys_at
from runner.job.project import Job
from runner.job.written import Written
from runner.remotes.reading.verdict import NULL
from runner.results.columns import FORMAT, Table
from runner.results.locate import Chosen, locate, locate_few
from runner.results.merge import Accounting, Writer, blocks_of
from runner.results.splice import Merged

_FOLDER = "lines"
_COPY_BYTES = 1 << 18  # a cache holds them: what goes through memory takes twice as long
_LARGE_BYTES = 1 << 22  # a smaller file is hashed in less time than the list of its pieces takes to write
# Numbers lie as this machine has them
_LOW_BYTE = 255
_PLACE_OF_LOW_BYTE, _PLACE_OF_OUTCOME = (0, 7) if sys.byteorder == "little" else (3, 0)
_NO_ANSWER = bytes(first >> 4 != Outcome.OK for first in range(256))


class _Piece(msgspec.Struct, array_like=True):
    """The lines of one segment."""

    digest: bytes  # of the segment
    row: int  # position of its first row in the dataset; 0 where no line says it
    wanted: int
    size_bytes: int = 0
    flaws: dict[str, int] = {}  # answers that are none among those, by `finish`
    is_odd: bool = False  # more is to be said of its lines: they are written each time
    sha256: bytes = b""  # of them; empty where the file is known by one digest


class _Layout(msgspec.Struct, array_like=True):
    """What a results file was made of."""

    content: str  # of the file, as in `Written`
    shape: str  # all that its lines have in common
    head_bytes: int  # before the first line
    sources: list[str]
    pieces: list[_Piece]
    made_of: str  # as the record of the file says


class _Before(msgspec.Struct, frozen=True):
    """The same, as it is read. What it says row by row stays in its file, which is open: 13 bytes a row."""

    layout: _Layout
    alike: list[int]  # for each segment of today, the number of the piece with the same rows; -1: there is none
    moved: Callable[[bytes], bytes]  # numbers of sources to those of today
    starts: list[int]  # rows before each piece, and all of them
    file: BinaryIO
    at: int  # where the places begin: "Q", as in `Chosen`; then the sources, "I"; then the states

    def places(self, first: int, end: int) -> bytes:
        return self._read(8 * first, 8 * end)

    def owners(self, first: int, end: int) -> bytes:
        at = 8 * self.starts[-1]
        return self._read(at + 4 * first, at + 4 * end)

    def states(self, first: int, end: int) -> bytes:
        at = 12 * self.starts[-1]
        return self._read(at + first, at + end)

    def _read(self, start: int, end: int) -> bytes:
        data = files.bytes_at(self.file.fileno(), end - start, self.at + start)
        if len(data) != end - start:
            raise OSError("what is known of the results file was cut while it was read")
        return data


class Splicing:
    """One writing of a results file. `lines` writes it; `leave` records how, once its digest is known."""

    def __init__(self, session: Session, spec: Job, table: Table, known: Known, in_question: array[int] | None) -> None:
        """in_question: ascending ordinals of the rows beside which nothing changed since the results of the job were
        written; None: it is not known."""
        compiled = session.compiled[spec.address]
        assert isinstance(compiled, CompiledJob) and compiled.parts.pieces is not None
        self._session, self._spec, self._known, self._compiled = session, spec, known, compiled
        self._in_question = in_question
        self._before: _Before | None = None
        self._whole: Chosen | None = None  # of all rows, where all were looked up
        self._parts: list[Chosen | int] = []  # else of each piece; a number: as that piece of `_before` has it
        pieces = compiled.parts.pieces
        starts = accumulate((segment.rows for segment in pieces.segments), initial=0)
        is_numbered = spec.dataset.id is None
        self._pieces = [
            _Piece(segment.digest, start if is_numbered else 0, share.wanted)
            for segment, share, start in zip(pieces.segments, pieces.shares, starts, strict=False)
        ]
        self._ordinals = [0, *accumulate(piece.wanted for piece in self._pieces)]
        names = [column.name for column in table.columns]
        told = (FORMAT, identity_of(spec, compiled.request_lines), known.shape, names, Path(spec.output).suffix.lower())
        self._shape = hashlib.sha256(repr(told).encode()).hexdigest()
        self._sources = [
            f"{source.batch} {source.origin} {entry.batch.key} {entry.batch.index_sha256}"
            for source, entry in zip(known.sources, known.entries, strict=True)
        ]
        self._head_bytes = 0
        self.pieces = b""  # what a large file was made of, packed, once it is written
        self._about: os.stat_result | None = None

    def lines(self, out: BinaryIO, writer: Writer, path: Path, written: Written | None) -> Accounting:
        """Write all lines. path: of the file that is there; written: what we wrote last."""
        self._head_bytes = out.tell()
        known = self._known
        with self._earlier(path, written) as (before, file):
            self._locate(before, written)
            copies = [-1] * len(self._pieces) if before is None else self._same_as(before)
            earlier = before.layout if before else None
            runs = list(streaks_of(copies))
            is_all = all(run.was < 0 for run in runs)
            ordinals: Sequence[int] = range(self._ordinals[-1]) if is_all else self._written(runs)
            rows = self._compiled.rows() if is_all else self._compiled.rows_at(ordinals)
            shown, states = self._shown_in(runs), known.states
            if not is_all:
                states = bytes([states[n] for n in ordinals])
            offsets = (
                []
                if earlier is None
                else [*accumulate((p.size_bytes for p in earlier.pieces), initial=earlier.head_bytes)]
            )

            flaws: Counter[str] = Counter()

            def copy(run: Streak) -> None:
                assert earlier is not None
                end = run.was + run.end - run.first
                _copy(file, out, offsets[run.was], offsets[end] - offsets[run.was])
                for piece, before in zip(self._pieces[run.first : run.end], earlier.pieces[run.was : end], strict=True):
                    piece.size_bytes, piece.flaws, piece.sha256 = before.size_bytes, before.flaws, before.sha256
                    flaws.update(before.flaws)

            def unusual(number: int, rows: int, line: Merged, is_repaired: bool) -> None:
                piece = self._pieces[bisect_right(self._ordinals, ordinals[number]) - 1]
                if is_repaired or line.error != NULL or line.finish is None or line.finish not in FLAWS:
                    piece.is_odd = True
                else:
                    piece.flaws = {**piece.flaws, line.finish: piece.flaws.get(line.finish, 0) + rows}

            found = merge_known(writer, known, self._through(rows, runs, out, copy), shown, states, unusual)
        self._hash(out)
        copied = self._ordinals[-1] - len(ordinals)
        flaws.update(found.flaws)
        return replace(found, wanted=found.wanted + copied, ok=found.ok + copied, flaws=dict(flaws))

    def _written(self, runs: Sequence[Streak]) -> array[int]:
        """The rows whose lines are written."""
        ordinals = array("I")
        for run in runs:
            if run.was < 0:
                ordinals.extend(range(self._ordinals[run.first], self._ordinals[run.end]))
        return ordinals

    def _through(
        self, rows: Iterator[RowView], runs: Sequence[Streak], out: BinaryIO, copy: Callable[[Streak], None]
    ) -> Iterator[list[RowView]]:
        """The rows, in their order, a few of one segment at a time. Some are asked for once the lines before them are
        written: so this is where they are measured, and where those that did not change are copied."""
        for run in runs:
            if run.was >= 0:
                copy(run)
                continue
            for piece in self._pieces[run.first : run.end]:
                begun = out.tell()
                yield from blocks_of(islice(rows, piece.wanted))
                piece.size_bytes = out.tell() - begun
        yield from blocks_of(rows)  # there are none: what is read to its end is looked at for changes

    # Hashing a file of 750 MB takes longer than all else that ten edits need. What was copied has the digests that it
    # had: the file it came from was held to them, so one that is changed while it is copied shows later.
    def _hash(self, out: BinaryIO) -> None:
        """Hash what is new in a large file."""
        out.flush()
        at, descriptor = self._head_bytes, out.fileno()
        if out.tell() < _LARGE_BYTES:
            return
        for piece in self._pieces:
            if not piece.sha256:
                piece.sha256 = sha256_at(descriptor, at, piece.size_bytes)
            at += piece.size_bytes
        head = self._head_bytes, sha256_at(descriptor, 0, self._head_bytes)
        self.pieces = packed([head, *((piece.size_bytes, piece.sha256) for piece in self._pieces)])
        self._about = os.fstat(descriptor)

    def note(self, path: Path) -> None:
        """Note what a large file holds, now that it has its name."""
        if self._about is not None:
            self._session.digests.wrote(path, self.pieces, self._about)

    def leave(self, written: Written) -> None:
        """Record how the file was written. written: what is on record of it."""
        path = self._path
        if self._session.sandbox is not None or not path.parent.parent.is_dir():
            return
        head = msgspec.msgpack.encode(
            _Layout(written.content, self._shape, self._head_bytes, self._sources, self._pieces, written.made_of)
        )
        total = hashlib.sha256()
        with suppress(OSError):  # it saves work, and no more
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with files.whole(path, mode=files.PRIVATE, is_durable=False) as out:
                out.write(total.digest())  # of what comes after it, which is not known yet
                for part in (len(head).to_bytes(8, "big"), head, *self._told(), self._known.states):
                    total.update(part)
                    out.write(part)
                out.seek(0)
                out.write(total.digest())

    def _told(self) -> Iterator[bytes | array[int]]:
        """The places of all rows, and then their sources."""
        if self._whole is not None:
            yield self._whole.places
            yield self._whole.sources
            return
        for part in self._parts:
            yield part.places if isinstance(part, Chosen) else self._as_before(part)[0]
        for part in self._parts:
            yield part.sources if isinstance(part, Chosen) else self._as_before(part)[1]

    def _as_before(self, was: int) -> tuple[bytes, bytes]:
        """Places and sources of a piece of the earlier file, these by the numbers of today."""
        before = self._before
        assert before is not None
        first, end = before.starts[was], before.starts[was + 1]
        return before.places(first, end), before.moved(before.owners(first, end))

    @property
    def _path(self) -> Path:
        name = hashlib.sha256(self._spec.address.encode()).hexdigest()[:32]
        return self._session.memory.caches / _FOLDER / name

    @contextmanager
    def _earlier(self, path: Path, written: Written | None) -> Iterator[tuple[_Before | None, int]]:
        """How the file that is there was written, and that file; None where it is not certain to be as it was left."""
        before = self._read()
        is_there = before is not None and written is not None and written.content == before.layout.content
        if not is_there or self._session.sandbox is not None or not keep.is_as_left(self._session, path, written):
            yield None, -1
            return
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            yield None, -1
            return
        try:
            yield before, file
        finally:
            os.close(file)

    def _read(self) -> _Before | None:
        """What was left, if it is whole. Its file stays open as long as it is known."""
        total = hashlib.sha256()
        try:
            file = self._path.open("rb")
        except OSError:
            return None
        weakref.finalize(self, file.close)
        try:
            digest = file.read(total.digest_size)
            size = file.read(8)
            total.update(size)
            if int.from_bytes(size, "big") > os.fstat(file.fileno()).st_size:
                return None
            head = file.read(int.from_bytes(size, "big"))
            total.update(head)
            layout = msgspec.msgpack.decode(head, type=_Layout)
            starts, at = [0, *accumulate(piece.wanted for piece in layout.pieces)], file.tell()
            while some := file.read(files.BUFFER_BYTES):
                total.update(some)
            if file.tell() != at + 13 * starts[-1] or total.digest() != digest:
                return None
        except (OSError, msgspec.MsgspecError):
            return None
        moved = self._renumbering(layout) if layout.shape == self._shape else None
        return None if moved is None else _Before(layout, self._alike(layout), moved, starts, file, at)

    def _locate(self, before: _Before | None, written: Written | None) -> None:
        """Where the outcome of each row comes from: as before, where neither the rows nor their outcomes changed."""
        known = self._known
        is_known = before is not None and written is not None and before.layout.made_of == written.made_of
        if not is_known or before is None or self._in_question is None:
            self._whole = locate(known.keys, known.sources)
            return
        self._before = before
        asked = self._in_question
        fresh, ordinals = [], array("I")
        for number, (first, was) in enumerate(zip(self._ordinals, before.alike, strict=False)):
            end = first + self._pieces[number].wanted
            at = bisect_left(asked, first)
            self._parts.append(was)
            if was < 0 or before.layout.pieces[was].wanted != end - first or (at < len(asked) and asked[at] < end):
                fresh.append(number)
                ordinals.extend(range(first, end))
        found, at = locate_few(keys_at(known.keys, ordinals), known.sources), 0
        for number in fresh:
            end = at + self._pieces[number].wanted
            self._parts[number] = Chosen(found.places[at:end], found.sources[at:end])
            at = end

    def _shown_in(self, runs: Sequence[Streak]) -> Chosen:
        """Where the outcomes of the rows come from whose lines are written."""
        if self._whole is not None and all(run.was < 0 for run in runs):
            return self._whole
        places, sources = array("Q"), array("I")
        for number in (n for run in runs if run.was < 0 for n in range(run.first, run.end)):
            some_places, some_sources = self._of_piece(number)
            places.frombytes(some_places)
            sources.frombytes(some_sources)
        return Chosen(places, sources)

    def _of_piece(self, number: int) -> tuple[bytes | memoryview, bytes | memoryview]:
        """Places and sources of its rows, as bytes."""
        if self._whole is not None:
            first, end = self._ordinals[number], self._ordinals[number + 1]
            places, sources = memoryview(self._whole.places).cast("B"), memoryview(self._whole.sources).cast("B")
            return places[8 * first : 8 * end], sources[4 * first : 4 * end]
        part = self._parts[number]
        if isinstance(part, Chosen):
            return memoryview(part.places).cast("B"), memoryview(part.sources).cast("B")
        return self._as_before(part)

    def _renumbering(self, earlier: _Layout) -> Callable[[bytes], bytes] | None:
        """From the sources of the earlier file to their numbers today; None where too many have another number."""
        here = {source: number for number, source in enumerate(self._sources)}
        gone = len(here)
        moved = [here.get(source, gone) for source in earlier.sources]
        if moved == [*range(len(moved))]:
            return bytes
        if max(gone, len(moved)) > _LOW_BYTE:
            return None
        numbers = bytes([*moved, *range(len(moved), 256)])

        def renumbered(owners: bytes) -> bytes:
            found = bytearray(owners)
            found[_PLACE_OF_LOW_BYTE::4] = found[_PLACE_OF_LOW_BYTE::4].translate(numbers)
            return bytes(found)

        return renumbered

    def _alike(self, earlier: _Layout) -> list[int]:
        """For each segment the number of the one in the earlier file with the same rows; -1 where there is none."""
        numbers: defaultdict[bytes, list[int]] = defaultdict(list)
        for number, piece in enumerate(earlier.pieces):
            numbers[piece.digest].append(number)
        found, expected = [], 0
        for piece in self._pieces:
            same = numbers.get(piece.digest, ())
            was = expected if expected in same else same[0] if same else -1
            expected = was + 1 if was >= 0 else expected
            found.append(was)
        return found

    def _same_as(self, before: _Before) -> list[int]:
        """For each segment the number of the one in the earlier file with the same lines; -1 where there is none."""
        return [
            was if was >= 0 and self._has_lines_of(number, was, before) else -1
            for number, was in enumerate(before.alike)
        ]

    def _has_lines_of(self, number: int, was: int, before: _Before) -> bool:
        one, piece, first = before.layout.pieces[was], self._pieces[number], self._ordinals[number]
        at, till = before.starts[was], before.starts[was + 1]
        if one.is_odd or (one.row, one.wanted) != (piece.row, piece.wanted):
            return False
        if self._known.states.count(0, first, first + piece.wanted) != piece.wanted or any(before.states(at, till)):
            return False
        places = before.places(at, till)
        # one byte a row: whether something else than an answer stands there
        if places[_PLACE_OF_OUTCOME::8].translate(_NO_ANSWER).find(1) >= 0:
            return False
        if self._whole is None and self._parts[number] == was:
            return True  # it was not looked up
        return self._of_piece(number) == (places, before.moved(before.owners(at, till)))


def _copy(file: int, out: BinaryIO, offset: int, size: int) -> None:
    """Copy some bytes of a file. The kernel's own way, `copy_file_range`, takes them in smaller pieces, and twice the
    time, where it cannot share blocks: it can where both sides begin with one, which lines do not."""
    out.flush()
    room = memoryview(bytearray(min(size, _COPY_BYTES)))
    while size:
        done = os.preadv(file, [room[:size]], offset)
        if not done:
            raise OSError(f"the results file lost {size:,} bytes while it was copied")
        some = room[:done]
        while some:
            some = some[os.write(out.fileno(), some) :]
        offset, size = offset + done, size - done
    out.seek(0, os.SEEK_END)
