"""Which outcome is shown for each row, among all the batches that ever asked for it.

The newest generation with an answer is shown, and within one generation its first good one, else the last of those that
are none; where nobody answered, the last error. All of it in 256 buckets by first byte of the key, so that memory stays
at a few tens of bytes a row.
"""

from __future__ import annotations

import struct
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from runner.job.infile import Loaded, Run, loaded
from runner.job.outcomes import ANSWERS, ENTRY_BYTES, Outcome, good
from runner.job.packed import BUCKETS, KEY_BYTES, bounds, keys_of, restricted, without
from runner.remotes.reading.lines import COMMON
from runner.remotes.vendor import Reader

_OK = int(Outcome.OK)
_PLACE = (1 << 60) - 1
_ENTRY = struct.Struct(f">{KEY_BYTES}sQ")
_SMALL_INDEX = 1024 * ENTRY_BYTES  # below it, walking an index is cheaper than searching its buckets


class OutcomeSource(msgspec.Struct, frozen=True):
    """One batch whose outcomes may be shown. Sources are given in the order their batches were submitted."""

    index: Run  # sorted 24-byte entries
    generation: int
    batch: str  # the remote's id
    origin: str
    files: tuple[Path, ...]  # the raw files, as numbered in the index
    fallback_error: Mapping[str, Any] | None = None  # for requests without a line: code, message, status, ...
    reader: Reader = COMMON  # of the lines of these files
    is_judged: bool = False  # its index says which answers are none
    is_read_back: bool = False  # its raw file holds lines of our own results, see `readback`


class Chosen(msgspec.Struct, frozen=True):
    """One value a row, in input order."""

    places: array[int]  # "Q": outcome (4 bits), file (8 bits), offset (52 bits) as in an index; 0 where there is none
    sources: array[int]  # "I": the number of the source, meaningful where `places` is not 0

    def __len__(self) -> int:
        return len(self.places)


def locate(keys: Run, sources: Sequence[OutcomeSource]) -> Chosen:
    """What is shown for each row.

    keys: 16 bytes a row in input order; equal requests may come more than once.
    """
    rows, all_of_them = len(keys) // KEY_BYTES, loaded(keys)
    places, owners = array("Q", (0,)) * rows, array("I", (0,)) * rows
    segments = _segments(sources)
    for number, positions in _positions(all_of_them).items():
        if number not in segments:
            continue
        if len(segments[number]) == 1:  # most jobs have one batch: nothing to choose
            owner, start, end = segments[number][0]
            only = dict(_ENTRY.iter_unpack(sources[owner].index[start:end]))
            for position in positions:
                place = only.get(all_of_them[position * KEY_BYTES : (position + 1) * KEY_BYTES])
                if place is not None:
                    places[position], owners[position] = place, owner
            continue
        best = _best(segments[number], sources)
        for position in positions:
            found = best.get(all_of_them[position * KEY_BYTES : (position + 1) * KEY_BYTES])
            if found is not None:
                places[position], owners[position] = found
    if any(source.is_judged for source in sources):  # an answer is one; whoever shows it says whether it is none
        places = array("Q", [place & _PLACE | _OK << 60 if place >> 60 in ANSWERS else place for place in places])
    return Chosen(places, owners)


def locate_few(keys: bytes, sources: Sequence[OutcomeSource]) -> Chosen:
    """The same of a few rows among many: of the sources no more is looked at than what they may say of these."""
    asked, told = keys_of(keys), [b""] * len(sources)
    for number in sorted(range(len(sources)), key=lambda number: -sources[number].generation):
        told[number] = restricted(sources[number].index, asked, ENTRY_BYTES)
        asked = without(asked, good(told[number]))  # no older source takes the place of a good answer, nor a later one
    return locate(keys, [replace(source, index=index) for source, index in zip(sources, told, strict=True)])


def _best(segments: list[tuple[int, int, int]], sources: Sequence[OutcomeSource]) -> dict[bytes, tuple[int, int]]:
    """(place, source) for every key of one bucket."""
    best: dict[bytes, tuple[int, int]] = {}
    for owner, start, end in segments:
        generation = sources[owner].generation
        for key, place in _ENTRY.iter_unpack(sources[owner].index[start:end]):
            have = best.get(key)
            if have is None or have[0] >> 60 not in ANSWERS:
                best[key] = place, owner  # an error gives way to whatever was said after it
            elif place >> 60 in ANSWERS and (have[0] >> 60 != _OK or generation > sources[have[1]].generation):
                best[key] = place, owner  # an answer to any other, if it is none, else to one of a newer generation
    return best


def _positions(keys: Loaded) -> dict[int, array[int]]:
    """The rows of each bucket that has some, ascending."""
    buckets = {first: array("I") for first in set(keys[::KEY_BYTES])}
    add = {first: bucket.append for first, bucket in buckets.items()}
    for position, first in enumerate(keys[::KEY_BYTES]):
        add[first](position)
    return buckets


def _segments(sources: Sequence[OutcomeSource]) -> Mapping[int, list[tuple[int, int, int]]]:
    """For each bucket that has some the (source, start, end) runs of index bytes in it, oldest generation first."""
    buckets: defaultdict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for owner in sorted(range(len(sources)), key=lambda number: sources[number].generation):
        index = sources[owner].index[:]  # a search for each bucket
        if len(index) <= _SMALL_INDEX:
            for start in range(0, len(index), ENTRY_BYTES):
                buckets[index[start]].append((owner, start, start + ENTRY_BYTES))
            continue
        edges = bounds(index, ENTRY_BYTES)
        for number in range(BUCKETS):
            if edges[number] != edges[number + 1]:
                buckets[number].append((owner, edges[number], edges[number + 1]))
    return buckets
