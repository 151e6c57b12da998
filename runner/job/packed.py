"""Sets of request keys and indexes over them, packed: a few tens of bytes a row, sorted, immutable.

A key is the first 16 bytes of a request digest. Keys are spread evenly, so everything here works in 256 buckets
by first byte: one bucket at a time becomes ordinary Python sets and dicts (C speed), and memory stays at the
packed bytes plus 1/256 of the unpacked ones. `docs/decisions/002-packed-keys.md` has the figures.

Two sets of a million keys mostly differ in a few: what they share is compared in runs, as bytes (`_differences`), and
only where they differ is looked at by keys.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import accumulate, compress, count, filterfalse
from operator import itemgetter
from typing import overload

import msgspec

from runner.job.infile import Growing, InFile, Run, pieces

KEY_BYTES = 16
BUCKETS = 256
_FEW = 4096  # below it, counting first bytes is quicker than 256 searches
_PAIRWISE = 3  # sets of like size: more of them are sorted together
_SPARSE = 256  # a difference costs as much as so many keys
_SEARCHED = 32  # so many keys are searched for one by one
_NEAR = 256  # records to both sides of where one would be among some ten thousand
_RARE = 16  # one in so many keys is worth a search of its own
_WALKED = 8  # one in so many keys is searched for: looking at each record costs no more
_LEAST_RUN, _LARGEST_RUN = 1 << 10, 1 << 18  # bytes that are compared at once


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
    buckets = sorter.buckets  # each goes as its keys come
    return b"".join([b"".join(sorted(set(unpack(buckets.pop(first))))) for first in sorted(buckets)])


def sorted_run(keys: Run) -> Run:
    """The same of a run, left in a file where they are many."""
    sorter, out = Sorter(), Growing()
    for some in pieces(keys):
        sorter.extend(some)
    for first in sorted(sorter.buckets):
        out.write(b"".join(sorted(set(unpack(sorter.buckets.pop(first))))))
    return out.run()


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


def bounds(records: Run, width: int = KEY_BYTES) -> list[int]:
    """257 byte positions: records whose first byte is `b` lie at `records[bounds[b]:bounds[b + 1]]`."""
    count = len(records) // width
    if count < _FEW:
        sizes = [0] * BUCKETS
        for first, times in Counter(records[:][::width]).items():
            sizes[first] = times * width
        return [0, *accumulate(sizes)]
    edges = [0]

    def first_byte(number: int) -> bytes:
        return records[number * width : number * width + 1]

    for first in range(1, BUCKETS):
        edges.append(bisect_left(range(count), bytes((first,)), edges[-1] // width, key=first_byte) * width)
    edges.append(count * width)
    return edges


def unpack(packed: bytes | bytearray | memoryview) -> Iterator[bytes]:
    """The keys of a packed run, one by one."""
    return map(itemgetter(0), struct.iter_unpack(f"{KEY_BYTES}s", packed))


@overload
def without(left: bytes, right: Run) -> bytes: ...
@overload
def without(left: Run, right: Run) -> Run: ...
def without(left: Run, right: Run) -> Run:
    """Sorted keys that are in `left` and not in `right` (both sorted)."""
    if not right or left is right:
        return b"" if right else left
    if (apart := _differences(left, right)) is not None:
        view = _view(left)
        return b"".join([view[part.start : part.end] for part in apart])
    out: list[bytes] = []
    for mine, theirs in _buckets(left, right):
        out.append(b"".join(filterfalse(set(unpack(theirs)).__contains__, unpack(mine))))
    return b"".join(out)


def without_all(left: Run, sets: Sequence[Run]) -> Run:
    """Sorted keys that are in `left` and in none of the sets (all sorted), which are not put together for it."""
    if len(sets) < 2 or len(left) <= _FEW * KEY_BYTES:
        return reduce(without, sets, left)
    edges, mine = [bounds(packed) for packed in sets], bounds(left)
    out = []
    for b in range(BUCKETS):
        here = left[mine[b] : mine[b + 1]]
        kept = set(unpack(here)).difference(
            *(unpack(packed[edge[b] : edge[b + 1]]) for packed, edge in zip(sets, edges, strict=True))
        )
        out.append(b"".join(sorted(kept)))
    return b"".join(out)


def common(left: Run, right: Run) -> int:
    """How many keys are in both (both sorted)."""
    if (apart := _differences(left, right)) is not None:
        return (len(left) - sum(part.end - part.start for part in apart)) // KEY_BYTES
    return sum(len(set(unpack(mine)).intersection(unpack(theirs))) for mine, theirs in _buckets(left, right))


@overload
def union(sets: Sequence[bytes]) -> bytes: ...
@overload
def union(sets: Sequence[Run]) -> Run: ...
def union(sets: Sequence[Run]) -> Run:
    """Sorted, distinct keys of several sorted sets."""
    sets = sorted(filter(None, sets), key=len)
    if len(sets) < 2:
        return sets[0] if sets else b""
    large = [packed for packed in sets if len(packed) * _SPARSE > len(sets[-1])]
    small = sets[: len(sets) - len(large)]
    if len(large) > _PAIRWISE:
        return _merged(_sorted(large), _sorted(small))
    found: Run = _sorted(small)
    for packed in reversed(large):
        found = _merged(packed, found)
    return found


def _sorted(sets: Sequence[Run]) -> bytes:
    """All keys of these sorted sets in order, each once."""
    if sum(map(len, sets)) <= _FEW * KEY_BYTES:
        return b"".join(sorted(set(unpack(b"".join([packed[:] for packed in sets])))))
    edges = [bounds(packed) for packed in sets]
    out: list[bytes] = []
    for b in range(BUCKETS):
        bucket = b"".join([packed[edge[b] : edge[b + 1]] for packed, edge in zip(sets, edges, strict=True)])
        out.append(b"".join(sorted(set(unpack(bucket)))))
    return b"".join(out)


def _merged(left: Run, right: Run) -> Run:
    """The union of two sorted sets."""
    if not right:
        return left
    if (apart := _differences(left, right)) is None:
        return _sorted((left, right))
    if not any(part.other_end > part.other_start for part in apart):
        return left
    view, others, at = _view(left), _view(right), 0
    out: list[memoryview | bytes] = []
    for part in apart:
        out += [view[at : part.end], others[part.other_start : part.other_end]]
        at = part.end
    return b"".join([*out, view[at:]])


def _view(run: Run) -> memoryview | InFile:
    """The same, where slices are no copies."""
    return memoryview(run) if isinstance(run, bytes) else run


def edited(keys: Run, gone: bytes, more: bytes) -> Run:
    """Sorted keys without some of them, and with others (all sorted)."""
    if (len(gone) + len(more)) * _SPARSE > len(keys):
        return union([without(keys, gone), more])
    out, at = Growing(), 0
    lost, added = set(unpack(gone)), set(unpack(more))
    for key in sorted(lost | added):
        place = _place(keys, key, at)
        end = place + KEY_BYTES if keys[place : place + KEY_BYTES] == key else place
        out.copy(keys, at, place)
        out.write(key if key in added or (end > place and key not in lost) else b"")
        at = end
    out.copy(keys, at, len(keys))
    return out.run()


def keys_at(packed: Run | bytearray, ordinals: Sequence[int]) -> bytes:
    """The keys at these places (ascending) of packed ones in any order."""
    if not ordinals:
        return b""
    first, end = ordinals[0], ordinals[-1] + 1
    if end - first == len(ordinals):
        return bytes(packed[first * KEY_BYTES : end * KEY_BYTES])
    return b"".join([packed[n * KEY_BYTES : (n + 1) * KEY_BYTES] for n in ordinals])


def restricted(records: Run, keys: Run, width: int = KEY_BYTES) -> bytes:
    """The records (sorted by key) of those keys (sorted) that have one. width: a multiple of 8 bytes."""
    count, number = len(records) // width, len(keys) // KEY_BYTES
    keys = keys[:]
    if isinstance(records, InFile):
        if number <= _SEARCHED:
            return b"".join([_record(records, key, width) for key in unpack(keys)])
        records = records[:]
    if number * _WALKED > count:
        wanted = set(unpack(keys))
        return b"".join([one for (one,) in struct.iter_unpack(f"{width}s", records) if one[:KEY_BYTES] in wanted])
    out: list[bytes] = []
    at = 0
    # Of more than a few keys the first halves are searched: as numbers, they are compared in C
    heads = _heads(records, width) if number > _SEARCHED else None
    for key in unpack(keys):
        if heads is None:
            at = bisect_left(range(count), key, at, key=lambda n: records[n * width : n * width + KEY_BYTES])
        else:
            at = bisect_left(heads, int.from_bytes(key[:8], "big"), at)
            while at < count and records[at * width : at * width + KEY_BYTES] < key:
                at += 1  # another key with the same first half
        if records[at * width : at * width + KEY_BYTES] == key:
            out.append(records[at * width : (at + 1) * width])
    return b"".join(out)


def narrowed(records: Run, keys: Run, width: int) -> Run:
    """The records (sorted by key), or only those of these keys (sorted), where they are few."""
    return restricted(records, keys, width) if len(keys) * _RARE < len(records) else records


def _record(records: InFile, key: bytes, width: int) -> bytes:
    """The record of a key, empty where it has none. Keys are spread evenly, so that it is near to where it would be if
    they were so to the byte: what is there is read, and as much again on its sides until it is in it."""
    count = len(records) // width
    guess = int.from_bytes(key[:8], "big") * count >> 64
    near = _NEAR
    while True:
        low, high = max(guess - near, 0), min(guess + near, count)
        some = records[low * width : high * width]
        begins = low == 0 or some[:KEY_BYTES] <= key
        ends = high == count or key <= some[-width:][:KEY_BYTES]
        if begins and ends:
            break
        near *= 4
    at = bisect_left(range(high - low), key, key=lambda n: some[n * width : n * width + KEY_BYTES]) * width
    return some[at : at + width] if some[at : at + KEY_BYTES] == key else b""


def _heads(records: bytes, width: int) -> array[int]:
    """The first eight bytes of each record, as numbers that sort as the bytes do."""
    words = array("Q")
    words.frombytes(records)
    heads = words[:: width // 8]
    if sys.byteorder == "little":
        heads.byteswap()
    return heads


def positions_of(keys: Run | bytearray, wanted: Run) -> array[int]:
    """Where these keys (packed, in any order) stand among others, ascending."""
    wanted, positions, first = wanted[:], array("I"), 0
    names = sorted(unpack(wanted)) if len(wanted) <= _SEARCHED * KEY_BYTES else None
    found = set(struct.iter_unpack(f"{KEY_BYTES}s", wanted))  # tuples of one, so that the loop is one of C
    for some in pieces(keys) if isinstance(keys, InFile) else (keys,):
        if names is not None:
            positions.extend(sorted({first + n for key in names for n in _found(some, key)}))
        else:
            is_there = map(found.__contains__, struct.iter_unpack(f"{KEY_BYTES}s", some))
            positions.extend(compress(count(first), is_there))
        first += len(some) // KEY_BYTES
    return positions


def _found(keys: bytes | bytearray, key: bytes) -> Iterator[int]:
    """Where one key stands, each time that it does."""
    at = keys.find(key)
    while at >= 0:
        if at % KEY_BYTES:  # it ends in the middle of another
            at = keys.find(key, at + 1)
            continue
        yield at // KEY_BYTES
        at = keys.find(key, at + KEY_BYTES)


def chosen(packed: bytes, mask: bytes) -> bytes:
    """The keys of a packed run for which the mask has a byte that is not 0."""
    left = mask.count(0)
    if not left:
        return packed
    if left == len(mask):
        return b""
    return b"".join(map(itemgetter(0), compress(struct.iter_unpack(f"{KEY_BYTES}s", packed), mask)))


class _Part(msgspec.Struct, frozen=True):
    """Keys between two runs that both sets have, as byte positions: of the one, and of the other."""

    start: int
    end: int
    other_start: int
    other_end: int


# As long as nothing differs, two sets are compared as bytes, in pieces that grow; a piece that differs is halved until
# its first other key is found. Of two other keys the smaller is in one set alone, and so is what follows it up to the
# larger. So two sets that differ in ten keys of a million cost a few thousand comparisons, all but some in C.
def _differences(left: Run, right: Run) -> list[_Part] | None:
    """Where two sorted sets differ, in order; None where there is too much of it, or too little of them to matter."""
    ends = len(left), len(right)
    if sum(ends) <= _FEW * KEY_BYTES:
        return None
    most = 64 + sum(ends) // (KEY_BYTES * _SPARSE)
    found: list[_Part] = []
    i = j = 0
    size = _LEAST_RUN
    while i < ends[0] and j < ends[1]:
        mine, theirs = left[i : i + size], right[j : j + size]
        if mine == theirs:
            i, j, size = i + len(mine), j + len(theirs), min(2 * size, _LARGEST_RUN)
            continue
        same, other = 0, min(len(mine), len(theirs)) // KEY_BYTES + 1
        while other - same > 1:
            middle = (same + other) // 2
            if mine[: middle * KEY_BYTES] == theirs[: middle * KEY_BYTES]:
                same = middle
            else:
                other = middle
        i, j, size = i + same * KEY_BYTES, j + same * KEY_BYTES, _LEAST_RUN
        if i == ends[0] or j == ends[1]:
            break
        key, theirs_key = left[i : i + KEY_BYTES], right[j : j + KEY_BYTES]
        after, after_theirs = i, j
        if key < theirs_key:
            after = _place(left, theirs_key, i)
        else:
            after_theirs = _place(right, key, j)
        found.append(_Part(i, after, j, after_theirs))
        if len(found) > most:
            return None
        i, j = after, after_theirs
    if (i, j) != ends:
        found.append(_Part(i, ends[0], j, ends[1]))
    return found


def _place(packed: Run, key: bytes, start: int) -> int:
    """The byte position of the first key that is not below `key`, from the position `start` on. Near ones cost less."""
    low, step = start // KEY_BYTES, 1
    count = len(packed) // KEY_BYTES
    while low + step < count and packed[(low + step) * KEY_BYTES : (low + step + 1) * KEY_BYTES] < key:
        low, step = low + step, 2 * step
    high = min(low + step, count)
    at = bisect_left(range(high), key, low, key=lambda n: packed[n * KEY_BYTES : (n + 1) * KEY_BYTES])
    return at * KEY_BYTES


def _buckets(left: Run, right: Run) -> Iterator[tuple[bytes, bytes]]:
    if len(left) + len(right) <= _FEW * KEY_BYTES:
        yield left[:], right[:]
        return
    mine, theirs = bounds(left), bounds(right)
    for b in range(BUCKETS):
        if mine[b] != mine[b + 1]:
            yield left[mine[b] : mine[b + 1]], right[theirs[b] : theirs[b + 1]]
