"""Templates from a pull request: nothing of Python is in reach, nothing runs for long, nothing differs between runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.compile.compile import compile_job, preview
from runner.errors import DataError, RunnerError, SpecError
from runner.remotes.openai import lines as openai
from tests.compile.made import job_of, write_rows

ROW: dict[str, Any] = {
    "name": "Ann",
    "n": 7,
    "big": 10**30,
    "share": 0.5,
    "none": None,
    "flag": True,
    "items": [3, 1, 2],
    "people": [{"name": "b", "age": 2}, {"name": "a", "age": 1}, {"name": "b", "age": 3}],
    "doc": {"_id": 5, "items": "x", "format": "pdf", "deep": {"k": "v"}},
    "html": "<b>&amp; 'x'</b>",
}

ESCAPES = [
    "{{ name.__class__ }}",
    "{{ name.__class__.__mro__[1].__subclasses__() }}",
    "{{ name['__class__'] }}",
    "{{ ''['__cl' ~ 'ass__'] }}",
    "{{ name | attr('__class__') }}",
    "{{ items | map('attr', '__class__') | list }}",
    "{{ items | map(attribute='__class__') | list }}",
    "{{ people | groupby('__class__') }}",
    "{{ people | sum(attribute='__class__') }}",
    "{{ people | selectattr('__class__') | list }}",
    "{{ (name | upper).__class__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self }}{{ self._TemplateReference__context }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ namespace(x=1)._Namespace__attrs }}",
    "{{ namespace(x=1).__class__ }}",
    "{{ range.__self__ }}",
    "{{ range._call }}",
    "{{ name.upper._call }}",
    "{{ name.upper.__self__ }}",
    "{{ name.encode('utf-16') }}",
    "{{ name.join.__func__ }}",
    "{{ cycler('a').__init__ }}",
    "{{ joiner }}",
    "{{ lipsum.__globals__ }}",
    "{{ dict(a=1) }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ '{0.__class__}'.format(name) }}",
    "{{ '{a}'.format_map(doc) }}",
    "{% set f = name.format %}{{ f(1) }}",
    "{{ '%s' % name }}",
    "{{ '%(a)s' | format(a=1) }}",
    "{% for x in items %}{{ loop.__class__ }}{% endfor %}",
    "{% for x in items %}{{ loop._iterator }}{% endfor %}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}{{ m._func }}",
    "{% macro m() %}{{ caller.__init__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'x' %}",
    "{% block a %}{% endblock %}",
    "{{ items | random }}",
    "{{ items.append(1) }}",
    "{{ items.sort() }}",
    "{{ doc.update(a=1) }}",
    "{{ doc.pop('format') }}",
    "{{ doc.__setitem__('a', 1) }}",
    "{{ none.x }}",
    "{{ n() }}",
    "{{ name() }}",
    "{{ missing }}",
    "{{ missing.x }}",
    "{{ [name.upper] }}",
    "{{ {'a': name.upper} }}",
    "{{ name.upper ~ '' }}",
    "{{ name.upper | string }}",
    "{{ [name.upper] | join }}",
    "{{ range }}",
    "{{ [range] }}",
    "{{ [missing] }}",
    "{{ items | map(attribute='missing') }}",
]

BOMBS = [
    "{{ 'a' * 10**9 }}",
    "{{ 10**9 * 'a' }}",
    "{{ [0] * 10**9 }}",
    "{{ ([0] * 10**6) * 10**6 }}",
    "{{ 9**9**9**9**9 }}",
    "{{ 2**1000000 }}",
    "{{ big ** 1000 }}",
    "{{ '{0:1000000000d}'.format(1) }}",
    "{{ '%1000000000d' % n }}",
    "{{ n | round(10**9) }}",
    "{{ n | round(10**9, 'ceil') }}",
    "{{ range(10**9) | list }}",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "{% for a in range(9999) %}{{ a | string | indent(1000) }}{{ 'x' * 100000 }}{% endfor %}",
    "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x.replace('a', 'aa') %}{% endfor %}",
    "{% set ns = namespace(x=3) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}{% endfor %}{{ ns.x }}",
    "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{{ 'a' | indent(10**9) }}",
    "{{ 'a\n' | indent('x' * 100000) }}",
    "{{ items | batch(10**9, 'x') }}",
    "{{ items | slice(10**9) }}",
    "{{ name | tojson(indent=10**9) }}",
    "{{ 'a' | replace('', 'x' * 1000000) | replace('x', 'y' * 1000000) }}",
    "{{ name.ljust(10**9) }}",
    "{{ name.zfill(10**9) }}",
    "{{ name.center(10**9) }}",
    "{{ name | center(10**9) }}",
    "{{ name.expandtabs(10**9) }}",
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "{{ " + "-" * 3000 + "1 }}",
    "{{ 'x' * 600000 }}{{ 'x' * 600000 }}",
    "{{ 'a'" + " | replace('a', 'aaaaaaaaaa')" * 12 + " }}",
    "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{{ '\\ud800' ~ name }}",
]


@pytest.fixture(autouse=True, scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A rendering process is there: its start is not what is timed here."""
    root = tmp_path_factory.mktemp("warm")
    write_rows(root, [ROW])
    list(preview(job_of("{{ name | upper }}"), root, openai.LINES))


def rendered(root: Path, template: str) -> str:
    write_rows(root, [ROW])
    (line,) = preview(job_of(template, model={"endpoint": "/v1/completions"}), root, openai.LINES)
    text = msgspec.json.decode(line.data)["body"]["prompt"]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("template", ESCAPES)
def test_escapes_are_refused(tmp_path: Path, template: str) -> None:
    write_rows(tmp_path, [ROW])
    with pytest.raises((SpecError, DataError)) as caught:
        compile_job(job_of(template), tmp_path, openai.LINES)
    assert "rendering process" not in str(caught.value)


@pytest.mark.parametrize("template", BOMBS)
def test_bombs_are_refused_within_two_seconds(tmp_path: Path, template: str) -> None:
    write_rows(tmp_path, [ROW])
    started = processor_seconds()
    with pytest.raises((SpecError, DataError)) as caught:
        compile_job(job_of(template), tmp_path, openai.LINES)
    assert processor_seconds() - started < 2
    assert mentions_the_template(caught.value)


def processor_seconds() -> float:
    """Of this process and of the rendering processes that were ended. The machine may be busy with other things."""
    return sum(os.times()[:4])


def mentions_the_template(error: RunnerError) -> bool:
    if isinstance(error, SpecError):
        return all(problem.mark.file == "s.yaml" for problem in error.problems)
    return "the user message of prompt `capital`" in error.message


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ name | upper }} {{ n | int > 5 }}", "ANN true"),
        ("{% if flag %}yes{% else %}no{% endif %}", "yes"),
        ("{% for x in items %}{{ loop.index }}:{{ x }}{{ ', ' if not loop.last }}{% endfor %}", "1:3, 2:1, 3:2"),
        ("{{ items | sort | join('-') }} {{ items | reverse }} {{ name | reverse }}", "1-2-3 [2, 1, 3] nnA"),
        ("{{ people | map(attribute='name') | unique }}", '["b", "a"]'),
        ("{{ people | selectattr('age', 'gt', 1) | sum(attribute='age') }}", "5"),
        ("{% for g in people | groupby('name') %}{{ g.grouper }}{{ g.list | length }}{% endfor %}", "a1b2"),
        ("{{ doc._id }} {{ doc.format }} {{ doc['items'] }} {{ doc.deep.k }} {{ row.name }}", "5 pdf x v Ann"),
        ("{{ doc.get('nope', 1) }} {{ doc.deep.items() }}", '1 [["k", "v"]]'),
        ("{{ doc.nope | default('d') }} {{ nope | default('d') }} {{ nope is defined }}", "d d false"),
        ("{{ name.lower().replace('a', 'o').split('n') }}", '["o", "", ""]'),
        (
            "{{ html | striptags }} {{ html | tojson }} {{ doc.deep | tojson }}",
            '& \'x\' "<b>&amp; \'x\'</b>" {"k": "v"}',
        ),
        ("{{ big * 2 }} {{ 2 ** 10 }} {{ n % 4 }} {{ '-' * 3 }} {{ n // 2 }}", "2" + "0" * 30 + " 1024 3 --- 3"),
        ("{% set ns = namespace(t=0) %}{% for x in items %}{% set ns.t = ns.t + x %}{% endfor %}{{ ns.t }}", "6"),
        ("{% macro m(x) %}<{{ x }}{{ caller() }}>{% endmacro %}{% call m(1) %}!{% endcall %}", "<1!>"),
        ("{% for i in range(3) %}{{ loop.cycle('a', 'b') }}{% endfor %}", "aba"),
        ("{{ items | batch(2) }} {{ items | slice(2) }}", "[[3, 1], [2]] [[3, 1], [2]]"),
        ("{{ 'a\nb' | indent(2) }} {{ share | round(1) }}", "a\n  b 0.5"),
        ("{% raw %}{{ x }}{% endraw %}{# note #}{{ '' }}\n", "{{ x }}\n"),
        ("{% filter upper %}{{ name }}{% endfilter %}{% with y = n %}{{ y }}{% endwith %}", "ANN7"),
    ],
)
def test_what_people_write_works(tmp_path: Path, template: str, text: str) -> None:
    assert rendered(tmp_path, template) == text


def test_a_runaway_row_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path, [{"n": 3}] * 300 + [{"n": 9999}] + [{"n": 3}] * 300)
    template = "{% for a in range(n) %}{% for b in range(n) %}{% endfor %}{% endfor %}ok"
    with pytest.raises(DataError) as caught:
        compile_job(job_of([("system", "{{ n + 1 }}"), ("user", template)]), tmp_path, openai.LINES)
    assert "the user message of prompt `capital` takes more than half a second" in caught.value.message
    assert "`a.jsonl:301`" in caught.value.message
    assert str(caught.value.mark) == "s.yaml:20"


def test_many_slow_rows_are_not_a_runaway(tmp_path: Path) -> None:
    write_rows(tmp_path, [{"n": 300}] * 300)
    template = "{% for a in range(n) %}{% for b in range(n) %}{% endfor %}{% endfor %}ok"
    assert len(compile_job(job_of(template), tmp_path, openai.LINES).wanted) == 300


def test_the_process_sees_no_environment_and_no_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.compile import pool
    from runner.compile.frames import Setup

    (tmp_path / "jinja2.py").write_text("raise SystemExit(3)")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.chdir(tmp_path)
    worker = pool.Worker()
    try:
        assert worker.setup(Setup(["{{ 1 }}"], -1)) is None
        environment = Path(f"/proc/{worker._process.pid}/environ").read_bytes()
        assert b"sk-canary" not in environment
    finally:
        worker.close()


def test_the_process_ends_with_its_parent(tmp_path: Path) -> None:
    code = "import time; from runner.compile import pool; from runner.compile.frames import Setup; "
    code += "w = pool.Worker(); w.setup(Setup(['a'], -1)); print(w._process.pid, flush=True); time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(worker)


def is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
