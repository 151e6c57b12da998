"""Batches are cut a thousand rows at a time where they fit: what comes out is what row after row gives."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import DataError
from runner.job.capabilities import Limits
from runner.plan import batches


def one_by_one(ordinals: array[int], sizes: array[int], limits: Limits) -> Iterator[tuple[list[int], int]]:
    some: list[int] = []
    size = 0
    for ordinal in ordinals:
        line = sizes[ordinal] + 1
        if some and (len(some) == limits.lines or size + line > limits.size_bytes):
            yield some, size
            some, size = [], 0
        some.append(ordinal)
        size += line
    if some:
        yield some, size


@given(
    sizes=st.lists(st.integers(1, 40), max_size=60),
    times=st.integers(1, 90),
    every=st.integers(1, 4),
    lines=st.sampled_from((1, 7, 1000, 1024, 1025, 5000)),
    size_bytes=st.sampled_from((41, 500, 30_000, 10**6)),
)
def test_cuts_are_those_of_rows_one_by_one(
    sizes: list[int], times: int, every: int, lines: int, size_bytes: int
) -> None:
    of_rows = array("I", sizes * times)
    ordinals = array("I", range(0, len(of_rows), every))
    limits = Limits(lines, size_bytes)
    made = [(list(part), size) for part, size in batches.cut(ordinals, of_rows, limits, "j")]
    assert made == list(one_by_one(ordinals, of_rows, limits))


def test_a_line_that_is_too_long_is_named_wherever_it_stands() -> None:
    for at in (0, 1500, 2999):
        sizes = array("I", [10] * 3000)
        sizes[at] = 100  # with its newline one byte more than the remote takes
        with pytest.raises(
            DataError, match=rf"the request of row {at + 1} of job `j` is 101 bytes; the remote takes 100"
        ):
            list(batches.cut(array("I", range(3000)), sizes, Limits(10_000, 100), "j"))
