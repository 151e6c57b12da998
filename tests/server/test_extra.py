"""A client without the embedded server's packages: it works, and says what to install where the server is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# What Python runs first here: these packages cannot be found, as if nobody had installed them
WITHOUT = """\
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("starlette", "uvicorn", "python_multipart", "multipart"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Without())
"""
SPEC = """\
project: light
models: {echo: {provider: embedded, name: echo}}
datasets: {rows: {files: rows.csv}}
prompts: {ask: "Say {{ word }}"}
jobs: {answers: {dataset: rows, prompt: ask, model: echo, output: out.jsonl}}
"""


def runner(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (root / "without").mkdir(exist_ok=True)
    (root / "without/sitecustomize.py").write_text(WITHOUT)
    environ = {"PATH": os.environ["PATH"], "RUNNER_HOME": str(root / "home"), "PYTHONPATH": str(root / "without")}
    command = [sys.executable, "-m", "runner", *words]
    return subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("words", [("apply", "spec.yaml"), ("apply", "spec.yaml", "--rehearse"), ("serve",)])
def test_what_needs_the_server_says_what_to_install(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "rows.csv").write_text("word\nhello\n")
    done = runner(tmp_path, *words)
    assert done.returncode == 1
    assert "the embedded server needs the extra `server`" in done.stderr
    assert "pip install 'runner-batch[server]'" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [("validate", "spec.yaml"), ("plan", "spec.yaml"), ("render", "answers", "spec.yaml")]
)
def test_what_only_looks_does_without(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "rows.csv").write_text("word\nhello\n")
    done = runner(tmp_path, *words)
    assert done.returncode == 0, done.stderr
