"""What a batch on the remote says of itself is data: numbers of it may be anything."""

from __future__ import annotations

import pytest

from runner.plan.adoption import number


@pytest.mark.parametrize(
    ("text", "told"),
    [("3", 3), ("0", 0), ("", 7), ("-1", 7), ("²", 7), ("1e3", 7), ("9" * 20, 7), ("9" * 5000, 7)],
)
def test_a_number_in_a_label(text: str, told: int) -> None:
    assert number(text, 7) == told
