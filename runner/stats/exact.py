"""Exact tests of counts, however large: the binomial tail at one half is an incomplete beta function."""

from __future__ import annotations

import math

from runner.stats.quantiles import normal_two_sided, regularized_beta


def two_sided(first: int, second: int) -> float:
    """p of counts that would fall either way with equal chance: the sign test, and McNemar's exact test.

    For McNemar: the rows that only the one and only the other got right.
    """
    less, n = min(first, second), first + second
    if first == second:
        return 1.0
    return min(1.0, 2 * regularized_beta(0.5, n - less, less + 1))  # P(X <= less)


def chance_of(first: int, second: int) -> float:
    """The chance of exactly this split."""
    n = first + second
    log_ways = math.lgamma(n + 1) - math.lgamma(first + 1) - math.lgamma(second + 1)
    return math.exp(log_ways - n * math.log(2))


def score_test(right: int, n: int, other_right: int, other_n: int) -> float:
    """p that two independent rates are one: the score test, which pools them. Both n > 0."""
    pooled = (right + other_right) / (n + other_n)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / other_n))
    return normal_two_sided((right / n - other_right / other_n) / spread) if spread > 0 else 1.0
