"""`runner render` prints what would be sent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from runner.job.wireid import key_of
from tests.compile.made import COUNTRIES, write_rows
from tests.data import sounds

SPEC = """
project: capitals
models:
  one: {provider: openai, name: gpt-x, params: {temperature: 0}}
  two: {provider: openai, name: gpt-y}
datasets:
  countries: {files: a.jsonl, id: code}
prompts:
  capital: {user: "Capital of {{ country }}?"}
jobs:
  plain: {dataset: countries, prompt: capital, model: one, output: out.jsonl}
  both: {matrix: {model: [one, two]}, dataset: countries, prompt: capital, output: "out/{{ model }}.jsonl"}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "a.yaml").write_text(SPEC)
    write_rows(tmp_path, COUNTRIES)
    return tmp_path


def render(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runner", "-C", str(root), "render", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_job_prints_one_line_a_row(root: Path) -> None:
    done = render(root, "plain")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert [line["custom_id"][:3] for line in lines] == ["PE-", "TD-", "CI-"]
    assert all(key_of(line["custom_id"]) for line in lines)
    assert lines[0]["url"] == "/v1/chat/completions"
    assert lines[0]["body"] == {
        "model": "gpt-x",
        "temperature": 0,
        "messages": [{"role": "user", "content": "Capital of Perú?"}],
    }


def test_a_matrix_prints_its_cells_and_rows_can_be_few(root: Path) -> None:
    done = render(root, "both", "specs", "--rows", "2")
    models = [msgspec.json.decode(line)["body"]["model"] for line in done.stdout.splitlines()]
    assert models == ["gpt-x", "gpt-x", "gpt-y", "gpt-y"]
    one = render(root, "both:model=two", "--rows", "1")
    assert [msgspec.json.decode(line)["body"]["model"] for line in one.stdout.splitlines()] == ["gpt-y"]


def test_lines_are_those_of_the_provider(root: Path) -> None:
    """One whose jobs name the model gets rows without it."""
    (root / "specs" / "a.yaml").write_text(
        SPEC.replace("provider: openai, name: gpt-x", "provider: fireworks, name: x")
    )
    done = render(root, "plain", "--rows", "1")
    assert (done.returncode, done.stderr) == (0, "")
    line = msgspec.json.decode(done.stdout)
    assert sorted(line) == ["body", "custom_id"]
    assert line["body"] == {"temperature": 0, "messages": [{"role": "user", "content": "Capital of Perú?"}]}


def test_recordings_are_described(root: Path) -> None:
    (root / "specs" / "b.yaml").write_text(
        "models: {w: {provider: fireworks-audio, name: whisper-v3}}\n"
        "jobs: {calls: {audio: '*.wav', model: w, output: texts/}}\n"
    )
    (root / "a.wav").write_bytes(sounds.wav())
    done = render(root, "calls")
    assert (done.returncode, done.stderr) == (0, "")
    line = msgspec.json.decode(done.stdout)
    assert key_of(line.pop("custom_id"))
    assert line["file"] == "a.wav"
    assert line["form"] == {"model": "whisper-v3"}


def test_an_unknown_address_and_a_broken_template_are_explained(root: Path) -> None:
    done = render(root, "plian")
    assert done.returncode == 64
    assert "did you mean `plain`?" in done.stderr
    (root / "specs" / "a.yaml").write_text(SPEC.replace("country }}", "contry }}"))
    done = render(root, "plain")
    assert (done.returncode, done.stdout) == (1, "")
    assert "did you mean `country`?" in done.stderr
