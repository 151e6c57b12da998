"""What values are as text, the same in templates of names alone and in others; and what `self` and `items` mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.compile.compile import compile_job
from runner.compile.faults import RowsFailed
from runner.remotes.openai import lines as openai
from tests.compile.made import job_of, write_rows

ROW: dict[str, Any] = {
    "t": "x",
    "n": 3,
    "f": 1.0,
    "yes": True,
    "no": False,
    "list": ["é", 1, None, True],
    "object": {"a": [1.5], "b": "c"},
    "null": None,
    "self": "me",
    "order": {"items": ["pen", "ink"], "keys": 2},
    "plain": {"a": 1},
}


def said(root: Path, template: str, **dataset: Any) -> list[str]:
    write_rows(root, [ROW])
    job = job_of(template, dataset=dataset)
    found = compile_job(job, root, openai.LINES)
    return [
        msgspec.json.decode(line.data)["body"]["messages"][0]["content"]
        for line in found.lines(range(len(found.wanted)))
    ]


CASES = [
    ("t", "x"),
    ("n", "3"),
    ("f", "1.0"),
    ("yes", "true"),
    ("no", "false"),
    ("list", '["é", 1, null, true]'),
    ("object", '{"a": [1.5], "b": "c"}'),
    ("self", "me"),
]


@pytest.mark.parametrize(("name", "text"), CASES)
@pytest.mark.parametrize(
    "form", ["{{ %s }}", "{{ %s }}{# #}", "{%% if true %%}{{ %s }}{%% endif %%}", "{{ '' ~ %s }}", "{{ %s | string }}"]
)
def test_a_value_is_one_text_in_every_template(tmp_path: Path, form: str, name: str, text: str) -> None:
    assert said(tmp_path, form % name) == [text]
    assert said(tmp_path, f"{form % name} {{{{ t }}}}") == [f"{text} x"]


@pytest.mark.parametrize(
    "template",
    [
        "{{ null }}",
        "{{ t }} {{ null }}",
        "{{ null }}{# #}",
        "{{ 'a' ~ null }}",
        "{{ null | upper }}",
        "{{ null | string }}",
        "{{ row.null }}{# #}",
        "{{ row['null'] | trim }}",
    ],
)
def test_null_is_an_error_that_offers_default(tmp_path: Path, template: str) -> None:
    with pytest.raises(RowsFailed) as caught:
        said(tmp_path, template)
    assert "`null` is null here: write `| default('...')`" in caught.value.message
    assert caught.value.mark is not None and caught.value.mark.line == 1


@pytest.mark.parametrize(
    "template",
    [
        "{{ [null] | join }}",
        "{{ {'x': none}.x }}",
        "{{ [1, none][1] }}",
        "{{ {'null': none}.null }}",
        "{{ 'a' ~ [none][0] }}",
        "{{ [none][0] | upper }}",
        "{{ null if yes else t }}",
        "{% for null in [none] %}{{ null }}{% endfor %}",
        "{% set row = {'null': none} %}{{ row.null }}",
        "{% set n = none %}{{ n }}",
    ],
)
def test_a_column_is_named_only_where_it_is_what_is_written(tmp_path: Path, template: str) -> None:
    with pytest.raises(RowsFailed) as caught:
        said(tmp_path, template)
    assert "a value is null here: write `| default('...')`" in caught.value.message


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ null | default('none') }}", "none"),
        ("{{ null | d }}.", "."),
        ("{{ null or 'none' }}", "none"),
        ("{% if null is none %}none{% endif %}", "none"),
        ("{{ {'a': null} | tojson }}", '{"a": null}'),
        ("{{ object.a }}", "[1.5]"),
        ("{{ n == 3 }}", "true"),
        ("{{ yes | upper }}", "TRUE"),
        ("{{ yes | fenced }}", "```\ntrue\n```"),
        ("{{ 'a ``` b ```` c' | fenced }}", "`````\na ``` b ```` c\n`````"),
        ("{{ '`' | fenced }} {{ '' | fenced }}", "```\n`\n``` ```\n\n```"),
        ("{{ list[:1] | join('-') }}", "é"),
        ("{{ [yes, no] | join(', ') }}", "true, false"),
        ("{{ order.items }}", '["pen", "ink"]'),
        ("{% for one in order.items %}{{ one }};{% endfor %}", "pen;ink;"),
        ("{% for key, value in plain.items() %}{{ key }}={{ value }}{% endfor %}", "a=1"),
        ("{% for key, value in order.items() %}{{ key }};{% endfor %}", "items;keys;"),
        ("{{ order.keys }} {{ order['items'][0] }}", "2 pen"),
        ("{{ self | upper }}", "ME"),
        ("{{ row['self'] }}", "me"),
    ],
)
def test_what_templates_mean(tmp_path: Path, template: str, text: str) -> None:
    assert said(tmp_path, template) == [text]


@pytest.mark.parametrize("where", ["{{ null }}", "{{ no }}", "{{ null and true }}", "{{ n == 4 }}"])
def test_a_filter_takes_null_as_not_true(tmp_path: Path, where: str) -> None:
    write_rows(tmp_path, [ROW, {**ROW, "null": 1, "no": True, "n": 4}])
    found = compile_job(job_of("{{ t }}", dataset={"where": where}), tmp_path, openai.LINES)
    assert [row.custom_id for row in found.rows()] == ["row-2"]


def test_a_name_of_ours_is_no_filter(tmp_path: Path) -> None:
    from runner.errors import SpecError

    with pytest.raises(SpecError, match="1 problem"):
        said(tmp_path, "{{ t | _text }}")
