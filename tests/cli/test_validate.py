"""`runner validate` and `runner schema`."""

# ruff: noqa: E501  # one case, one line

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from runner.cli.annotations import annotation
from runner.cli.main import run
from runner.errors import Mark, Problem
from tests.cli.snapshots import must_fit
from tests.journeys.lab import RUNNER

SPEC = """models: {m: {provider: embedded, name: echo}}
datasets: {d: {files: d.csv}}
prompts: {p: hi}
jobs: {j: {dataset: d, prompt: p, model: m, output: r.csv}}
"""


def place(root: Path, **files: str) -> None:
    (root / "specs").mkdir(exist_ok=True)
    (root / "d.csv").write_text("a\n1\n")
    for name, text in files.items():
        (root / f"specs/{name}.yaml").write_text(text)


def test_valid_specs_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place(tmp_path, a=SPEC)
    assert run(["-C", str(tmp_path), "validate"]) == 0
    assert capsys.readouterr() == ("1 job in 1 file is valid\n", "")
    place(tmp_path, b="", c="jobs: {k: {dataset: d, prompt: p, model: m, output: k.csv}}\n")
    assert run(["-C", str(tmp_path), "validate", "specs/"]) == 0
    assert capsys.readouterr() == ("2 jobs in 3 files are valid\n", "warning: specs/b.yaml: the file is empty\n")


def test_names_of_the_results_that_clash_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place(tmp_path, a=SPEC.replace("output: r.csv", "output: r.csv, columns: [custom_id, row, answer]"))
    (tmp_path / "d.csv").write_text("answer,x\n1,2\n")
    assert run(["-C", str(tmp_path), "validate"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("warning: job `j` at specs/a.yaml:4:8: without `digest` and `origin` among its `columns`")
    assert (
        told[1]
        == "warning: job `j` at specs/a.yaml:4:8: the column `answer` of its dataset is `row_answer` in its results"
    )


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("[custom_id, anser]", "`columns` name `anser`, which is not a column of its results\n"),
        ("[custom_id, x, x]", "`columns` name `x` twice"),
    ],
)
def test_columns_that_mean_nothing_are_refused_before_anything_is_paid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: str, words: str
) -> None:
    place(tmp_path, a=SPEC.replace("output: r.csv", f"output: r.csv, columns: {names}"))
    (tmp_path / "d.csv").write_text("answer,x\n1,2\n")
    for command in ("validate", "plan"):
        assert run(["-C", str(tmp_path), command]) == 1
        assert words in capsys.readouterr().err


def test_every_problem_is_shown_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place(tmp_path, a=SPEC.replace("model: m", "model: mm"), b="modls: {}\n")
    assert run(["-C", str(tmp_path), "validate"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "specs/a.yaml:4:42: error: job `j` uses the unknown model `mm`" in err
    assert "hint: did you mean `models`?" in err


def test_a_window_the_provider_has_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = SPEC.replace("provider: embedded", "provider: fireworks").replace("output:", "window: 36h, output:")
    place(tmp_path, a=spec)
    assert run(["-C", str(tmp_path), "validate"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "specs/a.yaml:4:53: error: provider `fireworks` has no window of 36h" in err
    assert "hint: it offers 12h, 24h, 48h, 72h" in err


def test_a_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-C", str(tmp_path), "validate"]) == 64
    told = capsys.readouterr().err
    assert "no such file or folder: `specs`" in told and "`runner init DIR` begins a new one" in told
    assert run(["-C", str(tmp_path), "validate", "others"]) == 64
    assert "runner init" not in capsys.readouterr().err


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "jobs" in found["properties"]


@pytest.mark.parametrize(
    ("before", "after", "words", "way"),
    [
        ("files: d.csv", "files: e.csv", "no file matches `e.csv`", "paths are relative to"),
        ("files: d.csv", "files: empty.csv, id: a", "`id` of dataset `d`, `a`, is not a column", "columns"),
        ("files: d.csv", "files: semi.csv", "the header has no comma but `;`", "delimiter"),
        ("files: d.csv", "files: lfs.csv", "a Git LFS pointer", "git lfs pull"),
        ("p: hi", 'p: "{{ b }}"', "uses `b`, which is not a column", "columns: `a`"),
        ("p: hi", 'p: "{{ a | uper }}"', "there is no filter `uper`", "did you mean `upper`"),
        ("p: hi", 'p: "{{ a "', "the user message of prompt `p`", "raw"),
        ("p: hi", "p: {user: hi, response_format: {type: object, properties: {}}}", "a bare JSON Schema", "json_schema: {name"),
        ("p: hi", "p: {user: hi, response_format: {type: json_schema, schema: {}}}", "no `json_schema` around", "json_schema: {name"),
        ("p: hi", "p: {user: hi, response_format: {type: json}}", "the unknown type `json`", "`json_object`"),
        ("p: hi", "p: {user: hi, response_format: {type: json_schema, json_schema: {type: object}}}", "no `schema` inside", "schema"),
    ],
)  # fmt: skip
def test_what_would_fail_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: str, after: str, words: str, way: str
) -> None:
    place(tmp_path, a=SPEC.replace(before, after))
    (tmp_path / "empty.csv").write_text("b\n1\n")
    (tmp_path / "semi.csv").write_text("a;b\n1;2\n")
    (tmp_path / "lfs.csv").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert run(["-C", str(tmp_path), "validate"]) == 1
    err = capsys.readouterr().err
    assert words in err
    assert way in err


@pytest.mark.parametrize(
    ("form", "place_of", "words", "way"),
    [
        ("{type: object, properties: {}}", "{type", "is a bare JSON Schema", "json_schema: {name"),
        ("{type: json_schema, schema: {}}", "{type", "has no `json_schema` around its schema", "json_schema: {name"),
        ("{type: jsonschema}", "{type", "has the unknown type `jsonschema`", "`json_object`"),
        ("{type: json_schema, json_schema: {name: x, schema: {type: objekt}}}", "objekt", "has the unknown JSON type `objekt`", "did you mean `object`?"),
        ("{type: json_schema, json_schema: {name: x, schema: {properties: {type: {type: [string, nul]}}}}}", "nul]", "has the unknown JSON type `nul`", "did you mean `null`?"),
        ("{type: json_schema, json_schema: {name: x, schema: {anyOf: [{type: integer}, {items: {type: null}}]}}}", "null", "has a JSON type that is empty", 'write `type: "null"`, in quotes'),
    ],
)  # fmt: skip
def test_the_form_of_answers_is_judged_in_a_prompt_and_in_params(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, place_of: str, words: str, way: str
) -> None:
    before = {
        "`response_format` of prompt `p`": ("p: hi", "p: {user: hi, response_format: "),
        "`params.response_format` of model `m`": ("name: echo}", "name: echo, params: {response_format: "),
    }
    for number, (where, (old, new)) in enumerate(before.items()):
        spec = SPEC.replace(old, f"{new}{form}}}" + "}" * number)
        place(tmp_path, a=spec)
        assert run(["-C", str(tmp_path), "validate"]) == 1
        err = capsys.readouterr().err
        line = next(at for at, text in enumerate(spec.splitlines(), 1) if form in text)
        column = spec.splitlines()[line - 1].index(form) + form.index(place_of) + 1
        assert f"specs/a.yaml:{line}:{column}: error: {where} {words}\n" in err
        assert way in err
        assert err.count("error:") == 1


@pytest.mark.parametrize(
    ("form", "words", "way"),
    [
        ("{type: object, properties: {}}", "is a bare JSON Schema", "name: answer, schema"),
        ("{schema: {}}", "has no `type`", "name: answer, schema"),
        ("{type: jsonschema}", "has the unknown type `jsonschema`", "`json_object`"),
        ("{type: json_schema, name: x}", "has no `schema`", "name: answer, schema"),
        ("{type: json_schema, name: x, schema: []}", "has a `schema` that is not a mapping", "name: answer, schema"),
        ("{type: json_schema, json_schema: {name: x, schema: {}}}", "has a `json_schema` around its schema", "name: answer, schema"),
        ("{type: json_schema, name: x, schema: {items: {type: objekt}}}", "has the unknown JSON type `objekt`", "did you mean `object`?"),
    ],
)  # fmt: skip
def test_the_form_of_answers_of_the_responses_endpoint_is_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, words: str, way: str
) -> None:
    spec = SPEC.replace("name: echo}", f"name: echo, endpoint: responses, params: {{text: {{format: {form}}}}}}}")
    place(tmp_path, a=spec)
    assert run(["-C", str(tmp_path), "validate"]) == 1
    err = capsys.readouterr().err
    assert f"`params.text.format` of model `m` {words}" in err and way in err
    assert err.count("error:") == 1


def test_the_name_that_openai_wants_of_the_responses_endpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, code in (("", 1), ("name: x, ", 0)):
        form = f"{{type: json_schema, {name}schema: {{type: object}}}}"
        spec = SPEC.replace("name: echo}", f"name: echo, endpoint: responses, params: {{text: {{format: {form}}}}}}}")
        place(tmp_path, a=spec.replace("provider: embedded", "provider: openai"))
        assert run(["-C", str(tmp_path), "validate"]) == code
        assert ("has no `name`, which provider `openai` requires" in capsys.readouterr().err) is bool(code)


@pytest.mark.parametrize(
    "form",
    [
        "{type: json_object}",
        "{type: text}",
        "{type: json_schema, json_schema: {name: x, schema: {type: object, properties: {type: {type: [string, 'null']}}, default: {type: x}}}}",
    ],
)
def test_a_form_of_answers_in_params_that_remotes_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    place(tmp_path, a=SPEC.replace("name: echo}", f"name: echo, params: {{response_format: {form}}}}}"))
    assert run(["-C", str(tmp_path), "validate"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_what_later_steps_would_find_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """A misspelt field, an unknown dataset, a template's filter and its column, each with its place, and once.

    What is misspelt is taken for what it is like: it hides nothing.
    """
    place(
        tmp_path,
        a="""models: {m: {provider: embedded, name: echo}, n: {provider: embedded, name: eco}}
datasets: {d: {files: d.csv}, e: {files: d.csv, id: code}}
prompts:
  p: {user: "{{ a | upcase }}"}
  q:
    user: |
      One
      two {{ missing }}
  r: "{{ b }}"
jobs:
  j: {dataset: d, prompt: p, model: m, ouput: r.csv}
  k: {dataset: dd, prompt: p, model: m, output: k.csv}
  l: {dataset: d, prompt: q, model: m, output: l.csv, window: 500h}
  n: {datset: e, promt: r, model: n, output: n.csv}
""",
    )
    assert run(["-C", str(tmp_path), command, "specs/"]) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("specs/")]
    assert [line.partition(": error")[0] for line in told] == [
        "specs/a.yaml:1:77",  # no model `eco`
        "specs/a.yaml:2:53",  # no column `code`
        "specs/a.yaml:4:21",  # no filter `upcase`
        "specs/a.yaml:8:14",  # no column `missing`
        "specs/a.yaml:9:10",  # no column `b`
        "specs/a.yaml:11:40",  # `ouput`
        "specs/a.yaml:12:16",  # no dataset `dd`
        "specs/a.yaml:13:63",  # no window of 500h
        "specs/a.yaml:14:7",  # `datset`
        "specs/a.yaml:14:18",  # `promt`
    ]


def warnings_of(root: Path, capsys: pytest.CaptureFixture[str], model: str, more: str = "") -> list[str]:
    place(root, a=SPEC.replace("{provider: embedded, name: echo}", model) + more)
    assert run(["-C", str(root), "validate"]) == 0
    return capsys.readouterr().err.splitlines()


def test_params_that_are_not_known_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = "{provider: openai, name: echo, params: {max_token: 5, temperature: 0, own_thing: 1, top_k: 4}}"
    stands = "is not known to `/v1/chat/completions`, and is sent as it stands"
    assert warnings_of(tmp_path, capsys, model) == [
        f"warning: specs/a.yaml:1:53: `params.max_token` of model `m` {stands}; did you mean `max_tokens`?",
        f"warning: specs/a.yaml:1:83: `params.own_thing` of model `m` {stands}",
        f"warning: specs/a.yaml:1:97: `params.top_k` of model `m` {stands}; did you mean `top_p`?",
    ]


@pytest.mark.parametrize(
    ("param", "words"),
    [
        ("temperature: hot", "`params.temperature` of model `m` is `\"hot\"`, a text, and is sent as it stands; it should be a number from 0 to 2"),
        ("temperature: 2.5", "is `2.5`, and is sent as it stands; it should be a number from 0 to 2"),
        ("temperature: true", "is `true`, and is sent as it stands; it should be a number from 0 to 2"),
        ("max_tokens: [5]", "is a list, and is sent as it stands; it should be a whole number of 1 or more"),
        ("max_tokens: '5'", 'is `"5"`, a text, and is sent as it stands; it should be a whole number of 1 or more'),
        ("max_tokens: 5.5", "it should be a whole number of 1 or more"),
        ("n: 200", "it should be a whole number from 1 to 128"),
        ("stop: 3", "it should be text, or a list"),
        ("logit_bias: [1]", "it should be a mapping"),
        ("reasoning_effort: most", "it should be `none`, `minimal`, `low`, `medium`, `high` or `xhigh`"),
        ("parallel_tool_calls: 'no'", "it should be `true` or `false`"),
    ],
)  # fmt: skip
def test_values_of_another_kind_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], param: str, words: str
) -> None:
    (line,) = warnings_of(tmp_path, capsys, f"{{provider: openai, name: gpt-4o, params: {{{param}}}}}")
    assert words in line


@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("{provider: openai, name: gpt-4o, params: {temperature: 0, max_tokens: 5.0, top_p: 1, stop: [a], seed: -1, user: null}}", ""),
        ("{provider: vllm, name: x, params: {top_k: -1, guided_json: {}, chat_template_kwargs: {}, reasoning_effort: any}}", "providers: {vllm: {kind: openai, base_url: http://127.0.0.1:1/v1}}\n"),
        ("{provider: fireworks, name: x, params: {top_k: 40, repetition_penalty: 1.1, raw_output: true}}", ""),
        ("{provider: embedded, name: echo, params: {max_tokens: 5, top_k: 4}}", ""),
    ],
)  # fmt: skip
def test_what_a_remote_takes_is_not_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, more: str
) -> None:
    assert warnings_of(tmp_path, capsys, model, more) == []


def test_each_endpoint_has_params_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    responses = "{provider: openai, name: gpt-5, endpoint: responses, params: {max_tokens: 5, max_output_tokens: 5}}"
    (line,) = warnings_of(tmp_path, capsys, responses)
    assert "`params.max_tokens` of model `m` is not known to `/v1/responses`" in line
    (line,) = warnings_of(tmp_path, capsys, "{provider: openai, name: text-embedding-3, endpoint: embeddings, params: {dimension: 5}}")  # fmt: skip
    assert "did you mean `dimensions`?" in line


def test_a_model_for_rows_and_recordings_is_judged_by_its_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = "{provider: embedded, name: echo, params: {temperatur: 0}}"
    (line,) = warnings_of(tmp_path, capsys, model)
    assert "did you mean `temperature`?" in line


def test_plan_and_apply_say_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place(tmp_path, a=SPEC.replace("name: echo", "name: echo, params: {max_token: 5}"))
    for command in (["plan"], ["apply", "--rehearse"]):
        run(["-C", str(tmp_path), *command])
        assert capsys.readouterr().err.count("did you mean `max_tokens`?") == 1


def test_a_schema_without_the_name_that_openai_wants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    form = "response_format: {type: json_schema, json_schema: {schema: {}}}"
    in_prompt = SPEC.replace("p: hi", f"p: {{user: hi, {form}}}")
    in_params = SPEC.replace("name: echo}", f"name: echo, params: {{{form}}}}}")
    cases = [(spec, *case) for spec in (in_prompt, in_params) for case in (("openai", 1), ("fireworks", 0))]
    for spec, provider, code in cases:
        place(tmp_path, a=spec.replace("provider: embedded", f"provider: {provider}"))
        assert run(["-C", str(tmp_path), "validate"]) == code
        err = capsys.readouterr().err
        assert ("has no `name`, which provider `openai` requires" in err) is bool(code)
        assert ("json_schema: {name: answer" in err) is bool(code)


def test_the_limit_of_a_message_is_set_in_the_providers_block(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = "providers: {{own: {{kind: openai, base_url: http://127.0.0.1:1/v1, overrides: {{limits: {{message_chars: {}}}}}}}}}\n"
    spec = SPEC.replace("p: hi", 'p: "{{ a }}"').replace("provider: embedded", "provider: own")
    for limit, code in ((9, 1), (10, 0), (9, 1)):  # nothing that was compiled under another limit is read back
        place(tmp_path, a=spec + own.format(limit))
        (tmp_path / "d.csv").write_text("a\nabcdefghij\n")
        assert run(["-C", str(tmp_path), "plan", "--offline"]) == code
        err = capsys.readouterr().err
        words = "d.csv:2: error: the user message of prompt `p` has 10 characters, and its provider takes 9"
        assert (words in err) is bool(code), err
    place(tmp_path, a=spec + own.format(0))
    assert run(["-C", str(tmp_path), "validate"]) == 1
    assert "message_chars" in capsys.readouterr().err


def test_a_linked_folder_of_specs_that_is_not_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, away = tmp_path / "project", tmp_path / "away"
    root.mkdir()
    away.mkdir()
    (away / "more.yaml").write_text("jobs: {}\n")
    place(root, a=SPEC)
    words = (
        f"warning: specs/shared: is a link that leads out of the project root, to `{away}`: no spec below it is read\n"
    )
    for command in (["validate"], ["plan"], ["apply"]):  # the second one reads what the first one kept
        run(["-C", str(root), *command])
        assert words not in capsys.readouterr().err
    (root / "specs/shared").symlink_to(away)
    for command in (["validate"], ["plan"], ["apply"], ["plan"]):
        run(["-C", str(root), *command])
        assert capsys.readouterr().err.count(words) == 1
    (away / "more.yaml").unlink()
    run(["-C", str(root), "plan"])
    assert words not in capsys.readouterr().err


TEMPLATES = {
    "{{ word": ("word", "expected `}}`"),
    "{% foo %} {{ word }}": ("foo", "there is no statement `foo`"),
    "{{ word | uper }}": ("uper", "there is no filter `uper`"),
    "{{ word is definde }}": ("definde", "there is no test `definde`"),
    "{{ wrd }}": ("wrd", "which is not a column"),
    "wrd in words {{ word }} and {{ wrd }}": ("wrd }}", "which is not a column"),
    "{% if word %} never closed": ("if", "`{% endif %}` is missing"),
    "{% include 'x' %}": ("include", "`include` cannot be used here"),
    "{{ word + }}": ("{{ word", "unexpected"),
    "{{ word.__class__ }}": ("__class__", "cannot be used here"),
}
WRITTEN = {
    "plain": "user: say TEMPLATE",
    "literal": "user: |\n      Hello\n\n        say TEMPLATE\n      bye",
    "folded": "user: >-\n      Hello,\n      you\n\n      say TEMPLATE\n      bye",
    "single": "user: 'it''s\n\n      say TEMPLATE'",
    "double": 'user: "\\"it\\" \\u00e9\\n \\\n      say TEMPLATE"',
    "system": "system: |\n      say TEMPLATE\n    user: hello",
    "message": "messages:\n      - {role: system, content: be kind}\n      - role: user\n        content: say TEMPLATE",
    "file": "file: prompts/x.md",
}


@pytest.mark.parametrize("way", WRITTEN)
def test_each_error_of_a_template_has_its_line_and_column(tmp_path: Path, way: str) -> None:
    """However YAML writes it, and in a file of its own. One project of many broken prompts each."""
    (tmp_path / "rows.csv").write_text("id,word\n1,x\n")
    (tmp_path / "specs").mkdir()
    (tmp_path / "prompts").mkdir()
    parts = [
        "project: p",
        "models: {m: {provider: embedded, name: echo}}",
        "datasets: {d: {files: rows.csv}}",
        "prompts:",
    ]
    for number, template in enumerate(TEMPLATES):
        written = template.replace("'", "''") if way == "single" else template
        parts.append(f"  p{number}:\n    {WRITTEN[way].replace('TEMPLATE', written).replace('x.md', f'{number}.md')}")
        (tmp_path / f"prompts/{number}.md").write_text(f"Hello\n\n  say {template}\n")
    names = ", ".join(f"p{number}" for number in range(len(TEMPLATES)))
    parts.append(
        f"jobs: {{j: {{matrix: {{prompt: [{names}]}}, dataset: d, model: m, output: 'o/{{{{ prompt }}}}.jsonl'}}}}"
    )
    (tmp_path / "specs/a.yaml").write_text("\n".join(parts) + "\n")
    done = subprocess.run([*RUNNER, "validate"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    heads = re.findall(r"^(\S+):(\d+):(\d+): error: (.*)$", done.stderr, re.MULTILINE)
    assert len(heads) == len(re.findall(r" error: ", done.stderr)) == len(TEMPLATES), done.stderr
    for number, (template, (word, says)) in enumerate(TEMPLATES.items()):
        (head,) = [one for one in heads if f"prompt `p{number}`" in one[3]]
        line = (tmp_path / head[0]).read_text().split("\n")[int(head[1]) - 1]
        assert says in head[3], template
        at = line[int(head[2]) - 1 :]
        assert at.startswith(word) or (template == "{{ word" and at.startswith(("{{", "bye"))), (template, head, at)
        assert head[0] == (f"prompts/{number}.md" if way == "file" else "specs/a.yaml")


def test_files_that_cannot_be_read_have_a_place_in_the_specs(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    (tmp_path / "hidden.csv.gz").write_bytes(b"\x1f\x8bno gzip")
    datasets = ["{files: gone.csv}", "{files: bad.parquet}", "{files: hidden.csv.gz}", "{files: 'none/*.jsonl'}"]
    parts = ["project: p", "models: {m: {provider: embedded, name: echo}}", "prompts: {p: {user: hello}}", "datasets:"]
    parts += [f"  d{number}: {one}" for number, one in enumerate(datasets)]
    parts += ["jobs:", "  a: {audio: 'calls/*.wav', model: m, output: o/}"]
    parts += [f"  j{n}: {{dataset: d{n}, prompt: p, model: m, output: o{n}.jsonl}}" for n in range(len(datasets))]
    (tmp_path / "specs/a.yaml").write_text("\n".join(parts) + "\n")
    done = subprocess.run([*RUNNER, "validate"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    heads = re.findall(r"^(\S+):(\d+):(\d+): error: ", done.stderr, re.MULTILINE)
    assert len(heads) == len(re.findall(r" error: ", done.stderr)) == len(datasets) + 1, done.stderr
    assert {head[0] for head in heads} == {"specs/a.yaml"}


def test_problems_for_programs_and_for_a_pull_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stranger wrote cannot end an annotation, nor begin one of his own."""
    place(tmp_path, a=SPEC, b="")
    where = ["-C", str(tmp_path), "validate", "-o"]
    assert run([*where, "json"]) == 0
    good = json.loads(capsys.readouterr().out)
    must_fit(good, "validate")
    assert (good["is_valid"], good["jobs"], good["files"], good["problems"]) == (True, 1, 2, [])
    assert good["warnings"] == ["specs/b.yaml: the file is empty"]
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path.parent))
    assert run([*where, "github"]) == 0
    assert "::warning::specs/b.yaml: the file is empty\n" in capsys.readouterr().out
    place(tmp_path, a=SPEC.replace("user", "usr"), b='jobs: {"k": {outptu: "a%0A::error::b"}}\n"::error::x": 1\n')
    (tmp_path / "specs/a,b:c.yaml").write_text("nobody: 1\n")
    assert run([*where, "json"]) == 1
    bad = json.loads(capsys.readouterr().out)
    must_fit(bad, "validate")
    assert not bad["is_valid"] and {(one["file"], one["line"]) for one in bad["problems"]} >= {("specs/b.yaml", 1)}
    assert run([*where, "github"]) == 1
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert len(lines) == len(bad["problems"]) and "unknown field" in said.err
    shape = re.compile(r"::error file=([^:,]*),line=\d+,col=\d+::[^\r\n]+")
    found = [shape.fullmatch(line) for line in lines]
    assert all(found), lines
    assert {one[1] for one in found if one} == {
        f"{tmp_path.name}/specs/b.yaml",
        f"{tmp_path.name}/specs/a%2Cb%3Ac.yaml",
    }
    assert annotation(Problem(Mark("a"), "100%", "then\nthis"), "a") == "::error file=a::100%25%0Athen\\nthis"
