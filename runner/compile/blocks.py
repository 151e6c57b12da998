"""A dataset compiled in segments: what was compiled of those that did not change is taken over, the rest put between.

Keys, sizes, positions and hashes of ids lie packed in the order of the rows, so a run of known segments is one slice of
each. What depends on where a row stands is moved with it: its position, and the digits of an id such as `row-1000`.
A segment about whose rows something is to be said (bad ones that are left out, NaN taken as null) is read each time.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from runner.compile.compiled import KEY_BYTES, REST_BYTES
from runner.data.block import Bad, Block
from runner.data.segments import Cut, Segment, Walk
from runner.errors import Mark
from runner.job.infile import Growing, Run
from runner.job.packed import edited, keys_of, without
from runner.job.project import Job


class Share(msgspec.Struct, array_like=True):
    """What the rows of one segment came to."""

    wanted: int
    characters: int  # of the texts that differ from row to row


class Packed(NamedTuple):
    """Rows in order, as in `shard.Parts`."""

    keys: Run
    sizes: array[int]
    positions: array[int] | None  # None where every row is wanted
    ids: array[int] | None  # hashes; None where rows are numbered
    rest: IO[bytes]
    rest_at: int = 0
    distinct: Run = b""  # the keys sorted, each once; empty where they are not known


class Pieces(msgspec.Struct, frozen=True):
    """The segments of a compiled dataset, and what is needed to take them over."""

    segments: list[Segment]
    shares: list[Share]  # of each segment
    ids: array[int] | None
    modulus: int  # of the hashes of ids


class Before(msgspec.Struct, frozen=True):
    """A job as it was compiled earlier; its dataset may have changed since."""

    packed: Packed
    pieces: Pieces
    longest_answer: int | None = None  # see `Wanted`


class _Group(msgspec.Struct, frozen=True):
    """Some rows that became requests together."""

    numbers: Sequence[int]  # positions in the dataset; where `each` is empty, of the first and the last alone
    rows: int
    characters: int
    each: Sequence[int]  # the same row by row, where they may lie in several segments


class Segmented:
    """One reading of the dataset of a job, in segments."""

    def __init__(self, job: Job, root: Path, before: Before | None) -> None:
        self._job = job
        self._root = root
        self._before = before
        self._walk = Walk(job.dataset, root)
        self._first_row = 0
        self._groups: list[_Group] = []
        self._odd: list[Mark] = []
        self._shares: list[Share] = []

    @property
    def is_edit(self) -> bool:
        """Whether something is known from before."""
        return self._before is not None

    @property
    def modulus(self) -> int:
        """Of the hashes of ids known from before; 0 where none are."""
        return self._before.pieces.modulus if self._before else 0

    def longest_answer(self, fresh: int | None) -> int | None:
        """Of all rows, where `fresh` is of those that were read: at most, since some may be gone since."""
        known = self._before.longest_answer if self._before else fresh
        return None if known is None or fresh is None else max(known, fresh)

    def blocks(self, bad: Bad) -> Iterator[Block]:
        """The rows that have to be read, see `Walk.blocks`."""
        self._walk = Walk(self._job.dataset, self._root, self._before.pieces.segments if self._before else (), bad)
        return self._walk.blocks()

    def blocks_of(self, names: tuple[str, ...], cut: Cut, row: int, bad: Bad) -> Iterator[Block]:
        """The rows of one cut alone, see `Walk.blocks_of`."""
        self._walk = Walk(self._job.dataset, self._root, (), bad)
        self._first_row = row
        return self._walk.blocks_of(names, cut, row)

    def left_out(self, mark: Mark) -> None:
        """Note where a row became no request."""
        self._odd.append(mark)

    def made(self, numbers: Sequence[int], characters: int, each: Sequence[int]) -> None:
        """Note what became of some rows."""
        kept = array("I", numbers) if each else (numbers[0], numbers[-1])
        self._groups.append(_Group(kept, len(numbers), characters, array("I", each)))

    def whole(self, fresh: Packed, rest: IO[bytes]) -> Packed | None:
        """All rows in order, once `blocks` is at its end; None where `fresh` is all. rest: what to write to."""
        segments, _ = self.made_of()
        if self._before is None or all(segment.was < 0 for segment in segments):
            return None
        return _stitched(segments, self._shares, fresh, self._before, rest)

    def made_of(self) -> tuple[list[Segment], list[Share]]:
        """The segments that were gone through, and what the rows of each came to, once `blocks` is at its end."""
        self._put_odd()
        known = self._before.pieces.shares if self._before else ()
        self._shares = _shares_of(self._walk.segments, known, self._groups, self._first_row)
        return self._walk.segments, self._shares

    def take(self, segments: Iterable[Segment], shares: Iterable[Share]) -> None:
        """Go on behind these, which were gone through elsewhere."""
        self._walk.segments.extend(segments)
        self._shares.extend(shares)

    @property
    def known_rows(self) -> int:
        """How many rows were not read."""
        return sum(segment.rows for segment in self._walk.segments if segment.was >= 0)

    def known_ids(self) -> Iterator[array[int]]:
        """The hashes of the ids of rows that were not read."""
        before = self._before
        if before is None or before.packed.ids is None:
            return
        starts = [0, *accumulate(share.wanted for share in before.pieces.shares)]
        for run in streaks_of([segment.was for segment in self._walk.segments]):
            if run.was >= 0:
                yield before.packed.ids[starts[run.was] : starts[run.was + run.end - run.first]]

    @property
    def characters(self) -> int:
        """Of the texts that differ from row to row, in all rows."""
        return sum(share.characters for share in self._shares)

    def pieces(self, ids: array[int] | None, modulus: int) -> Pieces:
        """What the next reading takes over. ids: hashes of all."""
        return Pieces(self._walk.segments, self._shares, ids, modulus)

    def _put_odd(self) -> None:
        """Have the segments read each time in which rows were left out."""
        if not self._odd:
            return
        places: dict[str, tuple[list[int], list[Segment]]] = {}
        for segment in self._walk.segments:
            ends, of_file = places.setdefault(self._walk.names[segment.file], ([], []))
            ends.append(segment.first_line + segment.lines)
            of_file.append(segment)
        for mark in self._odd:
            ends, of_file = places[mark.file]
            of_file[bisect_right(ends, mark.line or 0)].is_odd = True


class Streak(msgspec.Struct, frozen=True):
    """Segments that follow each other, all of them new, or all known from before, where they did so as well."""

    first: int  # numbers of segments
    end: int
    was: int  # number of the first among those known before; -1: new


def streaks_of(known: Sequence[int]) -> Iterator[Streak]:
    """The longest streaks, in order. known: of each segment, the number that it had before; -1: it is new."""
    first = 0
    for at in range(1, len(known) + 1):
        if at < len(known):
            was = known[at - 1]
            if known[at] == (was + 1 if was >= 0 else -1):
                continue
        yield Streak(first, at, known[first])
        first = at


def _shares_of(
    segments: Sequence[Segment], known: Sequence[Share], groups: Sequence[_Group], first: int
) -> list[Share]:
    """What the rows of each segment came to. known: of those known from before. groups: of the rows that were read.
    first: the position of the first row."""
    starts = list(accumulate((segment.rows for segment in segments), initial=first))
    shares = [known[segment.was] if segment.was >= 0 else Share(0, 0) for segment in segments]
    for group in groups:
        # several segments may begin with the same row, where one has none: the last of them has it
        at = bisect_right(starts, group.numbers[0]) - 1
        if group.numbers[-1] < starts[at + 1]:
            shares[at].wanted += group.rows
            shares[at].characters += group.characters
            continue
        for number, characters in zip(group.numbers, group.each, strict=True):
            while number >= starts[at + 1]:
                at += 1
            shares[at].wanted += 1
            shares[at].characters += characters
    return shares


def _stitched(
    segments: Sequence[Segment], shares: Sequence[Share], fresh: Packed, before: Before, rest: IO[bytes]
) -> Packed:
    """All rows in order: those of known segments from `before`, the others from `fresh`. rest: is written to."""
    keys, sizes = Growing(), array("I")
    positions = None if fresh.positions is None else array("I")
    ids = None if fresh.ids is None else array("Q")
    rows_before = [0, *accumulate(segment.rows for segment in before.pieces.segments)]
    wanted_before = [0, *accumulate(share.wanted for share in before.pieces.shares)]
    row = at_fresh = 0
    for run in streaks_of([segment.was for segment in segments]):
        rows = sum(segment.rows for segment in segments[run.first : run.end])
        wanted = sum(share.wanted for share in shares[run.first : run.end])
        source, at, shift = fresh, at_fresh, 0
        if run.was >= 0:
            source, at, shift = before.packed, wanted_before[run.was], row - rows_before[run.was]
        else:
            at_fresh += wanted
        end = at + wanted
        keys.copy(source.keys, at * KEY_BYTES, end * KEY_BYTES)
        numbers: Sequence[int] = range(row - shift, row - shift + rows)
        if positions is not None:
            assert source.positions is not None
            numbers = source.positions[at:end]
            positions.extend(array("I", [number + shift for number in numbers]) if shift else numbers)
        if ids is None:
            sizes.extend(_renumbered(source.sizes[at:end], numbers, shift))
        else:
            assert source.ids is not None
            sizes.extend(source.sizes[at:end])
            ids.extend(source.ids[at:end])
        source.rest.seek(source.rest_at + at * REST_BYTES)
        rest.write(source.rest.read(wanted * REST_BYTES))
        row += rows
    return Packed(keys.run(), sizes, positions, ids, rest, 0, _distinct(segments, fresh, before, wanted_before))


def _distinct(segments: Sequence[Segment], fresh: Packed, before: Before, wanted_before: Sequence[int]) -> Run:
    """The distinct keys of all rows; empty where a key that is gone may still be another row's."""
    old = before.packed
    if len(old.distinct) != len(old.keys):
        return b""
    gone = {*range(len(before.pieces.segments))} - {segment.was for segment in segments}
    of_gone = [old.keys[wanted_before[n] * KEY_BYTES : wanted_before[n + 1] * KEY_BYTES] for n in sorted(gone)]
    was, now = keys_of(b"".join(of_gone)), keys_of(fresh.keys[:])  # the same but for the rows that were edited
    return edited(old.distinct, without(was, now), without(now, was))


def _renumbered(sizes: array[int], numbers: Sequence[int], shift: int) -> array[int]:
    """Sizes of lines with ids such as `row-10`, where `shift` more rows come before them now."""
    if not shift or not sizes:
        return sizes
    edges = (numbers[0] + 1, numbers[-1] + 1)
    if len({len(str(number + moved)) for number in edges for moved in (0, shift)}) == 1:
        return sizes
    digits = ((len(str(number + 1)), len(str(number + 1 + shift))) for number in numbers)
    return array("I", [size - was + now for size, (was, now) in zip(sizes, digits, strict=True)])
