"""`runner validate` and `runner schema`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.cli.main import run

SPEC = """models: {m: {provider: embedded, name: echo}}
datasets: {d: {files: d.csv}}
prompts: {p: hi}
jobs: {j: {dataset: d, prompt: p, model: m, output: r.csv}}
"""


def place(root: Path, **files: str) -> None:
    (root / "specs").mkdir(exist_ok=True)
    for name, text in files.items():
        (root / f"specs/{name}.yaml").write_text(text)


def test_valid_specs_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place(tmp_path, a=SPEC)
    assert run(["-C", str(tmp_path), "validate"]) == 0
    assert capsys.readouterr() == ("1 job in 1 file is valid\n", "")
    place(tmp_path, b="", c="jobs: {k: {dataset: d, prompt: p, model: m, output: k.csv}}\n")
    assert run(["-C", str(tmp_path), "validate", "specs/"]) == 0
    assert capsys.readouterr() == ("2 jobs in 3 files are valid\n", "warning: specs/b.yaml: the file is empty\n")


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
    assert "no such file or folder: `specs`" in capsys.readouterr().err


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "jobs" in found["properties"]
