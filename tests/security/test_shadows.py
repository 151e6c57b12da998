"""Files of a project that are called as modules are: nothing runs them, in no process that a command starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SPEC = """project: shadows
models: {m: {provider: embedded, name: echo}}
datasets: {d: {files: d.csv}}
prompts: {p: "{% for word in row.values() %}{{ word }}{% endfor %} {{ a | upper }}"}
jobs: {j: {dataset: d, prompt: p, model: m, output: r.csv}}
"""
NAMES = ("json", "pip", "msgspec", "starlette", "sitecustomize", "usercustomize")


def test_no_process_takes_its_modules_from_the_project(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "specs").mkdir(parents=True)
    (root / "specs/a.yaml").write_text(SPEC)
    (root / "d.csv").write_text("a\n1\n2\n")
    ran = f"open({str(tmp_path / 'ran')!r}, 'a').write(__name__)\nraise SystemExit(9)\n"
    (root / "runner").mkdir()
    for name in (*NAMES, "runner/__init__", "runner/__main__"):
        (root / f"{name}.py").write_text(ran)
    program = Path(sys.executable).parent / "runner"
    environ = {"HOME": str(tmp_path), "RUNNER_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    for words in (["plan"], ["apply", "-y"]):
        done = subprocess.run([program, *words], cwd=root, env=environ, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
    assert (root / "r.csv").read_text().count("\n") == 3 and not (tmp_path / "ran").exists()
