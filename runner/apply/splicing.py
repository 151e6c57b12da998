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
from runner.compile.compiled import RowView
from runner.compile.job import CompiledJob
from runner.compile.shard import identity_of
from runner.data.pieces import packed, sha256_at
from runner.job.finish import FLAWS
from runner.job.outcomes import Outcome
from runner.job.packed import keys_at, positions_of
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
_NONE = Chosen(array("Q"), array("I"))
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
    """The same, as it is read."""

    layout: _Layout
    places: bytes  # "Q", as in `Chosen`
    owners: bytes  # "I"
    states: bytes


class Splicing:
    """One writing of a results file. `lines` writes it; `leave` records how, once its digest is known."""

    def __init__(
        self, session: Session, spec: Job, table: Table, known: Known, in_question: bytes | None = None
    ) -> None:
        """in_question: keys of the job outside of which nothing changed since its results were written; None: all."""
        compiled = session.compiled[spec.address]
        assert isinstance(compiled, CompiledJob) and compiled.parts.pieces is not None
        self._session, self._spec, self._known, self._compiled = session, spec, known, compiled
        self._in_question = in_question
        self._shown = _NONE
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
            self._shown = self._located(before, written)
            copies = [-1] * len(self._pieces) if before is None else self._same_as(before)
            earlier, before = before.layout if before else None, None  # what is said row by row takes some room
            runs = list(_runs(copies))
            ordinals = array("I")
            for run in runs:
                if run.was < 0:
                    ordinals.extend(range(self._ordinals[run.first], self._ordinals[run.end]))
            is_all = len(ordinals) == self._ordinals[-1]
            rows = self._compiled.rows() if is_all else self._compiled.rows_at(ordinals)
            shown, states = self._shown, known.states
            if not is_all:
                shown = Chosen(
                    array("Q", [shown.places[n] for n in ordinals]), array("I", [shown.sources[n] for n in ordinals])
                )
                states = bytes([states[n] for n in ordinals])
            offsets = (
                []
                if earlier is None
                else [*accumulate((p.size_bytes for p in earlier.pieces), initial=earlier.head_bytes)]
            )

            flaws: Counter[str] = Counter()

            def copy(run: _Run) -> None:
                assert earlier is not None
                end = run.was + run.end - run.first
                _copy(file, out, offsets[run.was], offsets[end] - offsets[run.was])
                for piece, before in zip(self._pieces[run.first : run.end], earlier.pieces[run.was : end], strict=True):
                    piece.size_bytes, piece.flaws, piece.sha256 = before.size_bytes, before.flaws, before.sha256
                    flaws.update(before.flaws)

            def unusual(number: int, line: Merged, is_repaired: bool) -> None:
                piece = self._pieces[bisect_right(self._ordinals, ordinals[number]) - 1]
                if is_repaired or line.error != NULL or line.finish is None or line.finish not in FLAWS:
                    piece.is_odd = True
                else:
                    piece.flaws = {**piece.flaws, line.finish: piece.flaws.get(line.finish, 0) + 1}

            found = merge_known(writer, known, self._through(rows, runs, out, copy), shown, states, unusual)
        self._hash(out)
        copied = self._ordinals[-1] - len(ordinals)
        flaws.update(found.flaws)
        return replace(found, wanted=found.wanted + copied, ok=found.ok + copied, flaws=dict(flaws))

    def _through(
        self, rows: Iterator[RowView], runs: Sequence[_Run], out: BinaryIO, copy: Callable[[_Run], None]
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
        shown = self._shown
        parts: list[bytes | array[int]] = [len(head).to_bytes(8, "big"), head, shown.places, shown.sources]
        parts.append(self._known.states)
        total = hashlib.sha256()
        for part in parts:
            total.update(part)
        with suppress(OSError):  # it saves work, and no more
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with files.whole(path, mode=files.PRIVATE, is_durable=False) as out:
                out.write(total.digest())
                out.writelines(parts)

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
        total = hashlib.sha256()
        try:
            with self._path.open("rb") as file:
                left = os.fstat(file.fileno()).st_size

                def take(size: int) -> bytes:
                    if size > left:
                        raise OSError("it was cut")
                    data = file.read(size)
                    total.update(data)
                    return data

                digest = file.read(total.digest_size)
                layout = msgspec.msgpack.decode(take(int.from_bytes(take(8), "big")), type=_Layout)
                rows = sum(piece.wanted for piece in layout.pieces)
                before = _Before(layout, take(8 * rows), take(4 * rows), take(rows))
                if file.read(1) or total.digest() != digest:
                    return None
        except (OSError, msgspec.MsgspecError):
            return None
        return before if layout.shape == self._shape else None

    def _located(self, before: _Before | None, written: Written | None) -> Chosen:
        """Where the outcome of each row comes from: as before, where neither the rows nor their outcomes changed."""
        known = self._known
        is_known = before is not None and written is not None and before.layout.made_of == written.made_of
        if not is_known or before is None or self._in_question is None or (was := self._moved(before)) is None:
            return locate(known.keys, known.sources)
        earlier = before.layout
        places, sources, fresh = array("Q"), array("I"), array("I")
        starts = [0, *accumulate(piece.wanted for piece in earlier.pieces)]
        alike = self._alike(earlier)
        asked = positions_of(known.keys, self._in_question)
        for number, (piece, first) in enumerate(zip(self._pieces, self._ordinals, strict=False)):
            end, same = first + piece.wanted, alike[number]
            at = bisect_left(asked, first)
            if same < 0 or earlier.pieces[same].wanted != piece.wanted or (at < len(asked) and asked[at] < end):
                fresh.extend(range(first, end))
                places.frombytes(bytes(8 * piece.wanted))
                sources.frombytes(bytes(4 * piece.wanted))
            else:
                here = starts[same]
                places.frombytes(memoryview(before.places)[8 * here : 8 * (here + piece.wanted)])
                sources.frombytes(memoryview(was)[4 * here : 4 * (here + piece.wanted)])
        keys = keys_at(known.keys, fresh)
        found = locate_few(keys, known.sources)
        for n, place, source in zip(fresh, found.places, found.sources, strict=True):
            places[n], sources[n] = place, source
        return Chosen(places, sources)

    def _moved(self, before: _Before) -> bytes | None:
        """The sources of the earlier file as they are numbered now; None where too many have another number."""
        here = {source: number for number, source in enumerate(self._sources)}
        gone = len(here)
        moved = [here.get(source, gone) for source in before.layout.sources]
        if moved == [*range(len(moved))]:
            return before.owners
        if max(gone, len(moved)) > _LOW_BYTE:
            return None
        low = _PLACE_OF_LOW_BYTE
        owners = bytearray(before.owners)
        owners[low::4] = owners[low::4].translate(bytes([*moved, *range(len(moved), 256)]))
        return bytes(owners)

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
        earlier, owners = before.layout, self._moved(before)
        if owners is None:
            return [-1] * len(self._pieces)
        starts = [0, *accumulate(piece.wanted for piece in earlier.pieces)]
        shown, now = self._shown, self._known.states
        places, sources = memoryview(shown.places).cast("B"), memoryview(shown.sources).cast("B")
        # one byte a row: whether something else than an answer stands there
        odd, unsettled = before.places[_PLACE_OF_OUTCOME::8].translate(_NO_ANSWER), before.states
        found = []
        for piece, first, was in zip(self._pieces, self._ordinals, self._alike(earlier), strict=False):
            if was >= 0:
                one, many = earlier.pieces[was], piece.wanted
                end, at = first + many, starts[was]
                till = at + many
                is_same = (
                    not one.is_odd
                    and (one.row, one.wanted) == (piece.row, many)
                    and places[8 * first : 8 * end] == before.places[8 * at : 8 * till]
                    and sources[4 * first : 4 * end] == owners[4 * at : 4 * till]
                    and now.count(0, first, end) == many == unsettled.count(0, at, till)
                    and odd.find(1, at, till) < 0
                )
                was = was if is_same else -1
            found.append(was)
        return found


class _Run(msgspec.Struct, frozen=True):
    """Segments that follow each other, all copied from as many that follow each other, or all written."""

    first: int
    end: int
    was: int  # -1: they are written


def _runs(copies: Sequence[int]) -> Iterator[_Run]:
    first = 0
    for at in range(1, len(copies) + 1):
        if at < len(copies):
            was = copies[at - 1]
            if copies[at] == (was + 1 if was >= 0 else -1):
                continue
        yield _Run(first, at, copies[first])
        first = at


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
