"""Valid specs, and the project they become."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import Mark, SpecError, UsageError
from runner.files import LONGEST_NAME
from runner.job.project import ENDPOINTS, AudioJob, Job, Price, Project
from runner.spec.load import load
from runner.spec.problems import render

VALID = Path(__file__).parent / "valid"
NOUNS = """models:
  m: {provider: embedded, name: echo}
  n: {provider: groq, name: llama}
datasets:
  d: {files: data/d.csv}
prompts:
  p: "{{ x }}"
"""


FIREWORKS = """models:
  f: {provider: fireworks, name: x, params: {max_tokens: 5, temperature: 0, stop: [x]}, options: {
    precision: FP8, placement: {regions: US_IOWA_1}}}
datasets:
  d: {files: data/d.csv}
prompts:
  p: "{{ x }}"
"""


def project_of(root: Path, **files: str) -> Project:
    for name, text in files.items():
        (root / "specs").mkdir(exist_ok=True)
        (root / "specs" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return load(["specs"], root)


def job_of(root: Path, fields: str, nouns: str = NOUNS) -> Job:
    [job] = project_of(root, a=f"{nouns}jobs:\n  j: {{{fields}}}\n").jobs
    assert isinstance(job, Job)
    return job


def test_the_example_of_the_design(tmp_path: Path) -> None:
    text = (VALID / "capitals.yaml").read_text()
    project = project_of(tmp_path, capitals=text)
    assert project.name == "capitals"
    assert [job.address for job in project.jobs] == [
        "capitals",
        "compare:model=llama,prompt=long",
        "compare:model=llama,prompt=short",
        "compare:model=qwen,prompt=long",
        "compare:model=qwen,prompt=short",
    ]
    job = project.jobs[0]
    assert job.output == "results/capitals.jsonl"
    assert (job.window_hours, job.replicate, job.max_attempts, job.on_unknown) == (24, 1, 3, "")
    assert job.dataset.files == ("data/countries.csv",)
    assert (job.dataset.id, job.dataset.sample_rows, job.dataset.sample_seed) == ("code", 100, 7)
    assert job.dataset.where == "{{ population | int > 1_000_000 }}"
    assert [(m.role, m.content) for m in job.prompt.messages] == [
        ("system", "You are a geographer."),
        ("user", "What is the capital of {{ country }}?"),
    ]
    assert list(job.prompt.response_format or {}) == ["type", "json_schema"]
    assert job.model.name == "gpt-4o-mini"
    assert (job.model.endpoint, job.model.price) == (ENDPOINTS[0], Price(0.2, 0.2))
    assert job.model.params == {"max_tokens": 64, "temperature": 0}
    assert project.jobs[1].output == "results/compare/llama-long.jsonl"
    assert project.jobs[1].cell == {"model": "llama", "prompt": "long"}
    assert sorted(project.providers) == ["fastapi-ai", "openai"]
    provider = project.providers["fastapi-ai"]
    assert (provider.kind, provider.base_url) == ("openai", "https://api.fastapi.ai/v1")
    assert provider.api_key_env == "FAST_API_KEY"
    assert project.files == ("specs/capitals.yaml",)
    assert project.warnings == ()


@pytest.mark.parametrize("file", sorted(VALID.glob("*.yaml")), ids=lambda file: file.stem)
def test_valid_specs_are_valid(file: Path, tmp_path: Path) -> None:
    assert project_of(tmp_path, **{file.stem: file.read_text(encoding="utf-8")}).files


def test_places_where_template_text_starts(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/x.md.j2").write_bytes(b"\xef\xbb\xbfone\r\n{{ two }}\r\n")
    text = """prompts:
  block:
    system: |
      first
    user: "quoted {{ x }}"
  list:
    messages:
      - role: user
        content: >-
          folded
  file: {system: a, file: ./prompts/x.md.j2}
  short: plain
models: {m: {provider: openai, name: g}}
datasets: {d: {files: [d.jsonl], where: "{{ a }}"}}
jobs:
  j:
    matrix: {prompt: [block, list, file, short]}
    dataset: d
    model: m
    window: 7d
    output: "{{ job }}/{{prompt}}.csv"
"""
    jobs = {job.cell["prompt"]: job for job in project_of(tmp_path, a=text).jobs}
    messages = {key: job.prompt.messages for key, job in jobs.items()}
    assert [m.mark for m in messages["block"]] == [Mark("specs/a.yaml", 4, 1), Mark("specs/a.yaml", 5, 11)]
    assert messages["list"][0].mark == Mark("specs/a.yaml", 10, 1)
    assert messages["file"][1].mark == Mark("prompts/x.md.j2", 1, 1)
    assert messages["file"][1].content == "one\n{{ two }}\n"
    assert messages["short"][0].mark == Mark("specs/a.yaml", 12, 10)
    job = jobs["block"]
    assert (job.mark, job.output_mark) == (Mark("specs/a.yaml", 16, 3), Mark("specs/a.yaml", 21, 13))
    assert (job.window_mark, job.window_hours) == (Mark("specs/a.yaml", 20, 13), 168)
    assert job.dataset.where_mark == Mark("specs/a.yaml", 14, 41)
    assert job.output == "j/block.csv"


def test_a_matrix_over_everything(tmp_path: Path) -> None:
    text = NOUNS + (
        "jobs:\n  j:\n    matrix: {model: [n, m], replicate: [1, 2], window: [24h, 2d]}\n    dataset: d\n"
        '    prompt: p\n    output: "r/{{ model }}/{{ replicate }}-{{ window }}.jsonl"\n'
    )
    jobs = project_of(tmp_path, a=text).jobs
    assert len(jobs) == 8
    assert [job.address for job in jobs] == sorted(job.address for job in jobs)
    last = jobs[-1]
    assert last.address == "j:model=n,replicate=2,window=48h"
    assert (last.replicate, last.window_hours, last.output) == (2, 48, "r/n/2-48h.jsonl")


def test_numbers_where_text_is_wanted_keep_their_source(tmp_path: Path) -> None:
    nouns = "models: {m: {provider: openai, name: 3.10}}\ndatasets: {d: {files: d.csv}}\nprompts: {p: 0x10, q: 1.0}\n"
    job = job_of(tmp_path, "dataset: d, prompt: p, model: m, output: a.csv", nouns)
    assert job.model.name == "3.10"
    assert job.prompt.messages[0].content == "0x10"


def test_parameters_are_plain_numbers(tmp_path: Path) -> None:
    nouns = NOUNS.replace("name: llama", "name: llama, params: {a: 1.50, b: [2, {c: 1e3}], d: null, e: no}")
    params = job_of(tmp_path, "dataset: d, prompt: p, model: n, output: a.csv", nouns).model.params
    assert params == {"a": 1.5, "b": [2, {"c": 1000.0}], "d": None, "e": "no"}
    assert [type(value) for value in (params["a"], params["b"][0], params["b"][1]["c"])] == [float, int, float]


def test_anchors_and_merge_keys(tmp_path: Path) -> None:
    text = (
        "x-base: &base {provider: openai, params: {temperature: 0}}\nmodels:\n  a: {<<: *base, name: one}\n"
        "  b: {<<: *base, name: two, params: {temperature: 1}}\ndatasets: {d: {files: d.csv}}\nprompts: {p: hi}\n"
        'jobs: {j: {matrix: {model: [a, b]}, dataset: d, prompt: p, output: "{{ model }}.csv"}}\n'
    )
    jobs = project_of(tmp_path, a=text).jobs
    assert [job.model.params["temperature"] for job in jobs] == [0, 1]


@pytest.mark.parametrize(
    ("written", "hours"), [("24h", 24), ("7d", 168), ("120m", 2), ('"36h"', 36), ("1h", 1), ("365d", 8760)]
)
def test_windows(tmp_path: Path, written: str, hours: int) -> None:
    job = job_of(tmp_path, f"dataset: d, prompt: p, model: m, output: a.csv, window: {written}")
    assert job.window_hours == hours


def test_the_window_a_provider_declares_is_its_default(tmp_path: Path) -> None:
    nouns = NOUNS + "providers:\n  groq: {overrides: {window: {default: 48h}}}\n"
    assert job_of(tmp_path, "dataset: d, prompt: p, model: n, output: a.csv", nouns).window_hours == 48
    assert job_of(tmp_path, "dataset: d, prompt: p, model: m, output: a.csv", nouns).window_hours == 24


@pytest.mark.parametrize(
    ("written", "endpoint"),
    [("chat", 0), ("responses", 1), ("embeddings", 2), ("completions", 3), ("/v1/embeddings", 2)],
)
def test_endpoints(tmp_path: Path, written: str, endpoint: int) -> None:
    nouns = NOUNS.replace("name: llama", f"name: llama, endpoint: {written}")
    job = job_of(tmp_path, "dataset: d, prompt: p, model: n, output: a.csv", nouns)
    assert job.model.endpoint == ENDPOINTS[endpoint]


def test_embeddings_need_no_price_of_output(tmp_path: Path) -> None:
    nouns = NOUNS.replace("name: llama", "name: llama, endpoint: embeddings, price: {input: 0.02}")
    assert job_of(tmp_path, "dataset: d, prompt: p, model: n, output: a.csv", nouns).model.price == Price(0.02, 0)


def test_providers(tmp_path: Path) -> None:
    text = """providers:
  embedded:
  mine: {kind: openai, base_url: http://localhost:8080/v1/, account: team, overrides: {
    limits: {lines: 100}, list: {style: none}, status_map: {in_queue: validating}, window: {min: 24h, max: 48},
    query: {api-version: 2024-10-21}, cancel_terminal: 400, min_poll_s: 1, endpoints: [chat]}}
  groq2: {profile: groq, api_key_env: OTHER_KEY}
"""
    providers = project_of(tmp_path, a=text).providers
    assert sorted(providers) == ["embedded", "groq2", "mine"]
    mine = providers["mine"]
    assert mine.base_url == "http://localhost:8080/v1"
    assert mine.overrides == {
        "limits": {"lines": 100},
        "list": {"style": "none"},
        "status_map": {"in_queue": "validating"},
        "window": {"min": 24, "max": 48},
        "query": {"api-version": "2024-10-21"},
        "cancel_terminal": 400,
        "min_poll_s": 1.0,
        "endpoints": [ENDPOINTS[0]],
    }
    assert (providers["groq2"].kind, providers["groq2"].profile) == ("openai", "groq")
    assert providers["embedded"].kind == "embedded"


def test_remotes_with_datasets(tmp_path: Path) -> None:
    text = """providers:
  fireworks: {account: acme}
  mine: {kind: fireworks, base_url: http://localhost:8080/, api_key_env: MINE, overrides: {
    limits: {output_bytes: 5}, window: {default: 1d, allowed: [24h, 2d]}, storage_hosts: .example.com, max_poll_s: 9}}
"""
    providers = project_of(tmp_path, a=text).providers
    assert (providers["fireworks"].kind, providers["fireworks"].account) == ("fireworks", "acme")
    mine = providers["mine"]
    assert (mine.kind, mine.base_url, mine.api_key_env) == ("fireworks", "http://localhost:8080", "MINE")
    assert mine.overrides == {
        "limits": {"output_bytes": 5},
        "window": {"default": 24, "allowed": [24, 48]},
        "storage_hosts": [".example.com"],
        "max_poll_s": 9.0,
    }
    job = job_of(tmp_path, "dataset: d, prompt: p, model: f, output: o.csv", nouns=f"{text}{FIREWORKS}")
    assert job.model.options == {"precision": "FP8", "placement": {"regions": ["US_IOWA_1"]}}
    assert job.model.params == {"max_tokens": 5, "temperature": 0, "stop": ["x"]}


AUDIO = """models:
  w: {provider: fireworks-audio, name: whisper-v3, params: {FORM}, price: {per_minute: 0.01}}
  t: {provider: fireworks-audio, name: whisper-v3-turbo, options: {path: v9/hear/}}
  o: {provider: fireworks-audio, name: mine, options: {endpoint_id: x}}
  e: {provider: embedded, name: pocketsphinx, params: {prompt: Ahoy}}
"""


def audio_job_of(root: Path, fields: str, form: str = "") -> AudioJob:
    [job] = project_of(root, a=f"{AUDIO.replace('FORM', form)}jobs:\n  j: {{{fields}}}\n").jobs
    assert isinstance(job, AudioJob)
    return job


def test_a_job_of_recordings(tmp_path: Path) -> None:
    fields = "audio: ['calls/*.flac', calls/x.wav], exclude: drafts, model: w, output: t//s/"
    job = audio_job_of(tmp_path, fields, "diarize: true, response_format: verbose_json, timestamp_granularities: word")
    assert (job.patterns, job.exclude, job.task) == (("calls/*.flac", "calls/x.wav"), ("drafts",), "transcribe")
    assert (job.path, job.endpoint_id, job.output) == ("/v1/audio/transcriptions", "audio-prod", "t/s/")
    assert job.model.price == Price(per_minute=0.01)
    assert (job.window_hours, job.replicate, job.on_unknown) == (24, 1, "")
    assert str(job.patterns_mark) == "specs/a.yaml:7:14"


@pytest.mark.parametrize(
    ("model", "task", "path", "endpoint_id"),
    [
        ("w", "translate", "/v1/audio/translations", "audio-prod"),
        ("t", "transcribe", "/v9/hear", "audio-turbo"),
        ("o", "transcribe", "/v1/audio/transcriptions", "x"),
        ("e", "translate", "/v1/audio/translations", ""),
    ],
)
def test_where_recordings_are_sent(tmp_path: Path, model: str, task: str, path: str, endpoint_id: str) -> None:
    job = audio_job_of(tmp_path, f"audio: a.wav, task: {task}, model: {model}, output: o.csv")
    assert (job.path, job.endpoint_id) == (path, endpoint_id)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("temperature: 0", "0"),
        ("temperature: 0.0", "0"),
        ("temperature: 0.20", "0.2"),
        ("temperature: [0.0, 0.2, 1]", "0,0.2,1"),
        ("language: no", "no"),
        ("skip_vad: false", "false"),
        ("max_clip_len: 1e3", "1000"),
        ("prompt: 3.10", "3.10"),
        ("prompt: 'a, b'", "a, b"),
    ],
)
def test_a_form_is_texts(tmp_path: Path, written: str, sent: str) -> None:
    job = audio_job_of(tmp_path, "audio: a.wav, model: w, output: o.csv", written)
    assert job.fields == ((written.split(":")[0], sent),)


def test_a_form_is_sorted(tmp_path: Path) -> None:
    form = "timestamp_granularities: 'word, segment', response_format: verbose_json, language: de, diarize: true"
    job = audio_job_of(tmp_path, "audio: a.wav, model: w, output: o.csv", form)
    assert job.fields == (
        ("diarize", "true"),
        ("language", "de"),
        ("response_format", "verbose_json"),
        ("timestamp_granularities", "word,segment"),
    )


def test_a_matrix_over_models_that_hear(tmp_path: Path) -> None:
    fields = 'audio: a.wav, matrix: {model: [w, e], replicate: [1, 2]}, output: "o/{{ model }}-{{ replicate }}/"'
    text = f"{AUDIO.replace('FORM', '')}jobs:\n  j: {{{fields}}}\n"
    jobs = project_of(tmp_path, a=text).jobs
    assert [job.address for job in jobs][:2] == ["j:model=e,replicate=1", "j:model=e,replicate=2"]
    assert [job.output for job in jobs] == ["o/e-1/", "o/e-2/", "o/w-1/", "o/w-2/"]
    assert all(isinstance(job, AudioJob) for job in jobs)


def test_transcripts_may_lie_among_excluded_files(tmp_path: Path) -> None:
    text = f"{AUDIO.replace('FORM', '')}jobs:\n"
    text += "  j: {audio: 'calls/**/*', exclude: [texts], model: w, output: calls/texts/}\n"
    assert project_of(tmp_path, a=text).jobs[0].output == "calls/texts/"


def test_an_output_folder_may_be_there_but_not_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("x")
    assert audio_job_of(tmp_path, "audio: a.wav, model: w, output: there/").output == "there/"
    with pytest.raises(SpecError) as caught:
        audio_job_of(tmp_path, "audio: a.wav, model: w, output: file/")
    assert "`output` of job `j` is a file" in render(caught.value.problems, tmp_path)


def test_an_unspecified_precision_is_none(tmp_path: Path) -> None:
    text = FIREWORKS.replace("precision: FP8", "precision: PRECISION_UNSPECIFIED")
    job = job_of(tmp_path, "dataset: d, prompt: p, model: f, output: o.csv", nouns=text)
    assert job.model.options == {"placement": {"regions": ["US_IOWA_1"]}}


def test_every_field_of_a_job(tmp_path: Path) -> None:
    job = job_of(
        tmp_path,
        "dataset: d, prompt: p, model: m, output: ./r//a.parquet, replicate: 2, max_attempts: 5, "
        "on_unknown: resubmit, allow_empty: true, budget: 2.50, protect: true",
    )
    assert (job.output, job.replicate, job.max_attempts, job.on_unknown) == ("r/a.parquet", 2, 5, "resubmit")
    assert (job.allow_empty, job.budget, job.protect) == (True, 2.5, True)
    assert type(job.replicate) is int


def test_declarations_are_shared_by_all_files(tmp_path: Path) -> None:
    project = project_of(
        tmp_path,
        jobs="jobs: {j: {dataset: d, prompt: p, model: m, output: a.csv}}\nbudget: 5\n",
        nouns=NOUNS + "version: 1\n",
        empty="# nothing yet\n",
        name="project: shared\nversion: 1\n",
    )
    assert [job.address for job in project.jobs] == ["j"]
    assert (project.name, project.budget, project.paths) == ("shared", 5.0, ("specs",))
    assert project.warnings == ("specs/empty.yaml: the file is empty",)


def test_a_project_without_a_name_is_called_runner(tmp_path: Path) -> None:
    assert project_of(tmp_path, a="models:\n").name == "runner"


def test_an_output_cannot_leave_through_a_symlink(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "results").symlink_to(tmp_path)
    with pytest.raises(SpecError) as caught:
        job_of(root, "dataset: d, prompt: p, model: m, output: results/a.csv")
    assert "leaves the project root through a symlink" in caught.value.problems[0].message


def test_an_output_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(SpecError) as caught:
        job_of(tmp_path, "dataset: d, prompt: p, model: m, output: a.csv")
    assert caught.value.problems[0].message == "`output` of job `j` is a folder"


@pytest.mark.parametrize("output", ["file/a.csv", "file/b/a.csv", "there/file/a.csv"])
def test_an_output_below_a_file(tmp_path: Path, output: str) -> None:
    (tmp_path / "there").mkdir()
    for file in ("file", "there/file"):
        (tmp_path / file).write_text("x")
    with pytest.raises(SpecError) as caught:
        job_of(tmp_path, f"dataset: d, prompt: p, model: m, output: {output}")
    file = output[: output.index("file") + 4]
    assert f"`output` of job `j` needs the folder `{file}/`, and `{file}` is a file" in caught.value.problems[0].message


def test_an_output_has_a_name_that_a_file_can_be_written_beside(tmp_path: Path) -> None:
    name = "n" * (LONGEST_NAME - len(".csv")) + ".csv"
    job_of(tmp_path, f"dataset: d, prompt: p, model: m, output: {name}")
    longest_of_all = f".{name}.{2**22}.part"
    (tmp_path / longest_of_all).write_text("what `files.whole` may write")
    with pytest.raises(SpecError) as caught:
        job_of(tmp_path, f"dataset: d, prompt: p, model: m, output: n{name}")
    assert "is too long for a file name" in caught.value.problems[0].message


def test_a_prompt_file_cannot_be_reached_through_a_symlink(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.md").write_text("secret")
    (root / "p.md").symlink_to(tmp_path / "secret.md")
    with pytest.raises(SpecError) as caught:
        project_of(root, a="prompts: {p: {file: p.md}}\n")
    assert "below the project root" in caught.value.problems[0].message


def test_an_unreadable_file_hides_no_other_problem_and_invents_none(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        project_of(
            tmp_path,
            a="models: [\n",
            b=NOUNS + "jobs: {j: {dataset: d, prompt: p, model: elsewhere, output: a.txt}}\n",
        )
    assert {problem.mark.file for problem in caught.value.problems} == {"specs/a.yaml"}


def test_keys_never_show(tmp_path: Path) -> None:
    keys = ["sk-proj-A1b2C3d4E5f6G7h8J9k0", "gsk_A1b2C3d4E5f6G7h8J9k0", "9f8a7b6c5d4e3f2a1b0c9d8e"]
    texts = [
        f"providers: {{openai: {{api_key: {keys[0]}}}}}\n",
        f"providers: {{openai: {{api_key: '{keys[2]}', api_key_env: {keys[1]}}}}}\n",
        f"models: {{m: {{provider: {keys[0]}, name: x, endpoint: {keys[1]}}}}}\n",
        f"models: {{{keys[0]}: {{provider: openai, name: x}}}}\n",
        f"project: {keys[1]}\nversion: {keys[0]}\n{keys[0]}: 1\n{keys[0]}: 2\n",
        f"jobs: {{j: {{dataset: {keys[0]}, {keys[1]}: 1}}}}\n",
        f"x: *{keys[0]}\n",
        f"x: [{keys[0]}\n",
        f"api_key: {keys[2]}\n\tx: 1\n",
        f"models: !{keys[0]} x\n",
        f"prompts: {{p: {{file: {keys[0]}}}}}\n",
    ]
    for text in texts:
        with pytest.raises(SpecError) as caught:
            project_of(tmp_path, a=text)
        shown = render(caught.value.problems, tmp_path) + repr(caught.value.problems) + str(caught.value)
        assert not [key for key in keys if key in shown], shown


def test_a_thousand_files_load_quickly(tmp_path: Path) -> None:
    """A second is the aim on an idle machine; the bound here leaves room for a busy one."""
    (tmp_path / "specs").mkdir()
    for n in range(1000):
        (tmp_path / f"specs/{n}.yaml").write_text(
            f"models:\n  m{n}: {{provider: openai, name: g}}\ndatasets:\n  d{n}: {{files: data/{n}.csv}}\n"
            f"prompts:\n  p{n}: hi\njobs:\n  j{n}: {{dataset: d{n}, prompt: p{n}, model: m{n}, output: r/{n}.csv}}\n"
        )
    started = time.process_time()
    assert len(load(["specs"], tmp_path).jobs) == 1000
    assert time.process_time() - started < 4


WORDS = [
    "version", "project", "models", "datasets", "prompts", "jobs", "providers", "budget", "m", "d", "p", "j",
    "provider", "name", "params", "price", "files", "id", "where", "sample", "rows", "user", "system",
    "messages", "file", "matrix", "window", "output", "model", "prompt", "dataset", "replicate", "kind",
    "base_url", "overrides", "audio", "protect", "x-a", "<<", "1", "true",
]  # fmt: skip
KEYS = st.sampled_from(WORDS)
LEAVES = st.sampled_from(
    ["1", "24h", "text", "", "true", "[]", "{}", "openai", "embedded", "a.csv", '"{{ model }}.csv"', "m", ".inf", "d"]
)


def _yaml(value: Any, indent: int = 0) -> str:
    if isinstance(value, dict):
        return "".join(f"\n{' ' * indent}{key}: {_yaml(inner, indent + 2)}" for key, inner in value.items())
    if isinstance(value, list):
        return "".join(f"\n{' ' * indent}- {_yaml(inner, indent + 2).lstrip()}" for inner in value)
    return str(value)


TREES = st.recursive(
    LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=5) | st.lists(inner, max_size=3), max_leaves=40
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, TREES, max_size=6))
def test_anything_gives_a_project_or_problems(tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]) -> None:
    root = tmp_path_factory.getbasetemp()
    (root / "specs").mkdir(exist_ok=True)
    (root / "specs/any.yaml").write_text(_yaml(value).lstrip("\n") + "\n")
    try:
        load(["specs"], root)
    except SpecError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.message and problem.message.isprintable()
            assert "not valid" not in problem.message
        assert render(error.problems, root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/a.yaml").touch(mode=0)
    with pytest.raises(SpecError, match="1 problem"):
        load(["specs"], tmp_path)


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        load(["specs"], tmp_path)
