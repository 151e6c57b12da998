"""Macro F1 of two jobs on the same rows: as each has it alone, and the difference by influence."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.checks.paired_f1 import F1Difference, PairedF1
from runner.checks.score import Scored, Status
from runner.checks.tally import Confusion, Counting
from runner.stats.f1 import macro_f1

CLASSES = ("a", "b", "c")
Named = tuple[str, str | None, str | None]  # expected, read by the first, read by the second


def scored(expected: str, got: str | None) -> Scored:
    status = Status.UNREADABLE if got is None else Status.RIGHT if got == expected else Status.WRONG
    return Scored(status, status is Status.RIGHT, 1, got, expected)


def found(rows: list[Named], clusters: list[str] | None = None) -> F1Difference:
    pairs = PairedF1()
    for at, (expected, one, other) in enumerate(rows):
        pairs.add(scored(expected, one), scored(expected, other), clusters[at] if clusters else None)
    return pairs.difference()


def drawn(rows: int, seed: int) -> list[Named]:
    chance = random.Random(seed)

    def read(expected: str) -> str | None:
        return expected if chance.random() < 0.7 else chance.choice([*CLASSES, None])

    expected = [chance.choice(CLASSES) for _ in range(rows)]
    return [(one, read(one), read(one)) for one in expected]


got = st.sampled_from([*CLASSES, None])
some = st.lists(st.tuples(st.sampled_from(CLASSES), got, got), min_size=1, max_size=30)


@given(some, st.booleans())
def test_each_by_itself_is_what_its_own_job_has(rows: list[Named], clustered: bool) -> None:
    clusters = [str(at % 4) for at in range(len(rows))] if clustered else []
    difference = found(rows, clusters or None)
    for at, figure in ((1, difference.first), (2, difference.second)):
        alone = Confusion(Counting())
        alone.add_all([scored(row[0], row[at]) for row in rows], clusters)
        assert figure == alone.numbers().figure


@given(some)
def test_the_other_way_round_is_the_other_sign(rows: list[Named]) -> None:
    one, other = found(rows), found([(expected, b, a) for expected, a, b in rows])
    assert one.difference.value == -(other.difference.value or 0)
    assert (one.p, one.difference.se) == (other.p, other.difference.se)
    assert (one.first, one.second) == (other.second, other.first)


@given(some)
def test_a_job_against_itself_differs_by_nothing(rows: list[Named]) -> None:
    itself = found([(expected, a, a) for expected, a, _ in rows])
    assert (itself.difference.value, itself.p) == (0, 1)
    assert itself.difference.se == 0 or len(rows) == 1


def test_the_standard_error_is_that_of_leaving_rows_out() -> None:
    rows = drawn(400, 1)

    def value(some: list[Named]) -> float:
        one, other = (macro_f1(Counter((row[0], row[at]) for row in some)).value for at in (1, 2))
        return float(one - other)

    n, whole = len(rows), value(rows)
    left_out = [value(rows[:at] + rows[at + 1 :]) for at in range(n)]
    jackknife = math.sqrt((n - 1) / n * sum((one - sum(left_out) / n) ** 2 for one in left_out))
    difference = found(rows).difference
    assert difference.value == pytest.approx(whole)
    assert difference.se == pytest.approx(jackknife, rel=0.02)


def test_a_cluster_for_each_row_is_none() -> None:
    rows = drawn(60, 2)
    assert found(rows, [str(at) for at in range(60)]) == found(rows)
    doubled = found(rows * 2, [str(at) for at in range(60)] * 2).difference
    assert doubled.se == pytest.approx(found(rows).difference.se)
    assert (doubled.n, doubled.clusters) == (120, 60)


def test_rows_without_a_class_to_be_held_to_are_left_out() -> None:
    pairs = PairedF1()
    pairs.add(Scored(Status.NO_REFERENCE), scored("a", "a"))
    assert pairs.difference().difference.value is None and pairs.difference().p == 1.0


@pytest.mark.sweep
def test_equal_jobs_are_told_apart_once_in_twenty() -> None:
    assert flagged(range(1000)) == pytest.approx(0.05, abs=0.015)


def test_a_sample_of_them() -> None:
    assert flagged(range(100)) <= 0.12


def flagged(seeds: range) -> float:
    """The share of comparisons of two equal jobs, of 200 rows, whose interval leaves 0 out."""
    differences = [found(drawn(200, seed)).difference for seed in seeds]
    return sum(not (one.low or 0) <= 0 <= (one.high or 0) for one in differences) / len(seeds)
