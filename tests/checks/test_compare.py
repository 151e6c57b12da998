"""Two runs over the same rows, and a slice against the rest."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.checks.compare import Pairing, Slicing
from runner.checks.score import Scored, Status
from runner.checks.tally import Counting, Form, Tally
from runner.stats import exact, paired
from runner.stats.paired import Pairs

RIGHT, WRONG = Scored(Status.RIGHT, 1, 1), Scored(Status.WRONG, 0, 1)
UNREADABLE, UNANSWERED = Scored(Status.UNREADABLE, 0, 1), Scored(Status.UNANSWERED, 0, 1)
SKIPPED = Scored(Status.SKIPPED)
RATE = Counting()
statuses = st.sampled_from([RIGHT, WRONG, UNREADABLE, UNANSWERED, SKIPPED])


def pairing(rows: list[tuple[Scored, Scored]], counting: Counting = RATE, clusters: list[str] | None = None) -> Pairing:
    found = Pairing(counting)
    for at, (first, second) in enumerate(rows):
        found.add(first, second, clusters[at] if clusters else None)
    return found


def test_right_and_wrong_are_compared_by_newcombe_and_mcnemar() -> None:
    rows = [(RIGHT, RIGHT)] * 70 + [(RIGHT, WRONG)] * 15 + [(WRONG, RIGHT)] * 4 + [(WRONG, WRONG)] * 11
    found = pairing(rows).compared()
    pairs = Pairs(70, 15, 4, 11)
    assert found.pairs == pairs
    assert found.difference == pytest.approx(0.11)
    assert found.interval == paired.of_pairs(pairs)
    assert found.p == exact.two_sided(15, 4)
    assert (found.n, found.clusters) == (100, 100)
    assert found.detectable == pytest.approx(2.8016 * 0.0426, rel=0.01)


def test_only_rows_that_count_in_both_are_compared() -> None:
    rows = [(RIGHT, WRONG), (RIGHT, UNANSWERED), (SKIPPED, RIGHT), (RIGHT, UNREADABLE)]
    assert pairing(rows).compared().pairs == Pairs(0, 2, 0, 0)
    assert pairing(rows, Counting(unreadable_is_wrong=False)).compared().n == 1
    assert pairing(rows, Counting(unanswered_is_wrong=True)).compared().n == 3
    none = pairing([(SKIPPED, RIGHT)]).compared()
    assert (none.difference, none.interval, none.p, none.n) == (None, None, None, 0)


@given(st.lists(st.tuples(statuses, statuses), max_size=40))
def test_the_other_way_round_is_the_other_sign(rows: list[tuple[Scored, Scored]]) -> None:
    one, other = pairing(rows).compared(), pairing([(b, a) for a, b in rows]).compared()
    assert one.n == other.n and one.p == other.p
    if one.difference is None or one.interval is None or other.interval is None or other.difference is None:
        assert other.difference is None
        return
    assert one.difference == -other.difference
    assert one.interval.low == pytest.approx(-other.interval.high)


@given(st.lists(statuses, max_size=40))
def test_a_run_against_itself_differs_by_nothing(rows: list[Scored]) -> None:
    found = pairing([(one, one) for one in rows]).compared()
    assert found.difference in (None, 0.0)
    assert found.p in (None, 1.0)


@given(st.lists(st.tuples(st.sampled_from([RIGHT, WRONG]), st.sampled_from([RIGHT, WRONG])), min_size=2, max_size=30))
def test_every_row_a_cluster_has_the_same_difference(rows: list[tuple[Scored, Scored]]) -> None:
    alone, each = pairing(rows).compared(), pairing(rows, clusters=[str(n) for n in range(len(rows))]).compared()
    assert (alone.difference, alone.n, alone.pairs, alone.detectable) == (
        each.difference,
        each.n,
        each.pairs,
        each.detectable,
    )


def test_ten_copies_of_a_row_are_one_where_they_are_a_cluster() -> None:
    rng = random.Random(1)
    rows = [(rng.choice([RIGHT, WRONG]), rng.choice([RIGHT, WRONG])) for _ in range(40)]
    few = pairing(rows, clusters=[str(n) for n in range(40)]).compared()
    many = pairing([row for row in rows for _ in range(10)], clusters=[str(n // 10) for n in range(400)]).compared()
    assert many.difference == few.difference
    assert many.interval is not None and few.interval is not None
    assert many.interval == pytest.approx(few.interval)
    assert (many.n, many.clusters) == (400, 40)


def test_error_rates_are_compared_as_ratios_of_sums() -> None:
    rng = random.Random(2)
    counting = Counting(Form.RATIO)
    rows = [
        (Scored(Status.MEASURED, rng.randrange(5), 20), Scored(Status.MEASURED, rng.randrange(9), 20))
        for _ in range(50)
    ]
    found = pairing(rows, counting).compared()
    first, second = Tally(counting), Tally(counting)
    for a, b in rows:
        first.add(a)
        second.add(b)
    assert found.difference == pytest.approx((first.numbers().value or 0) - (second.numbers().value or 0))
    assert found.pairs is None
    assert found.interval is not None and found.interval.high < 0
    assert found.p is not None and found.p < 0.001


def test_one_cluster_says_nothing() -> None:
    found = pairing([(RIGHT, WRONG)] * 5, clusters=["a"] * 5).compared()
    assert found.interval == (-math.inf, math.inf)
    assert (found.p, found.detectable) == (1.0, None)


# --- slices -------------------------------------------------------------------------------------------------------


def slicing(parts: dict[str, tuple[int, int]], *, clusters: bool = False) -> Slicing:
    """parts: value -> right, wrong."""
    found, number = Slicing(RATE), 0
    for value, (right, wrong) in parts.items():
        for one in [RIGHT] * right + [WRONG] * wrong:
            number += 1
            found.add(one, value, str(number) if clusters else None)
    return found


def test_a_slice_against_the_rest_by_the_score_test() -> None:
    found = slicing({"en": (90, 10), "de": (80, 20), "ja": (30, 20)})
    part = found.part("ja")
    assert part is not None
    assert part.difference == pytest.approx(0.6 - 0.85)
    assert part.p == exact.score_test(30, 50, 170, 200)
    assert found.part("fr") is None
    assert slicing({"en": (1, 1)}).part("en") is None, "there is no rest"


def test_with_clusters_by_t_and_near_to_the_same() -> None:
    parts = {"en": (180, 20), "ja": (82, 18)}
    alone, each = slicing(parts).part("ja"), slicing(parts, clusters=True).part("ja")
    assert alone is not None and each is not None
    assert each.difference == pytest.approx(alone.difference)
    assert 0.5 < each.p / alone.p < 2 and 0.01 < alone.p < 0.1


def test_a_cluster_may_lie_in_two_slices() -> None:
    found = Slicing(RATE)
    for customer in range(40):
        found.add(RIGHT if customer % 3 else WRONG, "en", str(customer))
        found.add(RIGHT if customer % 3 else WRONG, "ja", str(customer))
    part = found.part("ja")
    assert part is not None and (part.difference, part.p) == (0.0, 1.0)


def test_other_numbers_have_slices_too() -> None:
    found = Slicing(Counting(Form.NUMBER))
    rng = random.Random(3)
    for at in range(200):
        found.add(Scored(Status.MEASURED, rng.gauss(at % 2, 1), 1), "ab"[at % 2])
    part = found.part("b")
    assert part is not None and part.p < 0.001 and 0.5 < part.difference < 1.5
