"""Amounts in words: three digits that count, and what is at most is never more than is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.plan.change import at_most_usd, usd_of


@pytest.mark.parametrize(
    ("amount", "told"),
    [(0, "$0.00"), (10, "$10.00"), (0.1, "$0.10"), (0.05, "$0.05"), (0.001398, "$0.0014"), (0.018649, "$0.0186")],
)
def test_amounts(amount: float, told: str) -> None:
    assert usd_of(amount) == told


@given(st.floats(0.000001, 1000))
def test_at_most_is_not_less_than_it_is_and_hardly_more(amount: float) -> None:
    told = float(at_most_usd(amount).lstrip("$"))
    assert amount * (1 - 1e-5) - 1e-12 <= told <= amount * 1.11 + 1e-6
