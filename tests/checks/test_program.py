"""Every kind of check over rows as they come: what is read of them, and what becomes of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest

from runner.checks.program import Program, digest_of
from runner.checks.score import Scored
from runner.compile.readings import AnsweredRow, Reader
from runner.errors import Mark
from runner.job.checks import ANSWER, Check, Ignore, Kind, Lacking, Normalize, Reference, Within
from runner.job.expect import Expectation, bound
from runner.job.project import Evals
from runner.job.source import Source

NONE = object()  # no answer


def source(text: str) -> Source:
    return Source(text, Mark("specs/a.yaml", 3), "a template")


def check(kind: Kind, value: str = "", *, text: str = ANSWER, column: str = "", name: str = "x", **more: Any) -> Check:
    """value: a reference, of regex a pattern, of expression and measure the template."""
    if kind is Kind.REGEX:
        more["pattern"] = source(value)
    elif kind in (Kind.EXPRESSION, Kind.MEASURE):
        text = value
    elif kind is not Kind.JSON:
        more["reference"] = Reference(column=column) if column else Reference((source(value),))
    for key in ("extract", "where"):
        if key in more:
            more[key] = source(more[key])
    return Check(name=name, kind=kind, text=source(text), **more)


def row_of(columns: Mapping[str, Any], answer: Any) -> AnsweredRow:
    names = {"answer": answer, "finish_reason": "stop", "usage": {"completion_tokens": 2}}
    return AnsweredRow("r", json.dumps(columns).encode(), None if answer is NONE else json.dumps(names).encode())


def scored(one: Check, rows: list[tuple[Mapping[str, Any], Any]], classes: tuple[str, ...] = ()) -> Iterator[Scored]:
    program = Program(Evals((one,)), {one.name: classes})
    reader = Reader(program.readings, needs_values=program.needs_values)
    try:
        done = [*(read for row in rows for read in reader.push(row_of(*row))), *reader.rest()]
    finally:
        reader.close()
    for read in done:
        found, problems = program.scored(read)
        assert not problems
        assert not read.failures
        yield from found[one.name]


T = "{{ truth }}"
CASES: list[tuple[Check, Mapping[str, Any], Any, str]] = [
    (check(Kind.EQUALS, T), {"truth": "a"}, " a ", "right"),
    (check(Kind.EQUALS, T), {"truth": "a"}, "A", "wrong"),
    (check(Kind.EQUALS, T, ignore=(Ignore.CASE,)), {"truth": "a"}, "A", "right"),
    (check(Kind.EQUALS, T, is_negated=True), {"truth": "a"}, "b", "right"),
    (check(Kind.EQUALS, T), {"truth": 3}, "3", "right"),
    (check(Kind.EQUALS, T), {"truth": "  "}, "3", "no_reference"),
    (check(Kind.EQUALS, T, empty_counts=True), {"truth": ""}, "", "right"),
    (check(Kind.EQUALS, T), {"truth": "a"}, NONE, "unanswered"),
    (check(Kind.EQUALS, T), {"truth": None}, NONE, "no_reference"),
    (check(Kind.EQUALS, T), {"truth": "a"}, None, "unreadable"),
    (check(Kind.EQUALS, column="truth"), {"truth": ["a", "b"]}, "b", "right"),
    (check(Kind.EQUALS, column="truth"), {"truth": {"n": [1, 2.0]}}, {"n": [1.0, 2]}, "right"),
    (check(Kind.EQUALS, column="truth"), {"truth": {"n": 1}}, {"n": True}, "wrong"),
    (check(Kind.EQUALS, column="truth"), {"truth": [1, 2]}, [1, 2], "right"),
    (check(Kind.EQUALS, column="truth"), {"truth": [1, 2]}, 2, "right"),
    (check(Kind.EQUALS, column="truth"), {"truth": "42"}, 42, "right"),
    (check(Kind.EQUALS, column="answer"), {"answer": "the column's"}, "the column's", "right"),
    (check(Kind.CONTAINS, T), {"truth": "b"}, "abc", "right"),
    (check(Kind.CONTAINS, T, whole_words=True), {"truth": "b"}, "abc", "wrong"),
    (check(Kind.CONTAINS, column="truth", every=True), {"truth": ["a", "z"]}, "abc", "wrong"),
    (check(Kind.CONTAINS, column="truth"), {"truth": ["a", "z"]}, "abc", "right"),
    (check(Kind.REGEX, r"^b$"), {}, "a\nb\nc", "right"),
    (check(Kind.REGEX, r"^$"), {}, "", "right"),  # what is found may be empty
    (check(Kind.REGEX, r"^b"), {}, "ab", "wrong"),
    (check(Kind.REGEX, r"\d", extract=r"<(.*)>"), {}, "1 <a>", "wrong"),
    (check(Kind.REGEX, r"\d", extract=r"<(.*)>"), {}, "1", "unreadable"),
    (check(Kind.REGEX, r"\d", is_negated=True), {}, "a", "right"),
    (check(Kind.REGEX, r"\d"), {}, NONE, "unanswered"),
    (check(Kind.NUMBER, T), {"truth": 42}, "It is 42.0", "right"),
    (check(Kind.NUMBER, T, within=Within(Decimal("0.01"), True)), {"truth": "100"}, "101", "right"),
    (check(Kind.NUMBER, T), {"truth": 42}, "12:30", "unreadable"),
    (check(Kind.NUMBER, T, extract=r"= (.*)"), {"truth": 4}, "2 + 2 = 4", "right"),
    (check(Kind.CHOICE, T, ignore=(Ignore.CASE,)), {"truth": "A"}, "I say a", "right"),
    (check(Kind.CHOICE, T), {"truth": "A"}, "A or B", "unreadable"),
    (check(Kind.CHOICE, T, text="{{ answer.kind }}"), {"truth": "A"}, {"kind": "B"}, "wrong"),
    (check(Kind.CHOICE, T, text="{{ answer.kind }}"), {"truth": "A"}, "no JSON", "unreadable"),
    (check(Kind.JSON), {}, '{"a": 1}', "right"),
    (check(Kind.JSON), {}, {"a": 1}, "right"),
    (check(Kind.JSON), {}, "so", "wrong"),
    (check(Kind.JSON, schema={"type": "object", "required": ["a"]}), {}, '{"b": 1}', "wrong"),
    (check(Kind.JSON, schema={"type": "object", "required": ["a"]}), {}, '{"a": 1}', "right"),
    (check(Kind.WER, T), {"truth": "one two three"}, "One, two four", "measured"),
    (check(Kind.WER, T, normalize=Normalize.NONE), {"truth": "one"}, NONE, "unanswered"),
    (check(Kind.CER, T), {"truth": "abc"}, "abd", "measured"),
    (check(Kind.EXPRESSION, "{{ answer | wordcount < 3 }}"), {}, "a b", "right"),
    (check(Kind.EXPRESSION, "{{ answer.n > 1 }}"), {}, {"n": 1}, "wrong"),
    (check(Kind.EXPRESSION, "{{ answer.n > 1 }}"), {}, "none", "unreadable"),
    (check(Kind.EXPRESSION, "{{ answer | length < 3 }}"), {}, None, "unreadable"),
    (check(Kind.EXPRESSION, "{{ answer }}"), {}, None, "unreadable"),
    (check(Kind.EXPRESSION, "{{ answer }}"), {}, False, "wrong"),
    (check(Kind.MEASURE, "{{ answer | length }}"), {}, None, "unreadable"),
    (check(Kind.REGEX, "a"), {}, None, "unreadable"),
    (check(Kind.EQUALS, T, where="{{ answer | length > 1 }}"), {"truth": "a"}, None, "unreadable"),
    (check(Kind.EXPRESSION, "{{ finish_reason == 'stop' }}"), {}, None, "right"),
    (check(Kind.EXPRESSION, "{{ usage.completion_tokens > 2 }}"), {}, "a", "wrong"),
    (check(Kind.MEASURE, "{{ answer | length }}"), {}, "abc", "measured"),
    (check(Kind.MEASURE, "{{ answer }}"), {}, "many", "unreadable"),
    (check(Kind.EQUALS, T, where="{{ lang == 'de' }}"), {"truth": "a", "lang": "en"}, "a", "skipped"),
    (check(Kind.EQUALS, T, where="{{ lang == 'de' }}"), {"truth": "a", "lang": "en"}, NONE, "skipped"),
    (check(Kind.EQUALS, T, where="{{ answer | length > 1 }}"), {"truth": "a"}, "a", "skipped"),
    (check(Kind.EQUALS, T, where="{{ answer | length > 1 }}"), {"truth": "a"}, NONE, "unanswered"),
]


@pytest.mark.parametrize(("one", "columns", "answer", "status"), CASES)
def test_each_kind(one: Check, columns: Mapping[str, Any], answer: Any, status: str) -> None:
    (found,) = scored(one, [(columns, answer)], ("A", "B"))
    assert found.status == status


@pytest.mark.parametrize("one", {case[0].kind: case[0] for case in CASES}.values(), ids=lambda one: one.kind)
def test_a_row_ends_the_same_among_others_and_alone(one: Check) -> None:
    """Rows that are all answered take a short way; one that is not sends the others of its chunk a longer one."""
    truths = {Kind.NUMBER: "42", Kind.CHOICE: "A"}
    columns = {"truth": truths.get(one.kind, "one two"), "answer": "x"}
    rows: list[tuple[Mapping[str, Any], Any]] = [(columns, said) for said in ("A", "42", "one two", "", "A B")]
    usual = list(scored(one, rows, ("A", "B")))
    longer = list(scored(one, [*rows, (columns, NONE), (columns, None)], ("A", "B")))
    assert longer[: len(rows)] == usual


def test_what_is_missing_brings_all_of_its_words() -> None:
    (found,) = scored(check(Kind.WER, T), [({"truth": "one two three"}, NONE)])
    assert (found.over, found.under) == (3, 3)


def test_the_digest_goes_by_what_is_counted_and_expected_and_not_by_where_it_stands() -> None:
    plain = check(Kind.EQUALS, T)
    moved = check(Kind.EQUALS, T, mark=Mark("specs/b.yaml", 9))
    expect = Expectation(metric="x", check="x", bound=bound(">= 0.5"))
    others = [
        Evals((check(Kind.EQUALS, "{{ other }}"),)),
        Evals((check(Kind.EQUALS, T, unanswered=Lacking.EXCLUDED),)),  # said, and not only so
        Evals((check(Kind.EQUALS, T, name="y"),)),
        Evals((plain,), expect=(expect,)),
    ]
    assert digest_of(Evals((plain,))) == digest_of(Evals((moved,)))
    assert len({digest_of(one) for one in [Evals((plain,)), *others]}) == 5
