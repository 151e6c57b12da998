"""Exit codes and words of the command line itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def runner(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-m", "runner", *words], cwd=cwd, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["aply"], "Did you mean `apply`?"),
        (["apply", "--no-such-option"], "No such option"),
        (["apply", "no/such/folder"], "no such file or folder"),
        (["apply", "--wait", "soon"], "is not a duration"),
        (["-C", "/no/such/folder", "plan"], "does not exist"),
        (["render"], "Missing argument"),
        (["show", "no-such-job"], "there is no job `no-such-job`"),
    ],
)
def test_wrong_usage_is_64(words: list[str], said: str) -> None:
    done = runner(*words)
    assert done.returncode == 64, done.stderr
    assert said in done.stderr


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["apply", "--help"], ["state", "list", "--help"]])
def test_help_is_0(words: list[str]) -> None:
    assert runner(*words).returncode == 0


def test_every_command_is_listed_and_helps() -> None:
    from runner.cli.main import COMMANDS

    listed = runner("--help").stdout
    for command in COMMANDS:
        assert f"  {command} " in listed


def test_a_broken_spec_is_1_and_shows_every_problem(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/a.yaml").write_text("jobs:\n  a: {windw: 24h}\nmodels: {m: {provider: nobody, name: x}}\n")
    done = runner("apply", cwd=tmp_path)
    assert done.returncode == 1
    assert "specs/a.yaml:2:7: error: unknown field `windw` in job `a`" in done.stderr
    assert "did you mean `window`?" in done.stderr
    assert "nobody" in done.stderr


def test_a_plan_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/a.yaml").write_text(
        "models: {m: {provider: embedded, name: echo}}\ndatasets: {d: {files: d.csv}}\n"
        "prompts: {p: 'Say {{ word }}'}\njobs: {j: {dataset: d, prompt: p, model: m, output: out.jsonl}}\n"
    )
    (tmp_path / "d.csv").write_text("word\na\nb\n")
    before = sorted(tmp_path.rglob("*"))
    done = runner("plan", cwd=tmp_path)
    assert (done.returncode, "+ create" in done.stdout) == (0, True)
    assert runner("plan", "--detailed-exitcode", "--offline", cwd=tmp_path).returncode == 2
    view = json.loads(runner("plan", "-o", "json", cwd=tmp_path).stdout)
    assert (view["version"], view["requests"], view["jobs"][0]["wanted"]) == (3, 2, 2)
    assert runner("status", cwd=tmp_path).stdout.startswith("j  0 ok")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_schema_beside_the_examples_is_current() -> None:
    assert runner("schema").stdout == (ROOT / "specs/runner.schema.json").read_text()


def test_an_interrupt_before_the_command_has_begun(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)\n")
    around = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "runner", "plan"], cwd=ROOT, env=around, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
