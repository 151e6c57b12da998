"""Whether ids are unique, at 8 bytes a row: hashes first, and the texts again only where two hashes are equal."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

_BUCKETS = 256


class IdHashes:
    """Hashes of all ids of a dataset, which mean the same in every process that knows `modulus`.

    It comes of Python's string hash, which is keyed per process, so nobody can aim collisions.
    """

    __slots__ = ("modulus", "values")

    def __init__(self, modulus: int = 0) -> None:
        """modulus: of hashes that these are compared with; 0 for one of its own."""
        self.modulus = modulus or hash("the ids of a dataset") & (1 << 62) - 1 | 1 << 62 | 1
        self.values = array("Q")

    def update(self, texts: Iterable[str]) -> None:
        self.values.extend(self.of(texts))

    def of(self, texts: Iterable[str]) -> list[int]:
        modulus, number = self.modulus, int.from_bytes
        # the length is one byte more, since zeros before a number count nothing
        return [number(b"\1" + data, "big") % modulus for data in map(str.encode, texts)]

    def suspects(self, others: Iterable[array[int]] = ()) -> frozenset[int]:
        """Hashes that came twice among these, or among these and others, in which none comes twice.

        Their ids are equal but for one chance in about 10**6 at a million rows.
        """
        found = _twice(self.values)
        mine: set[int] = set()
        for some in others:
            mine = mine or set(self.values)
            found.update(mine.intersection(some))
        return frozenset(found)


def _twice(values: array[int]) -> set[int]:
    # buckets, so that no set of all hashes is ever built: one of a million takes 64 MB, a bucket's a quarter of one
    buckets = [array("Q") for _ in range(_BUCKETS)]
    add = [bucket.append for bucket in buckets]
    for value in values:
        add[value & 255](value)
    found: set[int] = set()
    while buckets:
        bucket = buckets.pop()
        if len(distinct := set(bucket)) == len(bucket):
            continue
        for value in bucket:
            if value in distinct:
                distinct.discard(value)
            else:
                found.add(value)
    return found
