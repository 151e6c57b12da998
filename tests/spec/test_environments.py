"""Vars, environments and defaults: one set of specs, and what it comes to for whoever chooses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from runner.compile.compile import preview
from runner.errors import SpecError
from runner.job.project import Job, Project, namespace_of
from runner.remotes.registry import lines_of
from runner.spec import memo
from runner.spec.chosen import NOTHING, Chosen
from runner.spec.load import load
from runner.spec.loader import parse
from runner.spec.merge import merged
from runner.spec.nodes import Mapping, data_of
from runner.spec.problems import Problems, render
from tests.spec.test_schema import SCHEMA, data_in, fits

SPEC = """\
project: capitals
vars:
  rows: {type: integer, default: 2, description: how many are asked}
  tone: kind
  model:
defaults:
  window: 24h
  dataset: countries
  model: llama
  output: results/{{ job }}.jsonl
models:
  llama: {provider: openai, name: "{{ var.model }}", params: {max_tokens: 16, stop: ["\\n"]}}
datasets:
  countries: {files: data/countries.csv, id: code, sample: {rows: "{{ var.rows }}", seed: 7}}
prompts:
  capital: "The capital of {{ country }}, in a {{ var.tone }} tone."
jobs:
  capitals: {prompt: capital}
environments:
  dev:
    vars: {model: echo}
    models: {llama: {provider: embedded}}
  prod:
    vars: {model: large, rows: 3}
    models: {llama: {params: {max_tokens: 32}, price: {input: 1, output: 2}}}
    jobs: {capitals: {window: 48h, budget: 5}}
"""

DEV = Chosen("dev")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "specs").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "countries.csv").write_text("code,country\nfr,France\nde,Germany\nit,Italy\n")
    return tmp_path


def project(root: Path, text: str = SPEC, chosen: Chosen = DEV, **more: str) -> Project:
    for name, content in {"a.yaml": text, **more}.items():
        (root / "specs" / name).write_text(content)
    return load(["specs"], root, chosen)


def job(root: Path, text: str = SPEC, chosen: Chosen = DEV) -> Job:
    (found,) = project(root, text, chosen).jobs
    assert isinstance(found, Job)
    return found


def words(root: Path, text: str, chosen: Chosen = NOTHING) -> str:
    with pytest.raises(SpecError) as caught:
        project(root, text, chosen)
    return render(caught.value.problems, root)


def requests(of: Project) -> list[bytes]:
    return [
        line.data
        for job in of.jobs
        if isinstance(job, Job)
        for line in preview(job, of.root, lines_of(of.providers[job.model.provider]), None)
    ]


def sent(root: Path, prompt: str, value: str = "kind", vars_: str = 'vars: {tone: "x", n: 3}\n') -> str:
    """What the first row of a prompt asks."""
    text = f"""{vars_}
models: {{m: {{provider: openai, name: gpt-4o}}}}
datasets: {{d: {{files: data/rows.jsonl}}}}
prompts: {{p: {{file: prompts/p.md}}}}
jobs: {{j: {{dataset: d, prompt: p, model: m, output: r.jsonl}}}}
"""
    (root / "prompts").mkdir(exist_ok=True)
    (root / "prompts" / "p.md").write_text(prompt)
    (root / "data" / "rows.jsonl").write_text('{"a": "A", "var": {"tone": "of the row", "b": 1}}\n')
    chosen = Chosen(given=(("tone", value),)) if vars_ else Chosen()
    line = json.loads(requests(project(root, text, chosen))[0])
    return str(line["body"]["messages"][0]["content"])


# --- environments -------------------------------------------------------------------------------------------------


def test_each_environment_is_the_specs_with_what_it_says_over_them(root: Path) -> None:
    dev, prod = job(root), job(root, chosen=Chosen("prod"))
    assert (dev.model.provider, dev.model.name, dev.model.params) == (
        "embedded", "echo", {"max_tokens": 16, "stop": ["\n"]},
    )  # fmt: skip
    assert (prod.model.provider, prod.model.name) == ("openai", "large")
    assert prod.model.params == {"max_tokens": 32, "stop": ["\n"]}, "merged name by name"
    assert (dev.window_hours, dev.budget, dev.dataset.sample_rows) == (24, None, 2)
    assert (prod.window_hours, prod.budget, prod.dataset.sample_rows) == (48, 5.0, 3)
    assert (prod.dataset.sample_seed, prod.max_attempts) == (7, 3), "what it does not say stays"
    assert (dev.output, prod.output) == ("results/dev/capitals.jsonl", "results/prod/capitals.jsonl")


def test_namespaces_are_those_of_no_project_and_short_enough_for_every_name() -> None:
    names = [namespace_of(project, env) for project in ("a", "a-dev", "p" * 100) for env in ("", "dev", "e" * 30)]
    assert len(set(names)) == len(names)
    assert [namespace_of("capitals", env) for env in ("", "dev")] == ["capitals", "capitals@dev"]
    assert all(len(namespace_of("p" * 100, env)) <= 40 for env in ("dev", "e" * 30))
    assert namespace_of("p" * 100, "dev") != namespace_of("p" * 99 + "q", "dev")


@pytest.mark.parametrize(
    "written, there",
    [
        ("results/a.jsonl", "results/dev/a.jsonl"),
        ("results/x/a.jsonl", "results/dev/x/a.jsonl"),
        ("a.jsonl", "dev/a.jsonl"),
        ("./results/a.jsonl", "dev/results/a.jsonl"),
        ("results/{{ env }}-a.jsonl", "results/dev-a.jsonl"),
        ("{{ model }}/a.jsonl", "llama/dev/a.jsonl"),
    ],
)
def test_outputs_lie_in_a_folder_of_the_environment(root: Path, written: str, there: str) -> None:
    assert job(root, SPEC.replace("results/{{ job }}.jsonl", f'"{written}"')).output == there


def test_an_output_that_the_environment_names_is_its_own(root: Path) -> None:
    own = SPEC.replace("jobs: {capitals: {window: 48h", "jobs: {capitals: {output: final.csv, window: 48h")
    assert job(root, own, Chosen("prod")).output == "final.csv"
    assert job(root, own).output == "results/dev/capitals.jsonl"


def test_folders_of_recordings_never_lie_in_one_another(root: Path) -> None:
    text = """\
models: {w: {provider: embedded, name: pocketsphinx}}
jobs: {calls: {audio: calls/*.wav, model: w, output: transcripts/}}
environments: {dev: {}}
"""
    outputs = [project(root, text, Chosen(env)).jobs[0].output for env in ("", "dev")]
    assert outputs == ["transcripts/", "dev/transcripts/"]


def test_an_empty_value_takes_something_away(root: Path) -> None:
    text = SPEC.replace(
        "jobs: {capitals: {window: 48h, budget: 5}}", "jobs: {extra: }\n    datasets: {countries: {sample: }}"
    )
    text = text.replace("jobs:\n", "jobs:\n  extra: {prompt: capital, model: llama}\n", 1)
    of = project(root, text, Chosen("prod"))
    assert [(job.name, job.dataset.sample_rows) for job in of.jobs if isinstance(job, Job)] == [("capitals", None)]
    assert [job.name for job in project(root, text).jobs] == ["capitals", "extra"]


def test_an_environment_may_bring_names_of_its_own_and_a_short_prompt_is_a_long_one(root: Path) -> None:
    more = """\
  wide:
    vars: {model: echo}
    models: {other: {provider: embedded, name: echo}}
    prompts: {capital: {system: Be brief.}}
    jobs: {capitals: {model: other, matrix: {replicate: [1, 2]}, output: "r/{{ replicate }}.csv"}}
"""
    found = project(root, SPEC + more, Chosen("wide")).jobs
    assert [one.output for one in found] == ["r/1.csv", "r/2.csv"]
    first = found[0]
    assert isinstance(first, Job) and first.model.key == "other"
    assert [message.role for message in first.prompt.messages] == ["system", "user"]


def test_one_may_be_told_of_in_several_files_but_nothing_of_it_twice(root: Path) -> None:
    more = "environments: {prod: {prompts: {capital: {system: Be brief.}}, vars: {tone: curt}}}\n"
    assert project(root, chosen=Chosen("prod"), **{"b.yaml": more}).jobs[0].window_hours == 48
    twice = "environments: {prod: {jobs: {capitals: {window: 1h}}}}\n"
    with pytest.raises(SpecError, match="1 problem") as caught:
        project(root, chosen=Chosen("prod"), **{"b.yaml": twice})
    assert "specs/b.yaml:1:30: error: `jobs.capitals` of environment `prod` is already set" in render(
        caught.value.problems, root
    )


def test_no_two_environments_write_one_file(root: Path) -> None:
    both = SPEC.replace(
        "    vars: {model: echo}\n", "    vars: {model: echo}\n    jobs: {capitals: {output: r/a.csv}}\n"
    )
    both = both.replace("{window: 48h, budget: 5}", "{window: 48h, output: r/a.csv}")
    assert (
        "specs/a.yaml:27:44: error: environment `prod` writes `r/a.csv`, and so do those of environment `dev` at "
        "specs/a.yaml:22:31"
    ) in words(root, both, Chosen("prod"))
    for output in ("results/{{ job }}.jsonl", "results/capitals.jsonl"):
        bare = SPEC.replace("{{ job }}", "capitals") if "{" not in output else SPEC
        bare = bare.replace("{window: 48h, budget: 5}", f'{{output: "{output}"}}')
        assert "and so do the specs without an environment at specs/a.yaml:10:11" in words(root, bare, Chosen("prod"))
    # where nothing is ever applied without an environment, the one may go on with what was written without any
    usual = job(root, bare.replace("  prod:\n", "  prod:\n    default: true\n"), Chosen())
    assert usual.output == "results/capitals.jsonl"


def test_none_is_chosen_unless_one_is_the_default(root: Path) -> None:
    whole = SPEC.replace("  model:\n", "  model: plain\n")
    bare = project(root, whole, Chosen())
    assert (bare.environment, bare.environments, bare.jobs[0].output) == ("", ("dev", "prod"), "results/capitals.jsonl")
    usual = project(root, whole.replace("  dev:\n", "  dev:\n    default: true\n"), Chosen())
    assert (usual.environment, usual.jobs[0].output) == ("dev", "results/dev/capitals.jsonl")


def test_one_that_there_is_not_is_refused_with_those_that_there_are(root: Path) -> None:
    assert words(root, SPEC, Chosen("prd")) == (
        "error: there is no environment `prd`\n\nhint: did you mean `prod`? There are `dev`, `prod`"
    )
    assert "declare it in the specs" in words(root, "project: a\n", Chosen("prod"))


# --- vars ---------------------------------------------------------------------------------------------------------


def test_values_by_precedence(root: Path) -> None:
    file = root / "values.yaml"
    steps: list[Callable[[Chosen], Chosen]] = [
        lambda _: Chosen(),
        lambda now: now.in_environment("prod"),
        lambda now: Chosen(now.environment, environ={"RUNNER_VAR_ROWS": "1"}),
        lambda now: Chosen(now.environment, files=(file,), environ=now.environ),
        lambda now: Chosen(now.environment, (("rows", "4"), ("rows", "2")), now.files, now.environ),
    ]
    file.write_text("rows: 3\n")
    found, now = [], Chosen()
    text = SPEC.replace("rows: 3}", "rows: 5}").replace("  model:\n", "  model: plain\n")
    for step in steps:
        now = step(now)
        found.append(job(root, text, now).dataset.sample_rows)
    assert found == [2, 5, 1, 3, 2], "default, environment, variable, file, command line: the last of it counts"


def test_the_last_file_of_values_counts_and_json_is_one(root: Path) -> None:
    (root / "a.yaml").write_text("rows: 3\ntone: 7\n")
    (root / "b.json").write_text('{\n\t"rows": 1\n}\n')
    found = job(root, chosen=Chosen("dev", files=(root / "a.yaml", root / "b.json")))
    assert found.dataset.sample_rows == 1
    assert "in a 7 tone" in found.prompt.messages[0].content, "a number is text where text is wanted"


def test_a_value_alone_keeps_its_type_and_is_a_part_of_a_longer_text(root: Path) -> None:
    text = """\
vars: {hours: 2, share: 0.5, is_strict: true, place: eu, name: "3.10"}
budget: "{{ var.share }}"
models:
  m: {provider: openai, name: "gpt-{{ var.name }}", params: {temperature: "{{ var.share }}", seed: "{{ var.hours }}"}}
datasets: {d: {files: ["data/{{ var.place }}-{{ var.hours }}.csv"]}}
prompts: {p: "{{ a }}"}
defaults: {strict_answers: "{{ var.is_strict }}", max_attempts: "{{ var.hours }}", window: "{{ var.hours }}h"}
jobs: {j: {dataset: d, prompt: p, model: m, output: "r/{{ var.place }}/{{ model }}.csv"}}
"""
    of = project(root, text, Chosen())
    (found,) = of.jobs
    assert isinstance(found, Job)
    assert (of.budget, found.model.name, found.dataset.files) == (0.5, "gpt-3.10", ("data/eu-2.csv",))
    assert json.dumps(found.model.params) == '{"temperature": 0.5, "seed": 2}'
    assert (found.max_attempts, found.window_hours, found.strict_answers, found.output) == (2, 2, True, "r/eu/m.csv")


@pytest.mark.parametrize(
    "prompt, value, expected",
    [
        ("{{ var.tone }} {{ a }}", "kind", "kind A"),
        ("{{ var.tone }}", "a\nb\n", "a\nb\n"),
        ("{{ var.tone }}", '{"x": {"y": 1}}', '{"x": {"y": 1}}'),
        ("{{ var.tone }}", "it's \\ 100% {x} \u2603 \U0001f600", "it's \\ 100% {x} \u2603 \U0001f600"),
        ("{{- var.tone | upper -}} !", "kind", "KIND!"),
        ("{% if var.tone == 'kind' and var.n > 2 %}yes{% else %}no{% endif %}", "kind", "yes"),
        ("{{ 'var.tone' }} {{ \"}} var.tone\" }}", "kind", "var.tone }} var.tone"),
        ("{# {{ var.none }} #}{% raw %}{{ var.none }}{% endraw %}", "kind", "{{ var.none }}"),
        ("{{ row.var.tone }} and {{ var.tone }}", "kind", "of the row and kind"),
        ("${HOME} {{ a }}", "kind", "${HOME} A"),
    ],
)
def test_in_a_template_of_rows_it_is_a_constant(root: Path, prompt: str, value: str, expected: str) -> None:
    assert sent(root, prompt, value) == expected


def test_without_vars_a_column_of_that_name_is_one(root: Path) -> None:
    assert sent(root, "{{ var.tone }} {{ var.b }}", vars_="") == "of the row 1"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=("Cc", "Cs")), min_size=1))
def test_whatever_is_given_arrives_as_it_is(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    if not value.strip() or any(opener in value for opener in ("{{", "{%", "{#")):
        return
    root = tmp_path_factory.getbasetemp() / "constants"
    (root / "specs").mkdir(parents=True, exist_ok=True)
    text = (
        f'vars: {{tone: }}\nprompts: {{p: "<{{{{ var.tone }}}}> {{% if var.tone %}}{{{{ a }}}}{{% endif %}}"}}\n{REST}'
    )
    (root / "specs" / "a.yaml").write_text(text)
    (root / "d.jsonl").write_text('{"a": "A"}\n')
    of = load(["specs"], root, Chosen(given=(("tone", value),)))
    body = json.loads(requests(of)[0])["body"]
    assert body["messages"][0]["content"] == f"<{value}> A"


REST = """\
models: {m: {provider: openai, name: gpt-4o}}
datasets: {d: {files: d.jsonl}}
jobs: {j: {dataset: d, prompt: p, model: m, output: r.jsonl}}
"""


def test_every_mistake_of_a_command_line_is_told_at_once(root: Path) -> None:
    (root / "v.yaml").write_text("rows: many\ntones: x\n")
    chosen = Chosen("dev", (("row", "1"), ("rows", "x")), (root / "v.yaml",), {"RUNNER_VAR_ROWS": "true"})
    shown = words(root, SPEC, chosen)
    for told in (
        "error: `--var` gives a value to var `row`, and there is none of that name",
        "specs/a.yaml:3:3: error: var `rows` must be a whole number, and `RUNNER_VAR_ROWS` gives it `true`",
        "specs/a.yaml:3:3: error: var `rows` must be a whole number, and `--var rows` gives it `x`",
        "v.yaml:1:7: error: var `rows` must be a whole number, not text",
        "v.yaml:2:1: error: `v.yaml` gives a value to var `tones`, and there is none of that name",
    ):
        assert told in shown
    assert shown.count("error:") == 5


def test_a_value_that_is_wrong_where_it_is_used_is_traced_to_where_it_was_given(root: Path) -> None:
    assert words(root, SPEC, Chosen("dev", (("rows", "0"),))) == (
        "specs/a.yaml:14:67: error: `sample.rows` of dataset `countries` must be at least 1\n"
        '    14 |   countries: {files: data/countries.csv, id: code, sample: {rows: "{{ var.rows }}", seed: 7}}\n'
        f"       | {' ' * 66}^\n\nhint: `var.rows` is `0`, by `--var rows`"
    )


def test_keys_are_no_values(root: Path) -> None:
    key = "sk-proj-" + "a1B2c3D4" * 4
    for chosen in (Chosen("dev", (("tone", key),)), Chosen("dev", environ={"RUNNER_VAR_TONE": key})):
        shown = words(root, SPEC, chosen)
        assert "is given a literal key" in shown and key not in shown
    (root / "v.yaml").write_text(f"tone: {key}\n")
    shown = words(root, SPEC, Chosen("dev", files=(root / "v.yaml",)))
    assert "this looks like a literal key" in shown and key not in shown


def test_a_variable_that_is_nearly_one_is_warned_of_and_others_are_left_alone(root: Path) -> None:
    environ = {"RUNNER_VAR_RWOS": "1", "RUNNER_VAR_SOMETHING_ELSE": "1"}
    (warning,) = project(root, chosen=Chosen("dev", environ=environ)).warnings
    assert "`RUNNER_VAR_RWOS` is set, and there is no such var; did you mean `rows`?" in warning


# --- defaults -----------------------------------------------------------------------------------------------------


def test_defaults_give_way_to_whatever_a_job_says_and_to_what_it_is(root: Path) -> None:
    text = """\
defaults:
  {model: m, dataset: d, prompt: p, window: 1d, budget: 2, task: translate, checks: {a: {equals: "{{ x }}"}},
   output: "r/{{ job }}.jsonl"}
models: {m: {provider: openai, name: gpt-4o}, w: {provider: embedded, name: pocketsphinx}}
datasets: {d: {files: d.jsonl}}
prompts: {p: "{{ a }}", q: "{{ b }}"}
jobs:
  plain: {}
  own: {prompt: q, window: 2d, budget: , checks: {b: {equals: "{{ y }}"}}}
  cells: {matrix: {prompt: [p, q]}, output: "r/cells-{{ prompt }}.jsonl"}
  calls: {audio: "c/*.wav", model: w, checks: }
"""
    found = {job.address: job for job in project(root, text, Chosen()).jobs}
    assert list(found) == ["calls", "cells:prompt=p", "cells:prompt=q", "own", "plain"]
    plain, own = found["plain"], found["own"]
    assert (plain.window_hours, plain.budget, [c.name for c in plain.evals.checks]) == (24, 2.0, ["a"])
    assert (own.window_hours, own.budget, [c.name for c in own.evals.checks]) == (48, None, ["a", "b"])
    assert found["calls"].output == "r/calls.jsonl" and not found["calls"].evals.checks
    assert str(plain.mark) == "specs/a.yaml:8:3", "a job is where it is declared"


# --- properties ---------------------------------------------------------------------------------------------------

_TEXTS = st.sampled_from(["a", "b", "c", "d"])
_NODES = st.recursive(
    st.integers(0, 3) | _TEXTS | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)
_MAPS = st.dictionaries(_TEXTS, _NODES, max_size=4)


def node(value: Any) -> Mapping:
    found = parse(json.dumps(value), "a.yaml", Problems())
    assert found is not None
    return found


def over(base: Any, *others: Any) -> Any:
    found: Any = node(base)
    for other in others:
        found = merged(found, node(other))
    return data_of(found)


@given(_MAPS, _MAPS, _MAPS)
def test_merging(one: Any, two: Any, three: Any) -> None:
    assert over(one, {}) == one, "nothing over it changes nothing"
    assert over({}, one) == one
    assert over(one, one) == one
    assert over(over(one, two), three) == over(one, data_of(merged(node(two), node(three))))
    assert data_of(node(one)) == one, "and what is merged stays as it was"


def test_an_environment_that_says_nothing_is_the_specs_but_for_its_folder(root: Path) -> None:
    text = SPEC.replace("  model:\n", "  model: plain\n") + "  same:\n"
    bare, same = project(root, text, Chosen()), project(root, text, Chosen("same"))
    outputs = tuple(replace(job, output=bare.jobs[n].output) for n, job in enumerate(same.jobs))
    assert replace(same, environment="", jobs=outputs) == bare
    assert requests(same) == requests(bare)


def test_requests_are_those_of_the_same_specs_written_out(root: Path) -> None:
    written = """\
models: {llama: {provider: openai, name: large, params: {max_tokens: 32, stop: ["\\n"]}}}
datasets: {countries: {files: data/countries.csv, id: code, sample: {rows: 3, seed: 7}}}
prompts: {capital: "The capital of {{ country }}, in a kind tone."}
jobs: {capitals: {dataset: countries, prompt: capital, model: llama, output: results/capitals.jsonl}}
"""
    assert requests(project(root, chosen=Chosen("prod"))) == requests(project(root, written, Chosen()))


@given(
    st.permutations(["vars", "defaults", "models", "datasets", "prompts", "jobs", "environments"]), st.integers(0, 6)
)
def test_the_order_of_sections_and_files_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], cut: int
) -> None:
    root = tmp_path_factory.mktemp("order")
    (root / "specs").mkdir()
    top = parse(SPEC, "a.yaml", Problems())
    assert top is not None
    sections = data_of(top)
    for name, part in (("z.yaml", order[:cut]), ("a.yaml", order[cut:])):
        (root / "specs" / name).write_text(json.dumps({section: sections[section] for section in part}))
    found = load(["specs"], root, Chosen("prod"))
    bare = msgspec.json.decode(msgspec.json.encode(found.jobs, enc_hook=str))
    assert without_marks(bare) == without_marks(EXPECTED.setdefault("jobs", bare))


EXPECTED: dict[str, Any] = {}


def without_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_marks(one) for name, one in value.items() if "mark" not in name}
    return [without_marks(one) for one in value] if isinstance(value, list) else value


# --- what goes with it --------------------------------------------------------------------------------------------


def test_what_was_checked_is_remembered_for_what_was_chosen(root: Path) -> None:
    (root / "specs" / "a.yaml").write_text(SPEC)
    file = root / "v.yaml"
    file.write_text("rows: 1\n")
    folder = root / "memo"
    wanted = [Chosen("dev"), Chosen("prod"), Chosen("dev", (("rows", "1"),)), Chosen("dev", files=(file,))]
    first = [memo.load(["specs"], root, folder, one, keeps=True) for one in wanted]
    assert [memo.load(["specs"], root, folder, one, keeps=True) for one in wanted] == first
    assert [job.dataset.sample_rows for of in first for job in of.jobs if isinstance(job, Job)] == [2, 3, 1, 1]
    file.write_text("rows: 3\n")
    (again,) = memo.load(["specs"], root, folder, wanted[3], keeps=True).jobs
    assert isinstance(again, Job) and again.dataset.sample_rows == 3


def test_the_schema_knows_all_of_it(root: Path) -> None:
    file = root / "specs" / "a.yaml"
    file.write_text(
        SPEC + "  bare:\n  off: {jobs: {capitals: }, budget: 5, datasets: {countries: {sample: {seed: 1}}}}\n"
    )
    assert fits(data_in(file), SCHEMA)
    for wrong in (
        SPEC.replace("vars: {model: echo}", "vars: {model: [echo]}"),
        SPEC.replace("type: integer", "type: whole"),
        SPEC.replace("window: 48h", "windw: 48h"),
        SPEC.replace("window: 24h", "window: 24"),
        SPEC.replace('rows: "{{ var.rows }}"', 'rows: "many"'),
    ):
        file.write_text(wrong)
        assert not fits(data_in(file), SCHEMA), wrong
