"""The reading rules by example (`check_cases.json`), and what no rule may break."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.checks.choice import Classes
from runner.checks.number import number_in
from runner.checks.text import normal
from runner.compile.extract import extracted
from runner.job.checks import Ignore, Occurrence

CASES = json.loads(Path(__file__).with_name("check_cases.json").read_text())


def named(case: dict[str, Any]) -> str:
    return repr(case.get("text", ""))[:40]


@pytest.mark.parametrize("case", CASES["number"], ids=named)
def test_a_number_is_read(case: dict[str, Any]) -> None:
    expected = None if case["reads"] is None else Decimal(case["reads"])
    assert number_in(case["text"]) == expected


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("E0", None),  # digits behind letters, not a power without its number
        ("2026-11-29", None),
        ("GPT-4", None),
        ("No.5", None),
        ("1,5", None),
        ("1,234,56", None),
        ("1.234,56", None),
        ("1 000", None),
        ("from 1 000 000 people", None),
        ("v2", None),
        ("x^2", None),
        ("3½", None),
        ("--5", None),
        ("5x10", None),
        ("https://example.org/5", None),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("+7", "7"),
        ("answer:42", "42"),
        ("x=5", "5"),
        (r"$\boxed{42}$", "42"),
        ("3\u201312", "12"),
        ("5th", "5"),
        ("60 km/h", "60"),
        ("21°C", "21"),
        ("**42**", "42"),
        ("1.5e3", "1500"),
        ("2,000,000", "2000000"),
        ("4 mm and 120 mm", "120"),
        ("", None),
    ],
)
def test_what_can_be_read_in_two_ways_is_not(text: str, reads: str | None) -> None:
    assert number_in(text) == (None if reads is None else Decimal(reads))


@pytest.mark.parametrize("case", CASES["choice"], ids=named)
def test_a_class_is_read(case: dict[str, Any]) -> None:
    classes = Classes(case["classes"], [Ignore.CASE, Ignore.SPACE])
    assert classes.named_in(case["text"]) == case["reads"]


@pytest.mark.parametrize("case", CASES["normal"], ids=named)
def test_what_is_ignored_is_taken_away(case: dict[str, Any]) -> None:
    assert normal(case["text"], [Ignore(one) for one in case["ignore"]]) == case["becomes"]


@pytest.mark.parametrize("case", CASES["extract"], ids=named)
def test_a_pattern_takes_its_part(case: dict[str, Any]) -> None:
    pattern = re.compile(case["pattern"], re.MULTILINE)
    assert extracted(pattern, case["text"], Occurrence.LAST) == case["takes"]


def test_which_match_is_taken() -> None:
    pattern = re.compile(r"\d+")
    assert extracted(pattern, "1 2 3", Occurrence.FIRST) == "1"
    assert extracted(pattern, "1 2 3", Occurrence.ONLY) is None
    assert extracted(pattern, "only 1", Occurrence.ONLY) == "1"
    assert extracted(re.compile(r"a(b)?"), "a", Occurrence.LAST) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=4))
def test_every_decimal_is_read_as_it_is_written(value: Decimal) -> None:
    assert number_in(f"The answer is {value:f}.") == value
    assert number_in(f"It is {value:,f}") == value


@given(st.text())
def test_any_text_is_read_or_not(text: str) -> None:
    number_in(text)
    Classes(["A", text], [Ignore.CASE, Ignore.SPACE]).named_in(text)


@given(st.text(), st.sets(st.sampled_from(Ignore)))
def test_nothing_more_is_ignored_the_second_time(text: str, ignore: set[Ignore]) -> None:
    once = normal(text, ignore - {Ignore.MARKDOWN})
    assert normal(once, ignore & {Ignore.CASE, Ignore.SPACE, Ignore.PUNCTUATION}) in {once, normal(once, ignore)}
    assert once == once.strip()


@given(st.sampled_from(["*", "_", "`", "[", "](", "#", "1", "1,", "'", ".", "-", "a ", "e"]), st.integers(1, 20_000))
def test_a_long_answer_costs_no_square_of_its_length(part: str, number: int) -> None:
    normal(part * number, list(Ignore))
    number_in(part * number)
