"""95 % intervals of one metric: which form is right for which kind of number."""

from __future__ import annotations

import math
from typing import NamedTuple

from runner.stats.quantiles import LEVEL, Z, t_quantile

_NO_ERROR = 3.0  # events that a Poisson count of 0 still allows at 95 %, the "rule of three" (Hanley 1983)

# Where one, two or three rows of many are of the rarer kind, Wilson's interval too often ends short of the truth: at a
# rate of 99.7 % and 50 rows it holds it in 84 % of runs. There its limit on the rare side is the Poisson one: half the
# 5 % quantile of chi² with two degrees of freedom a row, as in the modified Wilson interval of Brown, Cai and DasGupta
# 2001, Statistical Science 16:101-133, section 4.1.1. They take three such rows from n = 51 on, and two below; ours
# takes three from n = 50 on, and leaves smaller n as every calculator has them.
_FEW = {1: 0.05129329438755058, 2: 0.35536151069866195, 3: 0.8176914471639534}
_MANY = 50


class Interval(NamedTuple):
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference with this interval is told from none."""
        return self.low > 0 or self.high < 0


def of_rate(right: int, n: int) -> Interval:
    """Of `right` in `n` independent rows: Wilson's score interval, wider where few are wrong or few right. n > 0."""
    low, high = wilson(right / n, n, Z)
    if n >= _MANY:
        if right in _FEW:
            low = min(low, _FEW[right] / n)
        if n - right in _FEW:
            high = max(high, 1 - _FEW[n - right] / n)
    return Interval(low, high)


def wilson(p: float, n: float, z: float) -> Interval:
    """Wilson's score interval of a rate p seen in n trials, z standard errors wide; n need not be whole.

    Source: Newcombe 1998, Statistics in Medicine 17:857-872, method 3.
    """
    z2 = z * z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # At the ends one limit is the rate itself; rounding would leave it a hair beside.
    return Interval(0.0 if p == 0 else max(0.0, middle - half), 1.0 if p == 1 else min(1.0, middle + half))


def within_unit(
    m: float, se: float, clusters: int, *, at_most: int | None = None, freedom: int | None = None
) -> Interval:
    """Of a number that lies within 0 and 1, such as F1, a graded score or a clustered rate.

    Wilson's interval at the number of rows that would have given this standard error, with t for z, since the standard
    error is estimated from so few clusters. It stays within 0 and 1 and is not symmetric near the ends, where m ± t·se
    covers far too little. `at_most`: the rows of a right/wrong rate, which clusters can make worth less, never more;
    and those of an F1, whose standard error is too small by chance where a class has few rows.
    `freedom`: of the standard error, where it has less than its clusters give it.
    One cluster says nothing: all of 0 to 1.
    """
    if clusters < 2:
        return Interval(0.0, 1.0)
    effective = m * (1 - m) / (se * se) if se > 0 else float(clusters)
    if at_most is not None:
        effective = min(effective, at_most)
    if not effective > 0:  # m is 0 or 1 and its standard error is not, which no metric of ours gives
        effective = float(clusters)
    known = clusters - 1 if freedom is None else min(freedom, clusters - 1)
    return wilson(m, effective, t_quantile(LEVEL, known))


def of_ratio(ratio: float, se: float, clusters: int, denominator: float) -> Interval:
    """Of a positive ratio that has no upper end, such as a word error rate: symmetric on the log scale.

    `denominator`: the sum the errors are divided by. Without any error the limit is the rule of three.
    """
    if ratio == 0:
        return Interval(0.0, _NO_ERROR / denominator)
    if clusters < 2:
        return Interval(0.0, math.inf)
    spread = math.exp(t_quantile(LEVEL, clusters - 1) * se / ratio)
    return Interval(ratio / spread, ratio * spread)


def of_number(m: float, se: float, clusters: int) -> Interval:
    """Of any other number, and of any difference but that of two rates without clusters: m ± t·se."""
    if clusters < 2:
        return Interval(-math.inf, math.inf)
    half = t_quantile(LEVEL, clusters - 1) * se
    return Interval(m - half, m + half)
