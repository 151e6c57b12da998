"""Completion as shells ask for it: bash is really run, the others get the words that click's own scripts take."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.job.address import matches

SPEC = """\
models: {llama: {provider: embedded, name: echo}, qwen: {provider: embedded, name: echo}}
datasets: {rows: {files: rows.csv}}
prompts: {short: {user: "a {{ w }}"}, long: {user: "aa {{ w }}"}}
jobs:
  compare:
    matrix: {model: [llama, qwen], prompt: [short, long]}
    dataset: rows
    output: "results/{{ model }}-{{ prompt }}.jsonl"
  single: {model: llama, prompt: short, dataset: rows, output: results/s.jsonl}
"""
ASK = """
runner() { "$PYTHON" -m runner "$@"; }
export -f runner
eval "$(_RUNNER_COMPLETE=bash_source "$PYTHON" -m runner)"
COMP_LINE="$1"; COMP_POINT=${#1}
_runner_completion "$RUNNER"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/a.yaml").write_text(SPEC)
    (tmp_path / "rows.csv").write_text("w\nx\n")
    (tmp_path / "runner").write_text(f'#!/bin/sh\nexec {sys.executable} -m runner "$@"\n')
    (tmp_path / "runner").chmod(0o755)
    return tmp_path


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("runner sho", ["show"]),
        ("runner show s", ["single"]),
        ("runner show compare:model=l", ["llama,prompt=long", "llama,prompt=short"]),  # what bash takes for the word
        ("runner cancel compare:prompt=short,", ["short,model=llama", "short,model=qwen"]),
        ("runner apply --first", ["--first-run"]),
        ("runner show nothing", []),
    ],
)
def test_bash(project: Path, line: str, offered: list[str]) -> None:
    environ = {**os.environ, "PYTHON": sys.executable, "RUNNER": str(project / "runner")}
    done = subprocess.run(["bash", "-c", ASK, "bash", line], cwd=project, env=environ, capture_output=True, text=True)
    assert done.stderr == ""
    assert [one for one in done.stdout.split("\n") if one] == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_words_that_other_shells_are_given(project: Path, shell: str) -> None:
    words, at = "runner show compare:prompt=short,", "2" if shell == "zsh" else "compare:prompt=short,"
    environ = {**os.environ, "_RUNNER_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": at}
    done = subprocess.run([sys.executable, "-m", "runner"], cwd=project, env=environ, capture_output=True, text=True)
    assert "compare:prompt=short,model=llama" in done.stdout, done.stderr
    environ["_RUNNER_COMPLETE"] = f"{shell}_source"
    done = subprocess.run([sys.executable, "-m", "runner"], cwd=project, env=environ, capture_output=True, text=True)
    assert f"_RUNNER_COMPLETE={shell}_complete" in done.stdout


def test_a_broken_spec_completes_nothing_and_says_nothing(project: Path) -> None:
    (project / "specs/a.yaml").write_text("jobs: [")
    environ = {**os.environ, "_RUNNER_COMPLETE": "bash_complete", "COMP_LINE": "runner show s"}
    done = subprocess.run([sys.executable, "-m", "runner"], cwd=project, env=environ, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_cells_in_any_order() -> None:
    address = "compare:model=llama,prompt=short"
    for typed in ("compare", address, "compare:prompt=short,model=llama", "compare:prompt=short"):
        assert matches(address, typed)
    for typed in ("comp", "compare:prompt=long", "compare:model=llama,prompt=long", "compare:model=llam"):
        assert not matches(address, typed)


def test_a_script_of_an_earlier_release_is_answered_too(project: Path) -> None:
    """It stands in somebody's `.bashrc`, gives no line as it was typed, and reads one word an answer."""
    environ = {**os.environ, "_RUNNER_COMPLETE": "bash_complete", "COMP_WORDS": "runner show sin", "COMP_CWORD": "2"}
    environ.pop("COMP_LINE", None)
    done = subprocess.run(
        [sys.executable, "-m", "runner"], cwd=project, env=environ, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr, done.stdout.splitlines()) == (0, "", ["plain,single"])
