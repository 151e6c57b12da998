"""Two runs over the same rows."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.checks.paired import Paired
from runner.checks.score import Scored, Status
from runner.checks.tally import Counting, Form, Tally
from runner.stats import exact, paired
from runner.stats.paired import Pairs

RIGHT, WRONG = Scored(Status.RIGHT, 1, 1), Scored(Status.WRONG, 0, 1)
UNREADABLE, UNANSWERED = Scored(Status.UNREADABLE, 0, 1), Scored(Status.UNANSWERED, 0, 1)
SKIPPED = Scored(Status.SKIPPED)
RATE = Counting()
statuses = st.sampled_from([RIGHT, WRONG, UNREADABLE, UNANSWERED, SKIPPED])


def paired_of(
    rows: list[tuple[Scored, Scored]], counting: Counting = RATE, clusters: list[str] | None = None
) -> Paired:
    found = Paired(counting)
    for at, (first, second) in enumerate(rows):
        found.add(first, second, clusters[at] if clusters else None)
    return found


def test_right_and_wrong_are_compared_by_newcombe_and_mcnemar() -> None:
    rows = [(RIGHT, RIGHT)] * 70 + [(RIGHT, WRONG)] * 15 + [(WRONG, RIGHT)] * 4 + [(WRONG, WRONG)] * 11
    found = paired_of(rows).difference()
    pairs = Pairs(70, 15, 4, 11)
    assert found.pairs == pairs
    assert found.figure.value == pytest.approx(0.11)
    assert (found.figure.low, found.figure.high) == paired.of_pairs(pairs)
    assert found.p == exact.two_sided(15, 4)
    assert (found.figure.n, found.figure.clusters) == (100, 100)
    assert found.figure.se == pytest.approx(0.0426, rel=0.01)


def test_only_rows_that_count_in_both_are_compared() -> None:
    rows = [(RIGHT, WRONG), (RIGHT, UNANSWERED), (SKIPPED, RIGHT), (RIGHT, UNREADABLE)]
    assert paired_of(rows).difference().pairs == Pairs(0, 2, 0, 0)
    assert paired_of(rows, Counting(unreadable_is_wrong=False)).difference().figure.n == 1
    assert paired_of(rows, Counting(unanswered_is_wrong=True)).difference().figure.n == 3
    none = paired_of([(SKIPPED, RIGHT)]).difference()
    assert (none.figure.value, none.figure.low, none.p, none.figure.n) == (None, None, 1.0, 0)


@given(st.lists(st.tuples(statuses, statuses), max_size=40))
def test_the_other_way_round_is_the_other_sign(rows: list[tuple[Scored, Scored]]) -> None:
    one, other = paired_of(rows).difference(), paired_of([(b, a) for a, b in rows]).difference()
    assert one.figure.n == other.figure.n and one.p == other.p
    if one.figure.value is None or one.figure.low is None or other.figure.value is None or other.figure.high is None:
        assert one.figure.value is other.figure.value is None
        return
    assert one.figure.value == -other.figure.value
    assert one.figure.low == pytest.approx(-other.figure.high)


@given(st.lists(statuses, max_size=40))
def test_a_run_against_itself_differs_by_nothing(rows: list[Scored]) -> None:
    found = paired_of([(one, one) for one in rows]).difference()
    assert found.figure.value in (None, 0.0)
    assert found.p == 1.0


@given(st.lists(st.tuples(st.sampled_from([RIGHT, WRONG]), st.sampled_from([RIGHT, WRONG])), min_size=2, max_size=30))
def test_every_row_a_cluster_has_the_same_difference(rows: list[tuple[Scored, Scored]]) -> None:
    alone, each = (
        paired_of(rows).difference(),
        paired_of(rows, clusters=[str(n) for n in range(len(rows))]).difference(),
    )
    assert alone.figure.value == pytest.approx(each.figure.value)
    assert (alone.figure.n, alone.pairs) == (each.figure.n, each.pairs)
    assert alone.figure.se == pytest.approx(each.figure.se)


def test_ten_copies_of_a_row_are_one_where_they_are_a_cluster() -> None:
    rng = random.Random(1)
    rows = [(rng.choice([RIGHT, WRONG]), rng.choice([RIGHT, WRONG])) for _ in range(40)]
    few = paired_of(rows, clusters=[str(n) for n in range(40)]).difference()
    many = paired_of([row for row in rows for _ in range(10)], clusters=[str(n // 10) for n in range(400)]).difference()
    assert many.figure.value == few.figure.value
    assert (many.figure.low, many.figure.high) == pytest.approx((few.figure.low, few.figure.high))
    assert (many.figure.n, many.figure.clusters) == (400, 40)


def test_rows_without_a_cluster_count_beside_those_with_one() -> None:
    rows = [(RIGHT, WRONG)] * 6 + [(WRONG, RIGHT)] * 2 + [(RIGHT, RIGHT)] * 4
    some, found = ["a", "a", "b", None, None, None, None, "c", None, None, "b", None], Paired(RATE)
    each = Paired(RATE)
    for at, ((first, second), cluster) in enumerate(zip(rows, some, strict=True)):
        found.add(first, second, cluster)
        each.add(first, second, cluster or f"alone {at}")
    mixed, full = found.difference(), each.difference()
    assert (mixed.figure.value, mixed.figure.n, mixed.figure.clusters) == (pytest.approx(4 / 12), 12, 10)
    assert mixed == full


def test_error_rates_are_compared_as_ratios_of_sums() -> None:
    rng = random.Random(2)
    counting = Counting(Form.RATIO)
    rows = [
        (Scored(Status.MEASURED, rng.randrange(5), 20), Scored(Status.MEASURED, rng.randrange(9), 20))
        for _ in range(50)
    ]
    found = paired_of(rows, counting).difference()
    first, second = Tally(counting), Tally(counting)
    for a, b in rows:
        first.add(a)
        second.add(b)
    assert found.figure.value == pytest.approx((first.numbers().value or 0) - (second.numbers().value or 0))
    assert found.pairs is None
    assert found.figure.high is not None and found.figure.high < 0
    assert found.p < 0.001


def test_one_cluster_says_nothing() -> None:
    found = paired_of([(RIGHT, WRONG)] * 5, clusters=["a"] * 5).difference()
    assert (found.figure.low, found.figure.high, found.figure.se) == (-math.inf, math.inf, math.inf)
    assert found.p == 1.0
