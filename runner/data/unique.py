"""Whether ids are unique, at 8 bytes a row: hashes first, and the texts again only where two hashes are equal."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

_BUCKETS = 256


class IdHashes:
    """Hashes of all ids of a dataset. Python's string hash is keyed per process, so nobody can aim collisions."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(_BUCKETS)]

    def update(self, texts: Iterable[str]) -> None:
        # buckets, so that no set of all hashes is ever built: one of a million takes 64 MB, a bucket's a quarter of one
        add = [bucket.append for bucket in self._buckets]
        for value in map(hash, texts):
            add[value & 255](value)

    def suspects(self) -> frozenset[int]:
        """Hashes that came twice: their ids are equal but for one chance in about 10**8 at a million rows."""
        found: set[int] = set()
        for bucket in self._buckets:
            if len(distinct := set(bucket)) == len(bucket):
                continue
            for value in bucket:
                if value in distinct:
                    distinct.discard(value)
                else:
                    found.add(value)
        return frozenset(found)
