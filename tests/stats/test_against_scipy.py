"""Quantiles, tails and tests against scipy, at random places."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from runner.stats import exact, intervals, multiple, paired, quantiles
from runner.stats.influence import Sums, estimate_of_difference, fixed
from runner.stats.quantiles import Z

COUNT = st.integers(min_value=0, max_value=3000)
SOME = st.integers(min_value=1, max_value=3000)


@given(st.floats(min_value=0.6, max_value=0.9999), st.integers(min_value=1, max_value=2_000_000))
def test_quantiles_of_t(p: float, df: int) -> None:
    assert quantiles.t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-8)


@given(st.floats(min_value=-40, max_value=40), st.integers(min_value=1, max_value=1_000_000))
def test_tails_of_t(t: float, df: int) -> None:
    assert quantiles.t_two_sided(t, df) == pytest.approx(2 * stats.t.sf(abs(t), df), rel=1e-7, abs=1e-300)


@given(st.floats(min_value=0, max_value=1), st.floats(min_value=0.05, max_value=5e4), st.floats(0.05, 5e4))
def test_the_incomplete_beta_function(x: float, a: float, b: float) -> None:
    assert quantiles.regularized_beta(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-7, abs=1e-13)


@given(COUNT, COUNT)
def test_the_sign_test(first: int, second: int) -> None:
    if first + second:
        found = stats.binomtest(first, first + second).pvalue
        assert exact.two_sided(first, second) == pytest.approx(found, rel=1e-9)
        assert exact.chance_of(first, second) == pytest.approx(stats.binom.pmf(first, first + second, 0.5), rel=1e-8)


@given(COUNT, SOME)
def test_wilsons_interval(right: int, n: int) -> None:
    right = min(right, n)
    theirs = stats.binomtest(right, n).proportion_ci(method="wilson")
    ours = intervals.wilson(right / n, n, Z)
    assert tuple(ours) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@given(st.integers(0, 5), st.integers(1, 3000))
def test_wilsons_interval_with_few_errors(few: int, n: int) -> None:
    right = n - min(few, n)
    theirs = stats.binomtest(right, n).proportion_ci(method="wilson")
    high = theirs.high
    if n >= 50 and 1 <= few <= 3:
        high = max(high, 1 - stats.chi2.ppf(0.05, 2 * few) / 2 / n)
    assert tuple(intervals.of_rate(right, n)) == pytest.approx((theirs.low, high), abs=1e-12)


@given(COUNT, SOME, COUNT, SOME)
def test_the_score_test(right: int, n: int, other: int, other_n: int) -> None:
    right, other = min(right, n), min(other, other_n)
    p = exact.score_test(right, n, other, other_n)
    if 0 < right + other < n + other_n:
        table = [[right, n - right], [other, other_n - other]]
        assert p == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, rel=1e-8, abs=1e-300)
    else:
        assert p == 1


@given(COUNT, SOME, COUNT, SOME)
def test_fishers_exact_test(right: int, n: int, other: int, other_n: int) -> None:
    right, other = min(right, n), min(other, other_n)
    theirs = stats.fisher_exact([[right, n - right], [other, other_n - other]]).pvalue
    assert exact.of_two_rates(right, n, other, other_n) == pytest.approx(theirs, rel=1e-6, abs=1e-15)


def test_where_counts_are_large_both_tests_of_two_rates_are_one() -> None:
    for right in (79_000, 80_000, 80_300, 81_000):
        counts = right, 100_000, 800_000, 1_000_000
        assert exact.of_two_rates(*counts) == pytest.approx(exact.score_test(*counts), rel=0.05)


@given(st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=60))
def test_many_tests_at_once(ps: list[float]) -> None:
    assert multiple.benjamini_hochberg(ps) == pytest.approx(list(stats.false_discovery_control(ps)), rel=1e-12)


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=3, max_size=40))
def test_a_paired_difference_is_the_paired_t_test(rows: list[tuple[int, int]]) -> None:
    sums = Sums(3)
    for row in rows:
        sums.add([fixed(row[0]), fixed(row[1]), fixed(1)])
    found = estimate_of_difference(sums, (0, 2), (1, 2))
    theirs = stats.ttest_rel(*zip(*rows, strict=True)) if len({a - b for a, b in rows}) > 1 else None
    if theirs is None:
        assert found.se == 0
        return
    assert paired.p_of_difference(found) == pytest.approx(theirs.pvalue, rel=1e-8)
    theirs_interval = theirs.confidence_interval()
    assert tuple(paired.of_difference(found)) == pytest.approx(tuple(theirs_interval), rel=1e-7, abs=1e-9)
    assert math.isfinite(found.se)
