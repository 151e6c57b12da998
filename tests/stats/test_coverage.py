"""Nominal 95 % intervals hold the truth about as often as they say, also near the ends and with few clusters."""

from __future__ import annotations

import math

import pytest

from runner.stats import intervals
from tests.stats.coverage import CASES, Case, coverage


@pytest.mark.sweep
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_intervals_hold_the_truth(case: Case) -> None:
    ours, _ = coverage(case, 4000)
    assert ours >= case.least


@pytest.mark.parametrize("case", [CASES[0], CASES[3], CASES[7]], ids=lambda case: str(case.name))
def test_a_sample_of_them(case: Case) -> None:
    ours, _ = coverage(case, 300)
    assert ours >= case.least - 0.04


@pytest.mark.parametrize("n", [50, 100, 200])
def test_a_rate_near_its_end_is_held_at_every_truth(n: int) -> None:
    """Exactly, by the chance of each count: Wilson's own interval falls to 84 % here, as near 1 as one error allows."""
    found = [intervals.of_rate(right, n) for right in range(n + 1)]
    for truth in (0.9 + step / 10_000 for step in range(1000)):
        held = (right for right in range(n + 1) if found[right].low <= truth <= found[right].high)
        assert sum(math.comb(n, k) * truth**k * (1 - truth) ** (n - k) for k in held) > 0.925
