"""Values picked out of answers: what stands where a path leads, and what is null."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.job.outcomes import Outcome, as_judged, entries, invalid, pack, paid, unanswered
from runner.job.packed import Sorter
from runner.job.project import Pick
from runner.results import kinds
from runner.results.picked import NotThere, Picked, column_of
from runner.results.splice import Merged
from runner.spec.columns import path_in


def line(answer: Any) -> Merged:
    said = answer if isinstance(answer, bytes) else json.dumps(answer, separators=(",", ":")).encode()
    return Merged("r", b"{}", said, b"null", b"null", "b", "0" * 64, "o")


def pick(source: str, type_: str = "", name: str = "x") -> Pick:
    path = path_in(source)
    assert path is not None
    return Pick(name, path, source, type_)


def picked(source: str, answer: Any, type_: str = "") -> Any:
    [value] = Picked([pick(source, type_)], None).value(line(answer))
    return json.loads(value)


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("answer", ()),
        ("answer.city", ("city",)),
        ("answer.a_b-c[0][12].d", ("a_b-c", 0, 12, "d")),
        ('answer["a b"]["\\u00e9\\""]', ("a b", 'é"')),
        ("answer.größe", ("größe",)),
        ("row.city", None),
        ("answers.city", None),
        ("answer.", None),
        ("answer[01]", None),
        ("answer[-1]", None),
        ("answer.a b", None),
        ('answer["a]', None),
    ],
)
def test_paths(source: str, path: tuple[str | int, ...] | None) -> None:
    assert path_in(source) == path


@pytest.mark.parametrize(
    ("source", "answer", "type_", "value"),
    [
        ("answer.a", {"a": 1}, "", 1),
        ("answer.a", {"a": {"b": [1, 2]}}, "", {"b": [1, 2]}),
        ("answer.a.b[1]", {"a": {"b": [1, 2]}}, "", 2),
        ("answer.a.b[2]", {"a": {"b": [1, 2]}}, "", None),
        ("answer.a", [1], "", None),
        ("answer[0]", {"0": 1}, "", None),
        ("answer[0]", [[1]], "array", [1]),
        ("answer", "text", "string", "text"),
        ("answer.a", '{"a": 3}', "integer", 3),  # JSON in a text, of a job that asks for no JSON
        ("answer.a", "no JSON", "", None),
        ("answer.a", {"a": 3.0}, "integer", 3.0),
        ("answer.a", {"a": 3.5}, "integer", None),
        ("answer.a", {"a": True}, "integer", None),
        ("answer.a", {"a": 2**70}, "integer", None),
        ("answer.a", {"a": 2**70}, "number", 2**70),
        ("answer.a", {"a": "3"}, "number", None),
        ("answer.a", {"a": False}, "boolean", False),
        ("answer.a", {"a": 0}, "boolean", None),
        ("answer.a", {"a": {}}, "object", {}),
        ("answer.a", {"a": []}, "object", None),
        ("answer.a", {"a": None}, "integer", None),
        ("answer.a", b'{"a": 1, "a": 2}', "", 2),
        ("answer.a", b"[" * 5000, "", None),
    ],
)
def test_what_stands_there(source: str, answer: Any, type_: str, value: Any) -> None:
    assert picked(source, answer, type_) == value


def test_what_is_not_there_is_counted_once_an_answer() -> None:
    step = Picked([pick("answer.a", "integer", "a"), pick("answer.a.b", name="b")], None)
    for answer in ({"a": 1}, {"a": "x"}, {"a": None}, {}, {"a": {"b": 2}}):
        step.value(line(answer))
    step.value(line(None))  # no answer at all
    assert step.summary() == "`a` is missing in 1 answer and of another type in 2 answers; `b` is missing in 4 answers"


def test_types_are_those_of_the_schema() -> None:
    answer = kinds.record_of(n=kinds.WHOLE, xs=kinds.list_of(kinds.record_of(t=kinds.TEXT)), any=kinds.JSON)
    assert column_of(pick("answer.n"), answer).kind == kinds.WHOLE
    assert column_of(pick("answer.n", "number"), answer).kind == kinds.NUMBER
    assert column_of(pick("answer.xs"), answer).kind == answer.fields["xs"]
    assert column_of(pick("answer.xs[3].t"), answer).kind == kinds.TEXT
    assert column_of(pick("answer.any.what[0]", "boolean"), answer).kind == kinds.FLAG
    assert column_of(pick("answer.other", "string"), answer).kind == kinds.TEXT
    for source, type_ in (("answer.other", ""), ("answer.n.x", ""), ("answer.xs.t", ""), ("answer.n", "string")):
        with pytest.raises(NotThere):
            column_of(pick(source, type_), answer)


@given(st.dictionaries(st.binary(min_size=16, max_size=16), st.booleans(), max_size=40))
def test_an_index_is_judged_in_place(rows: dict[bytes, bool]) -> None:
    sorter, bad = Sorter(24), Sorter()
    for number, (key, is_bad) in enumerate(rows.items()):
        sorter.add(pack(key, Outcome.OK, number % 7, number))
        if is_bad:
            bad.add(key)
    index, keys = sorter.sorted(), bad.sorted()
    judged = as_judged(index, keys, Outcome.INVALID)
    assert invalid(judged) == keys and paid(judged) == paid(index) and not unanswered(judged)
    assert [one._replace(outcome=Outcome.OK) for one in entries(judged)] == entries(index)
