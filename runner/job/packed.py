"""Sets of request keys and indexes over them, packed: a few tens of bytes a row, sorted, immutable.

A key is the first 16 bytes of a request digest. Keys are spread evenly, so everything here works in 256 buckets
by first byte: one bucket at a time becomes ordinary Python sets and dicts (C speed), and memory stays at the
packed bytes plus 1/256 of the unpacked ones. `docs/decisions/002-packed-keys.md` has the figures.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate

KEY_BYTES = 16
BUCKETS = 256
_FEW = 4096  # below it, counting first bytes is quicker than 256 searches


class Sorter:
    """Collects fixed-width records that start with a key, and gives them back sorted by key."""

    __slots__ = ("buckets", "width")

    def __init__(self, width: int = KEY_BYTES) -> None:
        self.width = width
        self.buckets: defaultdict[int, bytearray] = defaultdict(bytearray)  # by first byte of the key

    def add(self, record: bytes) -> None:
        self.buckets[record[0]] += record

    def extend(self, packed: bytes | bytearray | memoryview) -> None:
        """Many records at once, in any order."""
        buckets = self.buckets
        for (record,) in struct.iter_unpack(f"{self.width}s", packed):
            buckets[record[0]] += record

    def __len__(self) -> int:
        return sum(map(len, self.buckets.values())) // self.width

    def sorted(self) -> bytes:
        """All records in key order. The first of several with one key stays, in the order they were added."""
        out = bytearray()
        for number in sorted(self.buckets):
            first: dict[bytes, bytes] = {}
            for (record,) in struct.iter_unpack(f"{self.width}s", self.buckets.pop(number)):
                first.setdefault(record[:KEY_BYTES], record)
            out += b"".join([first[key] for key in sorted(first)])
        return bytes(out)


def keys_of(packed: bytes | bytearray | memoryview) -> bytes:
    """The sorted, distinct keys among packed keys in any order."""
    if len(packed) <= _FEW * KEY_BYTES:
        return b"".join(sorted(set(unpack(packed))))
    sorter = Sorter()
    sorter.extend(packed)
    return b"".join([b"".join(sorted(set(unpack(bucket)))) for _, bucket in sorted(sorter.buckets.items())])


def distinct_in(packed: bytes | bytearray) -> int:
    """How many distinct keys there are among packed keys in any order. It takes 4 bytes a key, not a copy of them."""
    buckets = {first: array("I") for first in {*packed[::KEY_BYTES]}}
    for position, first in enumerate(packed[::KEY_BYTES]):
        buckets[first].append(position)
    found = 0
    while buckets:
        _, positions = buckets.popitem()
        found += len({bytes(packed[at * KEY_BYTES : (at + 1) * KEY_BYTES]) for at in positions})
    return found


def bounds(records: bytes, width: int = KEY_BYTES) -> list[int]:
    """257 byte positions: records whose first byte is `b` lie at `records[bounds[b]:bounds[b + 1]]`."""
    count = len(records) // width
    if count < _FEW:
        sizes = [0] * BUCKETS
        for first, times in Counter(records[::width]).items():
            sizes[first] = times * width
        return [0, *accumulate(sizes)]
    edges = [0]
    for first in range(1, BUCKETS):
        edges.append(bisect_left(range(count), first, edges[-1] // width, key=lambda i: records[i * width]) * width)
    edges.append(count * width)
    return edges


def unpack(packed: bytes | bytearray | memoryview) -> Iterator[bytes]:
    """The keys of a packed run, one by one."""
    for (key,) in struct.iter_unpack(f"{KEY_BYTES}s", packed):
        yield key


def without(left: bytes, right: bytes) -> bytes:
    """Sorted keys that are in `left` and not in `right` (both sorted)."""
    out = []
    for mine, theirs in _buckets(left, right):
        out.extend(sorted(set(unpack(mine)).difference(unpack(theirs))))
    return b"".join(out)


def common(left: bytes, right: bytes) -> int:
    """How many keys are in both (both sorted)."""
    return sum(len(set(unpack(mine)).intersection(unpack(theirs))) for mine, theirs in _buckets(left, right))


def union(sets: Sequence[bytes]) -> bytes:
    """Sorted, distinct keys of several sorted sets."""
    if len(sets) == 1:
        return sets[0]
    sorter = Sorter()
    for packed in sets:
        sorter.extend(packed)
    return sorter.sorted()


def _buckets(left: bytes, right: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(left) + len(right) <= _FEW * KEY_BYTES:
        yield left, right
        return
    mine, theirs = bounds(left), bounds(right)
    for b in range(BUCKETS):
        if mine[b] != mine[b + 1]:
            yield left[mine[b] : mine[b + 1]], right[theirs[b] : theirs[b + 1]]
