"""What a batch on the remote says of itself is data: numbers of it may be anything."""

from __future__ import annotations

import pytest

from runner.apply.recover import _number


@pytest.mark.parametrize(
    ("text", "number"),
    [("3", 3), ("0", 0), (None, 7), ("", 7), ("-1", 7), ("²", 7), ("1e3", 7), ("9" * 20, 7), ("9" * 5000, 7)],
)
def test_a_number_in_a_stamp(text: str | None, number: int) -> None:
    assert _number(text, 7) == number
