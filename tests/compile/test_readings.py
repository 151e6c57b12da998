"""What checks look at: the texts of rows and their answers, and what becomes of those that never end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from runner.compile.parse import parse
from runner.compile.readings import AnsweredRow, Reader, Reading
from runner.errors import DataError, Mark, SpecError
from runner.job.checks import Occurrence
from runner.job.source import Source

RUNAWAY = r"^(a+)+$"
NEVER = "a" * 40 + "!"


def source(text: str, what: str = "`text` of check `x`") -> Source:
    return Source(text, Mark("specs/a.yaml", 3), what)


def reading(text: str, *, takes_null: bool = False, extract: str = "", search: str = "", **more: Any) -> Reading:
    template = replace(parse(source(text)), takes_null=takes_null)
    patterns = {name: source(one, f"`{name}`") for name, one in (("extract", extract), ("search", search)) if one}
    return Reading(template, **patterns, **more)


def answered(name: str, row: dict[str, Any], *answer: Any) -> AnsweredRow:
    """With an answer, if there is one."""
    names = [json.dumps({"answer": one, "finish_reason": "stop", "usage": {"tokens": 3}}).encode() for one in answer]
    return AnsweredRow(name, json.dumps(row).encode(), names[0] if names else None)


def read(readings: Sequence[Reading], rows: Iterable[AnsweredRow]) -> tuple[list[list[str | None]], list[str]]:
    """The texts of each row, and what went wrong, in words."""
    reader = Reader(readings)
    done = []
    try:
        for row in rows:
            done += reader.push(row)
        done += reader.rest()
    finally:
        reader.close()
    texts = [list(of_row) for some in done for of_row in zip(*some.texts, strict=True)]
    return texts, [f"{failed.problem(some.rows[at])}" for some in done for at, failed in some.failures]


def text(asked: Reading, row: dict[str, Any], *answer: Any) -> str | None:
    texts, wrong = read([asked], [answered("r1", row, *answer)])
    assert not wrong
    return texts[0][0]


ROW = {"intent": "refund", "n": 3, "none": None, "answer": "the column's", "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("{{ intent }}", "refund"),
        ("{{ intent }} {{ n }}", "refund 3"),
        ("{{ answer }}", "Hello"),
        ("{{ intent }}: {{ answer }}", "refund: Hello"),
        ("{{ answer | upper }}", "HELLO"),
        ("{{ row.answer }}", "the column's"),
        ("{{ row['answer'] | upper }}", "THE COLUMN'S"),
        ("{{ finish_reason }}", "stop"),
        ("{{ usage.tokens }}", "3"),
        ("{{ tags }}", '["a", "b"]'),
        ("{{ none }}", None),
        ("{{ none | upper }}", None),
        ("{{ row.none }}", None),
        ("fixed", "fixed"),
    ],
)
def test_what_a_template_sees(asked: str, found: str | None) -> None:
    assert text(reading(asked), ROW, "Hello") == found


def test_a_column_is_the_rows_also_where_it_is_called_answer() -> None:
    columns = [Reading(column="answer"), reading("{{ answer }}"), Reading(column="tags"), Reading(column="nowhere")]
    texts, _ = read(columns, [answered("r1", ROW, "Hello")])
    assert texts == [["the column's", "Hello", '["a", "b"]', None]]


@pytest.mark.parametrize("asked", ["{{ answer }}", "{{ answer | upper }}", "{{ n }} {{ answer }}"])
def test_without_an_answer_there_is_nothing_to_read(asked: str) -> None:
    rows = [answered("r1", ROW, "a"), answered("r2", ROW), answered("r3", ROW, "c")]
    texts, wrong = read([reading(asked), reading("{{ row.answer }}")], rows)
    assert [of_row[0] is None for of_row in texts] == [False, True, False]
    assert [of_row[1] for of_row in texts] == ["the column's"] * 3
    assert not wrong


def test_null_is_none_where_it_is_taken() -> None:
    for asked in ("{{ none }}", "{{ none if true }}"):
        assert text(reading(asked, takes_null=True), ROW, "a") == "None"


def test_a_part_that_an_answer_lacks_may_miss_and_a_name_may_not() -> None:
    kind = reading("{{ answer.kind }}", may_miss=True)
    assert [text(kind, ROW, one) for one in ({"kind": "x"}, {}, "text", {"kind": None}, [], None)] == [
        "x",
        *[None] * 5,
    ]
    _, wrong = read([reading("{{ anwser.kind }}", may_miss=True)], [answered("r1", ROW, "a")])
    assert "uses `anwser`, which is not a column of this row" in wrong[0]
    _, wrong = read([reading("{{ answer.kind }}")], [answered("r1", ROW, {})])
    assert "r1" in wrong[0]
    assert "has no attribute 'kind'" in wrong[0]


def test_rows_that_fail_are_named_and_the_others_read() -> None:
    rows = [answered(f"r{n}", {"n": n, "d": n % 3}, "a") for n in range(1000)]
    texts, wrong = read([reading("{{ n // d }}"), reading("{{ n }}")], rows)
    assert len(wrong) == 334
    assert texts[4] == ["4", "4"]
    assert texts[3][0] is None


def test_a_column_that_only_some_rows_have() -> None:
    texts, wrong = read([reading("{{ x }}")], [answered("r1", {"x": 1}, "a"), answered("r2", {"y": 1}, "a")])
    assert texts == [["1"], [None]]
    assert "columns: `y`" in wrong[0]


@pytest.mark.parametrize(
    ("pattern", "occurrence", "found"),
    [(r"^Intent: (\w+)", "last", "b"), (r"^Intent: (\w+)", "first", "a"), (r"\w+: b", "only", "Intent: b")],
)
def test_patterns_take_a_part(pattern: str, occurrence: str, found: str) -> None:
    asked = reading("{{ answer }}", extract=pattern, occurrence=Occurrence(occurrence))
    assert text(asked, {}, "Intent: a\nso\nIntent: b") == found
    assert text(asked, {}, "nothing") is None
    assert text(asked, {}) is None


def test_what_is_searched_is_what_was_extracted() -> None:
    asked = reading("{{ answer }}", extract=r"<(.*)>", search=r"\d+")
    assert text(asked, {}, "1 <a 22>") == "22"
    assert text(asked, {}, "1 <a>") is None


@pytest.mark.parametrize("of", ["extract", "search"])
def test_a_pattern_and_an_answer_that_never_end_are_named(of: str) -> None:
    rows = [answered(f"r{n}", {}, NEVER if n == 700 else "aaa") for n in range(1000)]
    began = time.monotonic()
    with pytest.raises(DataError) as raised:
        read([reading("{{ answer | lower }}"), reading("{{ answer }}", **{of: RUNAWAY})], rows)
    assert time.monotonic() - began < 30
    assert f"`{of}` takes more than half a second of processor time for the row at `r700`" in raised.value.message


def test_what_does_not_compile_is_a_fault_of_the_spec() -> None:
    with pytest.raises(SpecError) as raised:
        read([reading("{{ answer }}", extract="(")], [answered("r1", {}, "a")])
    assert "unterminated subpattern" in raised.value.problems[0].message


def test_long_answers_go_through_whole() -> None:
    assert text(reading("{{ answer | upper }}"), {}, "a" * 3_000_000) == "A" * 3_000_000
