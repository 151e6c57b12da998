"""A line of a file in an error: cut where the terminal ends, never broken, and its caret stays below the word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cli.main import excerpt

LINE = (
    "    26 |     user: What is the capital of {{ contry }}?   # columns are names; one that no column has is an error"
)
CARET = "       | " + " " * 36 + "^"


def test_the_part_around_the_caret_is_shown() -> None:
    assert excerpt(LINE, CARET, None) == excerpt(LINE, CARET, 120) == [LINE, CARET]
    assert excerpt(LINE, CARET, 80) == [LINE[:79] + "…", CARET]
    narrow, below = excerpt(LINE, CARET, 40)
    assert narrow[below.index("^") :].startswith("contry") and narrow.startswith("    26 | …")


@given(before=st.text("abc ", max_size=300), after=st.text("abc ", max_size=300), columns=st.integers(30, 130))
@pytest.mark.parametrize("number", ["     7 | ", "123456 | "])
def test_it_fits_and_the_caret_points_at_the_same_word(number: str, before: str, after: str, columns: int) -> None:
    line, caret = f"{number}{before}X{after}", f"{' ' * (len(number) - 2)}| {' ' * len(before)}^"
    shown, below = excerpt(line, caret, columns)
    assert len(shown) <= columns and len(below) <= columns
    assert shown[below.index("^")] == "X"
