"""What must be equal whatever the numbers are."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.stats import f1, influence, intervals, paired
from runner.stats.influence import Estimate, Sums, fixed

VALUES = st.lists(st.floats(min_value=-1e6, max_value=1e6, allow_nan=False), min_size=2, max_size=40)
CLASSES = st.sampled_from(["a", "b", "c"])
LABELS = st.lists(st.tuples(CLASSES, st.one_of(st.none(), CLASSES, st.just("never expected"))), min_size=2, max_size=60)


def mean_of(values: list[float], clusters: list[int] | None = None) -> Estimate:
    sums = Sums(2)
    whose = clusters or list(range(len(values)))
    for cluster in dict.fromkeys(whose):
        mine = [fixed(value) for value, of in zip(values, whose, strict=True) if of == cluster]
        sums.add([sum(mine), fixed(len(mine))])
    return influence.estimate_of_ratio(sums)


@given(VALUES, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_digit(values: list[float], chance: random.Random) -> None:
    clusters = [n % 3 for n in range(len(values))]
    rows = list(zip(values, clusters, strict=True))
    before = mean_of(values, clusters)
    chance.shuffle(rows)
    assert mean_of([value for value, _ in rows], [cluster for _, cluster in rows]) == before


@given(VALUES)
def test_a_mean_has_the_textbooks_standard_error(values: list[float]) -> None:
    n = len(values)
    mean = math.fsum(values) / n
    se = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)
    found = mean_of(values)
    assert found.value == pytest.approx(mean, rel=1e-9, abs=1e-9)
    assert found.se == pytest.approx(se, rel=1e-6, abs=1e-9)


@given(VALUES)
def test_a_large_offset_costs_no_digits(values: list[float]) -> None:
    """Second moments of floats would cancel here: 1e15 and a spread of 1."""
    whole = [float(round(value) % 7) for value in values]
    assert mean_of([value + 1e15 for value in whole]).se == pytest.approx(mean_of(whole).se, rel=1e-12)


@given(VALUES)
def test_a_run_against_itself_differs_by_nothing(values: list[float]) -> None:
    sums = Sums(3)
    for value in values:
        sums.add([fixed(value), fixed(value), fixed(1)])
    found = influence.estimate_of_difference(sums, (0, 2), (1, 2))
    assert found == (0.0, 0.0, len(values))
    assert paired.p_of_difference(found) == 1


@given(st.integers(0, 200), st.integers(1, 200))
def test_right_and_wrong_mirror_each_other(right: int, n: int) -> None:
    right = min(right, n)
    low, high = intervals.of_rate(right, n)
    other_low, other_high = intervals.of_rate(n - right, n)
    assert (1 - high, 1 - low) == pytest.approx((other_low, other_high), abs=1e-12)
    assert low <= right / n <= high


@given(*[st.integers(0, 50)] * 4)
def test_a_difference_turns_round_with_its_runs(both: int, first: int, second: int, neither: int) -> None:
    if both + first + second + neither:
        low, high = paired.of_pairs(paired.Pairs(both, first, second, neither))
        other = paired.of_pairs(paired.Pairs(both, second, first, neither))
        assert (-high, -low) == pytest.approx(tuple(other), abs=1e-12)


@given(LABELS)
def test_influences_of_macro_f1_sum_to_nothing(labels: list[tuple[str, str | None]]) -> None:
    counts = Counter(labels)
    found = f1.macro_f1(counts)
    assert sum(found.influence[cell] * count for cell, count in counts.items()) == 0


@given(LABELS)
def test_the_influence_of_a_row_is_what_its_weight_moves(labels: list[tuple[str, str | None]]) -> None:
    """Every row counted 100,000 times, one of them once more: macro F1 moves by its influence, to the first order."""
    many = 100_000
    counts = Counter(labels)
    base = f1.macro_f1(counts)
    for cell in counts:
        more = Counter({one: count * many for one, count in counts.items()})
        more[cell] += 1
        moved = (f1.macro_f1(more).value - base.value) * many
        assert float(moved) == pytest.approx(float(base.influence[cell]), abs=1e-3)


@given(LABELS)
def test_rows_of_their_own_are_clusters_of_one(labels: list[tuple[str, str | None]]) -> None:
    counts = Counter(labels)
    found = f1.macro_f1(counts).influence
    alone = influence.se_of_counts(found, ({label: 1} for label in labels))
    assert influence.se_of_rows(found, counts) == pytest.approx(alone, rel=1e-12)


@given(st.lists(st.booleans(), min_size=2, max_size=60))
def test_doubling_every_row_in_its_cluster_adds_no_knowledge(rights: list[bool]) -> None:
    once = mean_of([float(right) for right in rights])
    twice = mean_of([float(right) for right in rights for _ in "ab"], [n // 2 for n in range(2 * len(rights))])
    assert twice == once
    assert intervals.within_unit(*twice, at_most=2 * len(rights)) == intervals.within_unit(*once, at_most=len(rights))


@given(VALUES, st.sets(st.integers(0, 39)))
def test_a_person_who_agrees_corrects_nothing(values: list[float], labelled: set[int]) -> None:
    sums = Sums(4)
    for n, value in enumerate(values):
        is_labelled = n in labelled or n == 0
        sums.add([fixed(value), fixed(1), 0, fixed(int(is_labelled))])
    found = influence.estimate_corrected(sums)
    assert found == mean_of(values)


def test_one_cluster_says_nothing() -> None:
    assert mean_of([0.0, 1.0], [0, 0]).se == math.inf
    assert intervals.within_unit(0.5, math.inf, 1) == (0, 1)
    assert intervals.of_number(0.5, math.inf, 1) == (-math.inf, math.inf)
    assert intervals.of_ratio(0.5, math.inf, 1, 4) == (0, math.inf)
    assert paired.p_of_difference(Estimate(0.5, math.inf, 1)) == 1


def test_no_error_at_all_is_the_rule_of_three() -> None:
    assert intervals.of_ratio(0.0, 0.0, 20, 300) == (0, 0.01)
