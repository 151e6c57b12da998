"""The embedded server comes and goes by itself, and an apply goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.journeys.lab import RUNNER, until

SPEC = """\
models: {echo: {provider: embedded, name: echo}}
datasets: {rows: {files: rows.csv, id: id}}
prompts: {ask: "Say {{ word }}"}
jobs: {answers: {dataset: rows, prompt: ask, model: echo, output: answers.jsonl}}
"""


def project(root: Path, rows: int) -> dict[str, str]:
    (root / "specs").mkdir(parents=True)
    (root / "specs/a.yaml").write_text(SPEC)
    (root / "rows.csv").write_text("id,word\n" + "".join(f"r{n},word {n}\n" for n in range(rows)))
    return {"PATH": os.environ["PATH"], "HOME": str(root), "RUNNER_HOME": str(root / "home")}


def run(root: Path, environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*RUNNER, *words], cwd=root, env=environ, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def server_of(environ: dict[str, str]) -> int | None:
    try:
        return int(json.loads((Path(environ["RUNNER_HOME"]) / "server.json").read_bytes())["pid"])
    except (OSError, ValueError):
        return None


def test_it_starts_with_work_and_ends_with_its_parent(tmp_path: Path) -> None:
    environ = project(tmp_path, 10)
    assert "10 ok" in run(tmp_path, environ, "apply").stdout
    assert server_of(environ) is None
    begun = time.monotonic()
    assert run(tmp_path, environ, "apply").stdout == "Nothing to do\n"
    assert time.monotonic() - begun < 5
    assert server_of(environ) is None  # a no-op starts none


@pytest.mark.parametrize("after_seconds", [0.05, 0.3, 0.8, 1.5])
def test_a_killed_server_is_started_again(tmp_path: Path, after_seconds: float) -> None:
    environ = project(tmp_path, 20_000)
    applying = subprocess.Popen(
        [*RUNNER, "apply"], cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: server_of(environ) is not None)
    time.sleep(after_seconds)
    if (server := server_of(environ)) is not None:
        os.kill(server, signal.SIGKILL)
    out, words = applying.communicate(timeout=90)
    assert (applying.returncode, "20,000 ok" in out) == (0, True), words


def test_a_clone_elsewhere_asks_again_for_free(tmp_path: Path) -> None:
    environ = project(tmp_path / "here", 5)
    run(tmp_path / "here", environ, "apply")
    shutil.copytree(tmp_path / "here", tmp_path / "there", ignore=shutil.ignore_patterns(".runner", "home"))
    elsewhere = {**environ, "RUNNER_HOME": str(tmp_path / "there/home")}
    done = run(tmp_path / "there", elsewhere, "apply")
    assert (done.returncode, "5 ok" in done.stdout) == (0, True)
