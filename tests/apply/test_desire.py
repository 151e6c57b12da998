"""What the planner and the providers learn about a job besides its rows."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.apply.desire import compile_all, desire
from runner.apply.remotes import Remotes
from runner.clock import FastClock
from runner.errors import SpecError
from runner.job.capabilities import Search
from runner.job.desired import Desired
from runner.job.project import Project
from runner.spec.load import load
from tests.data import sounds

SPEC = """
models:
  fw: {provider: fireworks, name: x, params: {top_p: 1.0, max_tokens: 5}, options: {precision: FP8}}
  oa: {provider: openai, name: x, params: {top_p: 1.0, max_tokens: 5}}
datasets:
  d: {files: d.csv}
prompts:
  p: SYSTEM
jobs:
  j: {dataset: d, prompt: p, model: fw, output: fw.jsonl}
  k: {dataset: d, prompt: p, model: oa, output: oa.jsonl}
"""


def desired(root: Path, prompt: str) -> list[Desired]:
    return desired_and_bodies(root, prompt)[0]


def desired_and_bodies(root: Path, prompt: str) -> tuple[list[Desired], list[dict[str, Any]]]:
    """The jobs, and the body of the first row of each."""
    (root / "specs").mkdir()
    (root / "specs/a.yaml").write_text(SPEC.replace("SYSTEM", prompt))
    (root / "d.csv").write_text("x\nPeru\n")
    project = load(["specs"], root)
    environ = {"FIREWORKS_ACCOUNT_ID": "acme"}
    remotes = Remotes(project, environ=environ, clock=FastClock(), rng=random.Random(1), may_start=False)
    compiled = compile_all(project, remotes, root / "memo", keeps=False)
    lines = [next(iter(one.lines([0]))) for _, one in sorted(compiled.items())]
    return desire(project, compiled, remotes), [msgspec.json.decode(line.data)["body"] for line in lines]


def test_params_and_options_are_those_of_the_model(tmp_path: Path) -> None:
    fireworks, openai = desired(tmp_path, "hi {{ x }}")
    assert fireworks.params == openai.params == {"max_tokens": 5, "top_p": 1}
    assert list(fireworks.params) == ["max_tokens", "top_p"]  # as they stand in every row
    assert (fireworks.options, openai.options) == ({"precision": "FP8"}, {})
    assert fireworks.card.limits.output_bytes == 8_000_000_000


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ('{system: "Be brief.\\r\\nPlease.\\n", user: "{{ x }}"}', "Be brief.\nPlease.\n"),
        ('{system: "100 % {of} it", user: "{{ x }}"}', "100 % {of} it"),
        ('{system: "Speak of {{ x }}", user: hi}', ""),
        ('{system: "{# nothing #}Be brief", user: hi}', ""),
        ('{system: "{% raw %}Be brief{% endraw %}", user: hi}', ""),
        ("{user: hi}", ""),
        ("{messages: [{role: user, content: hi}, {role: system, content: Be brief.}]}", ""),
        ("{messages: [{role: system, content: Be brief.}, {role: user, content: hi}]}", "Be brief."),
    ],
)
def test_the_system_prompt_is_the_text_every_row_begins_with(tmp_path: Path, prompt: str, expected: str) -> None:
    (fireworks, openai), (body, _) = desired_and_bodies(tmp_path, prompt)
    assert fireworks.system_prompt == expected
    assert not expected or body["messages"][0] == {"role": "system", "content": expected}
    assert openai.system_prompt == ""


AUDIO = """
models:
  w: {provider: fireworks-audio, name: whisper-v3, params: {temperature: 0.0}, price: {per_minute: 0.01}}
  e: {provider: embedded, name: pocketsphinx}
jobs:
  j: {audio: calls/*, model: w, output: texts/, on_unknown: resubmit}
  k: {audio: calls/*.wav, task: translate, model: e, output: texts.csv, WINDOW}
"""


def audio_project(root: Path, window: str = "") -> tuple[Project, Remotes]:
    (root / "specs").mkdir()
    (root / "specs/a.yaml").write_text(AUDIO.replace("WINDOW", window))
    (root / "calls").mkdir()
    (root / "calls/a.wav").write_bytes(sounds.wav())
    (root / "calls/b.amr").write_bytes(b"#!AMR\n" + bytes(40))
    project = load(["specs"], root)
    environ = {"RUNNER_HOME": str(root / "home")}
    return project, Remotes(project, environ=environ, clock=FastClock(), rng=random.Random(1), may_start=False)


def test_recordings_are_wanted_by_what_they_hold(tmp_path: Path) -> None:
    project, remotes = audio_project(tmp_path)
    compiled = compile_all(project, remotes, tmp_path / "memo", keeps=True)
    one, two = desire(project, compiled, remotes)
    assert (one.endpoint, one.model, one.rows, one.tokens) == ("/v1/audio/transcriptions", "whisper-v3", 2, 0)
    assert list(one.seconds or ()) == [1.5, -1]
    assert (one.usd_per_minute, one.usd_per_million, one.max_output_tokens) == (0.01, None, None)
    assert (one.params, one.options, one.on_unknown) == (
        {"temperature": "0"},
        {"endpoint_id": "audio-prod"},
        "resubmit",
    )
    assert (one.card.search, one.card.is_free) == (Search.NONE, False)
    assert (two.endpoint, two.rows, two.options, two.usd_per_minute) == ("/v1/audio/translations", 1, {}, None)
    assert two.card.is_free
    assert set(one.card.endpoints) >= {one.endpoint, two.endpoint}


def test_recordings_have_no_windows(tmp_path: Path) -> None:
    project, remotes = audio_project(tmp_path, "window: 48h")
    with pytest.raises(SpecError) as caught:
        compile_all(project, remotes, tmp_path / "memo", keeps=False)
    (problem,) = caught.value.problems
    assert (problem.message, str(problem.mark)[:15]) == ("provider `embedded` has no window of 48h", "specs/a.yaml:7:")


ASKED = {  # by job, SHA-256 over the keys of its rows, from before the examples had checks and columns with the truth
    "capitals": "f328cfd6132b791c",
    "elements:prompt=short": "f70240b0e60f5de0",
    "elements:prompt=taught": "d8ce0ca12a61a39c",
    "recordings": "22ae34d1d2624071",
}


def test_the_examples_ask_what_they_asked_before_they_were_held_to_anything(tmp_path: Path) -> None:
    project = load(["specs"], Path(__file__).parents[2])
    assert all(job.evals.checks for job in project.jobs if job.name != "recordings")
    remotes = Remotes(project, environ={}, clock=FastClock(), rng=random.Random(1), may_start=False)
    compiled = compile_all(project, remotes, tmp_path / "memo", keeps=False)
    found = {address: hashlib.sha256(bytes(one.wanted.keys)).hexdigest()[:16] for address, one in compiled.items()}
    assert found == ASKED
