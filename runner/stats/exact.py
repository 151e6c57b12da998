"""Exact tests of counts, however large: the binomial tail at one half is an incomplete beta function."""

from __future__ import annotations

import math

from runner.stats.quantiles import normal_two_sided, regularized_beta

_NEVER = 1e-20  # beside the likeliest: adds nothing


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


def of_two_rates(right: int, n: int, other_right: int, other_n: int) -> float:
    """p that two independent rates are one, whatever the counts: Fisher's exact test, two-sided. Both n > 0.

    It takes a step for each split that is not out of the question, so for large counts `score_test` is the way.
    """
    all_right, all_n = right + other_right, n + other_n
    least, most = max(0, all_right - other_n), min(n, all_right)

    def up(k: int) -> float:
        """By how much k + 1 right is more likely than k."""
        return (n - k) * (all_right - k) / ((k + 1) * (other_n - all_right + k + 1))

    mode = min(max((n + 1) * (all_right + 1) // (all_n + 2), least), most)
    chances = {mode: 1.0}  # of each split, the likeliest being 1
    for step, last in ((1, most), (-1, least)):
        k, chance = mode, 1.0
        while k != last and (chance > _NEVER or (right - k) * step > 0):
            chance = chance * up(k) if step > 0 else chance / up(k - 1)
            k += step
            chances[k] = chance
    limit = chances[right] * (1 + 1e-7)  # what is as likely counts, however it was rounded
    return min(1.0, sum(chance for chance in chances.values() if chance <= limit) / sum(chances.values()))
