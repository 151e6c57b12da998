"""Templates of text and names take a short way: what they give is byte for byte what Jinja2 gives."""

from __future__ import annotations

import keyword
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError

from runner.compile.parse import parse, plain_of
from runner.compile.sandbox import Sandbox
from runner.compile.template import Template, unknown_names
from runner.compile.texts import Null
from runner.compile.tree import template_of
from runner.errors import Mark, SpecError
from runner.job.source import Source
from tests.compile.made import COUNTRIES, write_rows

NAMES = ["a", "b", "range", "namespace", "row", "loop", "caller", "true_", "é", "_id", "class", "environment"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=4)
    | st.just("%s {{ a }}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=4,
)
TEXT = st.sampled_from(
    [
        "",
        " ",
        "%",
        "%s",
        "%%(a)s",
        "\n",
        "\r\n",
        "\n\n",
        "{",
        "}",
        "é",
        "<&>",
        "{# x #}",
        "{% raw %}{{ a }}{% endraw %}",
    ]
)
NAME = st.sampled_from(["{{ %s }}", "{{%s}}", "{{- %s -}}", "{{+ %s }}"]).flatmap(
    lambda form: st.sampled_from(NAMES).map(lambda name: form % name)
)
TEMPLATES = st.lists(TEXT | NAME, max_size=6).map("".join)


def source(text: str) -> Source:
    return Source(text, Mark("s.yaml", 10), "the user message")


@given(TEMPLATES, st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_segments_give_what_jinja_gives(text: str, row: dict[str, Any]) -> None:
    try:
        template = parse(source(text))
    except SpecError:
        with pytest.raises(TemplateError):
            Sandbox().from_string(text)
        return
    if not template.is_simple:
        return
    try:
        expected: str | None = Sandbox().from_string(text).render(row)
    except (TemplateError, Null):
        expected = None
    try:
        found: str | None = template.renderer()(row)
    except (KeyError, Null):
        found = None
    assert found == expected


MARKS = [
    "{",
    "}",
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "-",
    "+",
    "%",
    "%%",
    "a",
    "b1",
    "_",
    "é",
    "1",
    "'",
    ".",
    "not",
    "and",
    "true",
    "None",
    "if",
    "row",
    "raw",
    "{{a}}",
    "{{\nc\n}}",
]
PIECES = st.sampled_from([*MARKS, '"', " ", "\n", "\r\n", "\r", "\x0b", "\u2028", "x\n\n", "{{ b }}"])


def as_jinja_reads(text: str) -> Template | None:
    try:
        return template_of(source(text))
    except SpecError:
        return None


@given(TEMPLATES | st.lists(PIECES, max_size=8).map("".join))
@settings(max_examples=500)
def test_what_is_plain_is_what_jinja_reads(text: str) -> None:
    found = plain_of(source(text))
    assert found is None or found == as_jinja_reads(text)


@pytest.mark.parametrize("word", [*keyword.kwlist, *keyword.softkwlist, *NAMES, "true", "false", "none", "self", "set"])
def test_words_that_may_mean_something_are_left_to_jinja(word: str) -> None:
    for text in (f"{{{{ {word} }}}}", f"\n{{{{{word}}}}}\n"):
        found = plain_of(source(text))
        assert found is None or found == as_jinja_reads(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "50% }} {\r\n",
        "{{ a}}}}",
        "{{a}}{{b}}",
        "{{\n a\t}}\r{{ a }}\n",
        "{ {{a}} }",
        "%s {{ __class__ }}",
        "-{{a}}-",
    ],
)
def test_plain_templates_are_recognised(text: str) -> None:
    found = plain_of(source(text))
    assert found is not None
    assert found == as_jinja_reads(text)


@pytest.mark.parametrize(
    "text",
    [
        *("{{- a }}", "{{ a -}}", "{{+ a }}", "{{{ a }}}", "{{ a", "{{ a }", "{{ }}", "{{ '{{ a }}' }}", "{{ a b }}"),
        *("{% raw %}{{ a }}{% endraw %}", "{{ a }}{# c #}", "{{ é }}", "{{ not a }}", "{{ true }}", "{{ loop }}"),
        *("{{ a.b }}", "{{ 1 }}", "{{ a | upper }}", "{{ a }}{{"),
    ],
)
def test_everything_else_is_left_to_jinja(text: str) -> None:
    assert plain_of(source(text)) is None


@pytest.mark.parametrize("text", ["", "plain\n", "50% {{ a }}\n", "{{ a }}{{ b }}", "{# c #}{% raw %}{{{% endraw %}"])
def test_text_and_names_are_simple(text: str) -> None:
    assert parse(source(text)).is_simple


@pytest.mark.parametrize(
    "text",
    ["{{ a | upper }}", "{{ a.b }}", "{{ a() }}", "{{ 1 }}", "{{ row }}", "{{ range }}", "{{ a if b }}"],
)
def test_everything_else_is_not(text: str) -> None:
    assert not parse(source(text)).is_simple


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a\n{{ x", 11, "unexpected end of template, expected `}}`"),
        ("\n\n{% if a %}", 12, "`{% if %}` is not closed: `{% endif %}` is missing"),
        ("\n{{ a | uper }}", 11, "there is no filter `uper`"),
        ("{{ a is definde }}", 10, "there is no test `definde`"),
        ("\n\n\n{% include 'x' %}", 13, "`include` cannot be used here"),
        ("{{ a.__class__ }}", 10, "`__class__` cannot be used here"),
    ],
)
def test_problems_name_the_line_of_the_template(text: str, line: int, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(source(text))
    (problem,) = caught.value.problems
    assert problem.mark == Mark("s.yaml", line)
    assert words in problem.message
    if "uper" in text:
        assert problem.hint == "did you mean `upper`?"
        assert problem.inside == (source(text).mark, text, text.index("uper"))


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("{{ a }} {{ b.c | upper }}", {"a", "b"}),
        ("{% if a %}{{ b }}{% endif %}", {"a"}),
        ("{{ b if a else c }}", {"a"}),
        ("{{ a and b }}", {"a"}),
        ("{% for x in a %}{{ x }}{{ loop.index }}{{ b }}{% endfor %}", {"a"}),
        ("{% set x = a %}{{ x }}", {"a"}),
        ("{{ a | default('') }}{{ b is defined }}{{ c }}", {"c"}),
        ("{% macro m(x) %}{{ y }}{% endmacro %}{{ m(a) }}", {"a"}),
        ("{{ row.a }}{{ range(3) }}{{ namespace() }}", set()),
        ("{% with x = a %}{{ x }}{% endwith %}", {"a"}),
    ],
)
def test_needed_names_are_those_of_every_path(text: str, needs: set[str]) -> None:
    assert set(parse(source(text)).needed) == needs


def test_an_unknown_name_is_one_problem_with_the_columns() -> None:
    problem = unknown_names(parse(source("\n{{ contry }} {{ nope }}")), ["country", "code"])
    assert problem is not None
    assert problem.mark == Mark("s.yaml", 11)
    assert problem.message == "the user message uses `contry`, `nope`, which are not columns"
    assert problem.hint == "did you mean `country`? columns: `code`, `country`"
    assert unknown_names(parse(source("{{ code }}")), ["country", "code"]) is None


WITHOUT_JINJA = """
import sys
from pathlib import Path
from runner.compile.compile import compile_job
from runner.compile.render import check_templates
from runner.remotes.fireworks import lines as fireworks
from runner.remotes.openai import lines as openai
from runner.remotes.vendor import Lines
from runner.job.project import Project
from tests.compile.made import job_of
root = Path(sys.argv[1])
job = job_of("{{ country }} {{ code }}", dataset={"id": "{{ code }}", "where": "{{ code }}"})
assert check_templates(Project("p", root, (job,), {}, ())) == []
assert sum(1 for _ in compile_job(job, root, openai.LINES).rows()) > 0
assert "jinja2" not in sys.modules
"""


def test_plain_templates_are_checked_and_compiled_without_jinja(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES)
    subprocess.run([sys.executable, "-c", WITHOUT_JINJA, str(tmp_path)], check=True)
