"""Which rows to ask again are exactly what an ended batch left: those its remote can go on with by itself.

A remote that continues a batch asks what neither it nor any batch before it in its chain has answered: no more and
no less. So a batch is continued only when that is just what has to be asked; one final error, one edited row, or
one row that another job asks among them, and the rows are sent anew.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence

import msgspec

from runner.job.desired import Desired
from runner.job.observed import Phase
from runner.job.outcomes import unanswered
from runner.job.packed import KEY_BYTES, Sorter, bounds, unpack
from runner.job.recorded import Batch, Stage
from runner.plan.remaining import BatchRows

_RECORD = struct.Struct(f">{KEY_BYTES}sI")
RESUMABLE = (Phase.EXPIRED, Phase.FAILED, Phase.COMPLETED)  # a cancelled one is gone, with its place in a chain


class Continuation(msgspec.Struct, frozen=True):
    """A batch, and the rows it left."""

    parent: Batch
    ordinals: Sequence[int]


def continuations(
    job: Desired, again: Sequence[int], parents: Sequence[BatchRows]
) -> tuple[list[Continuation], Sequence[int]]:
    """Ended batches to go on with, and the rows of `again` that have to be sent anew.

    again: rows of the job to be asked again, each request once, ascending. parents: the batches that left them, in
    order of submission; the youngest is tried first, so that a chain grows at its end.
    """
    found: list[Continuation] = []
    if not job.card.can_resume:
        return found, again
    for entry in reversed(parents):
        if not again:
            break
        # All of what it left, or none: the remote asks the whole of it, whatever we would rather leave out.
        left = unanswered(entry.index) if _can_be_continued(job, entry) else b""
        if not left or len(left) > len(again) * KEY_BYTES:
            continue
        mine, rest = _split(job, again, left)
        if len(mine) * KEY_BYTES == len(left):
            found.append(Continuation(entry.batch, mine))
            again = rest
    return found, again


def _can_be_continued(job: Desired, entry: BatchRows) -> bool:
    batch = entry.batch
    return (
        batch.can_be_continued
        and batch.stage is Stage.COLLECTED
        and batch.phase in RESUMABLE
        and bool(batch.remote_id)
        and not batch.is_read_back
        and batch.origin == job.origin
    )


def _split(job: Desired, ordinals: Sequence[int], left: bytes) -> tuple[array[int], array[int]]:
    """Ordinals whose keys are in `left` (sorted), and the others. One of 256 parts is unpacked at a time."""
    sorter = Sorter(_RECORD.size)
    for ordinal in ordinals:
        sorter.add(_RECORD.pack(job.keys[ordinal * KEY_BYTES : (ordinal + 1) * KEY_BYTES], ordinal))
    edges = bounds(left)
    is_left = bytearray(job.rows)
    for first, bucket in sorter.buckets.items():
        theirs = set(unpack(left[edges[first] : edges[first + 1]]))
        for key, ordinal in _RECORD.iter_unpack(bucket) if theirs else ():
            is_left[ordinal] = key in theirs
    return (
        array("I", [ordinal for ordinal in ordinals if is_left[ordinal]]),
        array("I", [ordinal for ordinal in ordinals if not is_left[ordinal]]),
    )
