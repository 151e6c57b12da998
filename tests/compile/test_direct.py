"""What templates are as functions gives what Jinja2 makes of them, wherever it gives anything."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.compile.direct import direct_of
from runner.compile.frames import Chunk, RenderFailure, Setup
from runner.compile.renderer import Renderer, names_of, rendered
from runner.compile.sandbox import Sandbox

LONGEST = 400
SANDBOXES = (Sandbox(), Sandbox(takes_null=True), Sandbox(gives_json=True))
NAMES = ("a", "b", "n", "tags", "obj", "absent", "items", "row", "loop", "range", "self", "x", "y")

TEXT = st.text(st.sampled_from("aB é_-'\"<&\n7{}%"), max_size=8)
NUMBER = st.integers(-5, 40) | st.just(2**70) | st.sampled_from((0.5, -1.0, 1e300))
LEAF = TEXT | NUMBER | st.booleans() | st.none()
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
ROW = st.fixed_dictionaries(
    {"a": TEXT, "n": NUMBER, "tags": st.lists(TEXT | NUMBER, max_size=4)},
    optional=dict.fromkeys(("b", "obj", "items", "row", "range", "loop", "self", "x"), VALUE),
)

NAME = st.sampled_from(NAMES)
CONSTANT = st.sampled_from(("1", "0", "2.5", "'é'", "''", "'a-b'", "true", "none", "[1, 'b']", "(1, 2)", "{'k': 1}"))
FILTER = st.sampled_from((
    "upper", "lower", "trim", "title", "capitalize", "length", "join", "join(', ')", "default('z')", "d(1, true)",
    "tojson", "round", "int", "float", "abs", "first", "last", "replace('a', 'bb')", "truncate(5)", "sort", "unique",
    "list", "sum", "min", "max", "reverse", "batch(2)", "string", "indent(2)", "fenced", "striptags", "urlencode",
    "wordcount", "map('upper')", "select('odd')", "reject('none')", "map(attribute='x')", "selectattr('x')",
    "groupby('x')", "dictsort", "items", "slice(2)", "sort(reverse=true)", "join('-', attribute='x')", "count",
    "trim('a')", "string | upper",
))  # fmt: skip
TEST = st.sampled_from((
    "defined", "undefined", "none", "odd", "even", "string", "number", "mapping", "sequence", "iterable",
    "divisibleby(3)", "in([1, 'a'])", "eq(1)", "true", "upper", "boolean",
))  # fmt: skip
METHOD = st.sampled_from((
    "upper()", "strip()", "split('-')", "startswith('a')", "get('x')", "get('x', 3)", "items()", "keys()", "index(1)",
    "count('a')", "is_integer()", "format(1)", "x()", "replace('a', 'b')", "upper", "items", "join(tags)",
))  # fmt: skip
LOOP = st.sampled_from((
    "loop.index", "loop.index0", "loop.first", "loop.last", "loop.length", "loop.revindex", "loop.revindex0",
    "loop.cycle('a', 'b')", "loop.previtem", "loop.depth", "loop.changed(x)", "loop",
))  # fmt: skip


def _more(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{} | {}".format, inner, FILTER),
        st.builds("({} is {})".format, inner, TEST),
        st.builds("({} is not {})".format, inner, TEST),
        st.builds("{}.{}".format, st.one_of(NAME, inner.map("({})".format)), st.one_of(NAME, METHOD)),
        st.builds("{}[{}]".format, NAME, inner),
        st.builds("{}[{}]".format, NAME, st.sampled_from(("0", "-1", "'x'", "1:", ":2", "::-1", "1:n", "n"))),
        st.builds(
            "({} {} {})".format, inner,
            st.sampled_from(("+", "-", "*", "/", "//", "%", "**", "~", "and", "or", "==", "<", ">=", "in", "not in")),
            inner,
        ),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("({} if {})".format, inner, inner),
        st.builds("(not {})".format, inner),
        st.builds("(-{})".format, inner),
    )  # fmt: skip


EXPRESSION = st.recursive(NAME | CONSTANT | LOOP, _more, max_leaves=5)
ITERATED = EXPRESSION | st.just("tags") | st.sampled_from(("range(3)", "range(1, n)", "obj.items()", "obj", "a"))


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("{{% if {} %}}{}{{% endif %}}".format, EXPRESSION, inner),
        st.builds(
            "{{% if {} %}}{}{{% elif {} %}}-{{% else %}}{}{{% endif %}}".format, EXPRESSION, inner, EXPRESSION, inner
        ),
        st.builds("{{% for x in {} %}}{}{{% endfor %}}".format, ITERATED, inner),
        st.builds("{{% for x in {} %}}{}{{% else %}}{}{{% endfor %}}".format, ITERATED, inner, inner),
        st.builds("{{% for x in {} if {} %}}{}{{% endfor %}}".format, ITERATED, EXPRESSION, inner),
        st.builds("{{% for x, y in {} %}}{}{{% endfor %}}".format, ITERATED, inner),
        st.builds("{{% set y = {} %}}{}".format, EXPRESSION, inner),
    )  # fmt: skip


PIECE = st.builds("{{{{ {} }}}}".format, EXPRESSION) | TEXT.map(lambda text: text.replace("{", "").replace("}", ""))
TEMPLATE = st.recursive(PIECE, _nested, max_leaves=5)


def plain(sandbox: Sandbox, text: str, row: dict[str, Any]) -> str | None:
    """What Jinja2 makes of it; None where that is an error."""
    try:
        return rendered(sandbox.from_string(text), names_of(row), LONGEST)
    except Exception:
        return None


@settings(max_examples=700)
@given(text=TEMPLATE, rows=st.lists(ROW, min_size=1, max_size=3), sandbox=st.sampled_from(SANDBOXES))
def test_a_function_gives_what_the_template_gives_or_nothing(
    text: str, rows: list[dict[str, Any]], sandbox: Sandbox
) -> None:
    try:
        sandbox.from_string(text)
    except Exception:  # no template
        return
    direct = direct_of(sandbox, text, LONGEST)
    for row in rows if direct is not None else ():
        assert direct is not None
        try:
            found = direct(row)
        except Exception:
            continue
        assert found == plain(sandbox, text, row)


@settings(max_examples=150)
@given(texts=st.lists(TEMPLATE, min_size=1, max_size=3), rows=st.lists(ROW, min_size=1, max_size=4),
       where=st.booleans())  # fmt: skip
def test_chunks_are_those_of_the_templates(texts: list[str], rows: list[dict[str, Any]], where: bool) -> None:
    renderer = Renderer()
    if renderer.setup(Setup(texts, 0 if where else -1, LONGEST)).failure is not None:
        return
    found = renderer.chunk(Chunk(rows)).results
    assert found == [renderer._row(row) for row in rows]


TYPICAL = (
    "{% if n % 2 %}Odd{% elif n == 4 %}Four{% else %}Even{% endif %} {{ a | upper | trim }}",
    "{% for t in tags %}{{ loop.index }}. {{ t }}{% if not loop.last %}, {% endif %}{% else %}none{% endfor %}",
    "{{ b | default('nothing') }} {{ obj.items | join(', ') }} {{ n * 2 }} {{ a[:3] ~ '...' }}",
    "{% for k, v in obj.items() %}{{ k }}={{ v | tojson }};{% endfor %}{{ row.n }} {{ 'x' in a }}",
    "{% set total = n + 1 %}{{ total }}{% if b is defined and b %}{{ b }}{% endif %}{{ tags | map('string') | list }}",
    "{% for i in range(3) %}{{ loop.cycle('a', 'b') }}{{ i }}{% endfor %}{{ a.split('-')[0] }}{{ n | round(1) }}",
)
TYPICAL_ROW = {"a": "a-b-c", "n": 3, "tags": ["x", "y"], "obj": {"items": ["p", "q"], "k": None}, "b": "bee"}


@pytest.mark.parametrize("text", TYPICAL)
def test_what_people_write_is_a_function(text: str) -> None:
    direct = direct_of(SANDBOXES[0], text, LONGEST)
    assert direct is not None
    row = {**TYPICAL_ROW, "obj": {"items": ["p", "q"], "k": "v"}}
    assert direct(row) == plain(SANDBOXES[0], text, row)


@pytest.mark.parametrize(
    "text",
    ["{% macro m() %}{% endmacro %}{{ m() }}", "{{ loop }}", "{{ namespace() }}", "{{ a.__class__ }}", "{{ a.upper }}"],
)
def test_what_is_not_certain_is_left_to_the_template(text: str) -> None:
    direct = direct_of(SANDBOXES[0], text, LONGEST)
    if direct is not None:
        with pytest.raises(Exception):  # noqa: B017  # whatever it is: the template is asked
            direct(TYPICAL_ROW)


def test_no_word_of_a_template_is_a_word_of_the_function() -> None:
    text = "{{ a['\" + open(1) + \"'] }}{{ b | default('\\') }}{{ n }}') }}{% for x in tags %}{% endfor %}"
    direct = direct_of(SANDBOXES[0], text, LONGEST)
    assert direct is not None
    assert {name for name in direct.__code__.co_names if not name.startswith("k")} <= {
        *("append", "get", "listed", "join", "row", "enumerate", "len", "LONGEST", "Unsure", "type", "list", "str"),
        *("Z", "T", "parts"),
    }


def test_a_row_that_fails_is_told_as_before() -> None:
    renderer = Renderer()
    renderer.setup(Setup(["{{ a | upper }}\n{{ n + 1 }}"], -1, LONGEST))
    rows = [{"a": "x", "n": 1}, {"a": "x"}, {"a": None, "n": 1}, {"a": "x" * 500, "n": 1}, {"a": "x", "n": "1"}]
    found = renderer.chunk(Chunk(rows)).results
    assert found == [renderer._row(row) for row in rows]
    assert Counter(type(one).__name__ for one in found) == {"RenderFailure": 4, "list": 1}
    assert [(one.line, one.name) for one in found if isinstance(one, RenderFailure)] == [
        (2, "n"),
        (1, ""),
        (1, ""),
        (2, ""),
    ]
