"""The rows of a job that are sent before any other, where a user wants to see a few answers first."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from runner.job.desired import Desired, distinct_of
from runner.job.packed import KEY_BYTES, unpack
from runner.plan.remaining import JobRows, Row

_UNTOUCHED = (Row.NEW, Row.SHARED, Row.EQUAL)


def of_new(job: Desired, rows: JobRows, size: int | None) -> Sequence[int]:
    """The ordinals, ascending, of rows never asked that are sent now: all of them, or those of the sample.

    The sample of a job are the rows with the smallest digests: as good as drawn by lot, and the same every time. So a
    second command sends nothing more of it. Where rows beside the sample were asked before, the user has seen what he
    wanted, and all are sent.
    """
    new = rows.ordinals(Row.NEW)
    if size is None or not new:
        return new
    first = set(unpack(distinct_of(job)[: size * KEY_BYTES]))
    beside = (state for state, key in zip(rows.states, unpack(job.keys[:]), strict=True) if key not in first)
    if any(state not in _UNTOUCHED for state in beside):
        return new
    return array("I", [at for at in new if job.keys[at * KEY_BYTES : (at + 1) * KEY_BYTES] in first])
