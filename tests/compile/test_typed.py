"""Templates that are one expression keep the type of its value, here and in the rendering process."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.compile.parse import parse
from runner.compile.stream import Rendering, RowFailure
from runner.data.rows import SourceRow
from runner.errors import Mark
from runner.job.source import Form, Source

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def come_to(text: str, rows: list[dict[str, Any]], form: Form = Form.VALUE) -> list[Any]:
    """What each row gives, decoded; or why it gives nothing."""
    rendering = Rendering([parse(Source(text, Mark("s.yaml", 3), "`t`", form))])
    found = rendering.stream(SourceRow(row, "a.jsonl", n + 1, n) for n, row in enumerate(rows))
    return [one.problem(row).message if isinstance(one, RowFailure) else json.loads(one[0]) for row, one in found]


def typed(found: list[Any]) -> list[tuple[type, Any]]:
    return [(type(one), one) for one in found]


@given(st.lists(JSON, min_size=1, max_size=4))
def test_a_name_keeps_its_type(values: list[Any]) -> None:
    assert typed(come_to("{{ n }}", [{"n": value} for value in values])) == typed(values)


def test_an_expression_keeps_it_as_well() -> None:
    values: list[Any] = [1, 1.5, True, None, "1", "", [1, {"a": None}], {"b": [2**70]}, "é\u2028"]
    rows = [{"n": value} for value in values]
    assert typed(come_to("{{ row.n }}", rows)) == typed(come_to("{{ n }}", rows)) == typed(values)
    assert typed(come_to("{{ n | int + 1 }}", [{"n": "3"}, {"n": 4.5}])) == typed([4, 5])
    assert come_to("{{ {'a': n, 'b': [n, none]} }}", [{"n": 1}]) == [{"a": 1, "b": [1, None]}]
    assert come_to("{{ n | default('x') }}", [{"n": None}, {}]) == ["x", "x"]


def test_what_is_no_json_says_so_at_its_row() -> None:
    undefined, method, missing = (
        come_to("{{ row.m }}", [{"n": 1}]),
        come_to("{{ row.n.items }}", [{"n": {}}]),
        come_to("{{ n }}", [{}]),
    )
    assert undefined == ["`t` (s.yaml:3) fails: 'dict object' has no attribute 'm'"]
    assert method == ["`t` (s.yaml:3) fails: a value of type Method is not JSON"]
    assert missing == ["`t` (s.yaml:3) uses `n`, which is not a column of this row"]
    assert come_to("{{ n * 1e308 }}", [{"n": 1e10}]) == [
        "`t` (s.yaml:3) fails: a number in it is NaN or infinite, which cannot be sent"
    ]


@pytest.mark.parametrize("value", [[{"role": "user"}], '[{"role": "user"}]', ' [ {"role":"user"} ]\n'])
def test_a_column_may_hold_json_as_text(value: Any) -> None:
    assert come_to("history", [{"history": value}], Form.COLUMN) == [[{"role": "user"}]]


def test_text_of_a_column_that_is_no_json_says_so() -> None:
    (found,) = come_to("history", [{"history": "[1,"}], Form.COLUMN)
    assert found.startswith("`t` (s.yaml:3) fails: `history`: its text is not JSON (")
    assert come_to("history", [{"history": None}], Form.COLUMN) == ["`t` (s.yaml:3) fails: `history`: it is null"]
