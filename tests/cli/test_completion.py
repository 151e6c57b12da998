"""Completion as shells ask for it: bash is really run, the others get the words that click's own scripts take."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from runner.job.address import matches
from tests.journeys.terminal import terminal

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
        ("runner diff single compare:model=q", ["qwen,prompt=long", "qwen,prompt=short"]),
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


class Shell(NamedTuple):
    """A shell on a terminal, and what it is told first. It says `READY` when it is, and shows no prompt of its own."""

    command: tuple[str, ...]
    setup: str


SHELLS = {
    "bash": Shell(
        ("bash", "--norc", "--noprofile", "-i"),
        "bind 'set bell-style none'; PS1='> '; eval \"$(_RUNNER_COMPLETE=bash_source runner)\"; echo RE''ADY\n",
    ),
    "zsh": Shell(
        ("zsh", "-f", "-i"),
        "PS1='> '; autoload -U compinit; compinit -u; eval \"$(_RUNNER_COMPLETE=zsh_source runner)\"; echo RE''ADY\n",
    ),
    "fish": Shell(
        ("fish", "--no-config", "-i"),
        "function fish_prompt; echo '> '; end; _RUNNER_COMPLETE=fish_source runner | source; echo RE''ADY\n",
    ),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_real_shell_on_a_terminal(project: Path, shell: str) -> None:
    """One session a shell: a key is pressed, and the words that come are read."""
    command, setup = SHELLS[shell]
    if not shutil.which(command[0]):
        pytest.skip(f"needs {shell}")
    environ = {"HOME": str(project), "PATH": f"{project}{os.pathsep}{os.environ['PATH']}", "LANG": "C.UTF-8"}
    with terminal(project, environ, *command[1:], columns=200, command=[command[0]]) as screen:
        screen.type(setup)
        screen.wait_for("READY", 30)
        for typed, completed in (
            ("runner sho\t", "runner show"),
            ("runner show s\t", "runner show single"),
            ("runner cancel compare:prompt=short,model=l\t", "runner cancel compare:prompt=short,model=llama"),
            ("runner cancel compare:prompt=short,\tq\t", "runner cancel compare:prompt=short,model=qwen"),
            ("runner apply --first\t", "runner apply --first-run"),
            ("runner validate spe\t", "runner validate specs"),
        ):
            screen.type(f"{typed}\x01echo GOT \r")  # a line is drawn in pieces; what it came to is shown whole
            screen.wait_for(f"GOT {completed}", 30)
