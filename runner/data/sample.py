"""A stable sample: the same rows for the same seed, whatever order the dataset is in."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from heapq import heappush, heappushpop

import msgspec

from runner.data.rows import SourceRow

_POSITION_BITS = 40
_encode = msgspec.json.Encoder(order="sorted").encode  # the order of columns does not count


def positions(rows: Iterable[SourceRow], count: int, seed: int) -> array[int]:
    """Positions (ascending) of the `count` rows whose SHA-256 of seed and content is smallest.

    Memory is bounded by `count`. Of equal rows the first ones are taken.
    """
    base = hashlib.sha256(f"runner-sample/1\n{seed}\n".encode())
    heap: list[int] = []  # negated, so that the root is the largest rank kept
    for row in rows:
        rank = base.copy()
        rank.update(_encode(row.row))
        # one number orders by rank and then by position, so that equal rows are told apart the same way each time
        entry = -(int.from_bytes(rank.digest()[:8], "big") << _POSITION_BITS | row.number)
        if len(heap) < count:
            heappush(heap, entry)
        elif count and entry > heap[0]:
            heappushpop(heap, entry)
    return array("I", sorted(-entry & (1 << _POSITION_BITS) - 1 for entry in heap))
