"""Nominal 95 % intervals hold the truth about as often as they say, also near the ends and with few clusters."""

from __future__ import annotations

import pytest

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
