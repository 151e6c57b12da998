"""Quantiles and tails of the normal and of Student's t."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

LEVEL = 0.975  # two-sided 95 %

_STEPS = 500  # of a continued fraction: a few dozen are used, a few hundred with a million degrees of freedom
_TINY = 1e-300
_EXACT = 1e-15


def normal_quantile(p: float) -> float:
    """z such that a standard normal lies below it with probability p, 0 < p < 1."""
    return NormalDist().inv_cdf(p)


Z = normal_quantile(LEVEL)


def normal_two_sided(z: float) -> float:
    """The chance of a standard normal at least as far from 0 as z."""
    return math.erfc(abs(z) / math.sqrt(2))


@lru_cache(maxsize=256)
def t_quantile(p: float, df: int) -> float:
    """t such that Student's t with `df` degrees of freedom lies below it with probability p, 0.5 < p < 1.

    Newton from the normal quantile, kept within a bracket: tails of few degrees of freedom are too long for it alone.
    """
    low, high = 0.0, 1.0
    while _t_tail(high, df) > 1 - p:
        low, high = high, high * 2
    t = min(max(normal_quantile(p), low), high)
    for _ in range(200):
        too_far = (1 - p) - _t_tail(t, df)
        low, high = (t, high) if too_far < 0 else (low, t)
        moved = t - too_far / _t_density(t, df)
        if not low < moved < high:
            moved = (low + high) / 2
        if abs(moved - t) <= _EXACT * t:
            break
        t = moved
    return t


def t_two_sided(t: float, df: int) -> float:
    """The chance of a t with `df` degrees of freedom at least as far from 0."""
    square = t * t
    return _beta(df / (df + square), square / (df + square), df / 2, 0.5)


def _t_tail(t: float, df: int) -> float:
    return t_two_sided(t, df) / 2


def _t_density(t: float, df: int) -> float:
    log_scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(df * math.pi) / 2
    return math.exp(log_scale - (df + 1) / 2 * math.log1p(t * t / df))


def regularized_beta(x: float, a: float, b: float) -> float:
    """The incomplete beta function I_x(a, b), for 0 <= x <= 1 and positive a and b."""
    return _beta(x, 1 - x, a, b)


def _beta(x: float, rest: float, a: float, b: float) -> float:
    """The same, with 1 - x as a number of its own: near 1 it has digits that x has lost.

    Lentz's way through its continued fraction, on the side of the mean where that is short
    (Press et al., Numerical Recipes, 3rd edition, 6.4).
    """
    if x <= 0 or rest <= 0:
        return float(rest <= 0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(rest, x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    c, d = 1.0, 1 / _apart(1 - (a + b) * x / (a + 1))
    fraction = d
    for step in range(1, _STEPS):
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        for part in (even, odd):
            d = 1 / _apart(1 + part * d)
            c = _apart(1 + part / c)
            fraction *= c * d
        if abs(c * d - 1) < _EXACT:
            break
    return math.exp(log_front) * fraction / a


def _apart(value: float) -> float:
    """Away from zero, by which Lentz divides."""
    return value if abs(value) > _TINY else _TINY
