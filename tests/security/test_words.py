"""Names that hold a line's end: printed escaped, so that no CI obeys a line that a stranger wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from runner.errors import Mark, RunnerError, defused, printable
from tests.hardening.conftest import OwnLab, lab_in
from tests.journeys.audio.lab import SPEC as AUDIO_SPEC
from tests.journeys.audio.lab import AudioLab, sound
from tests.journeys.lab import Server

EVIL = "\n::error file=a::owned\n##vso[task.setvariable variable=PATH]x"
OBEYED = re.compile(r"^\s*::|##\[|##vso\[", re.MULTILINE)


def check(done: object) -> str:
    told = str(done.stdout + done.stderr)  # type: ignore[attr-defined]
    assert not OBEYED.search(told), told
    return told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("::error::x", "\\::error::x"),
        ("  ::set-output name=a::b", "  \\::set-output name=a::b"),
        ("a ##vso[task.setvariable]b ##[error]c", "a #\\#vso[task.setvariable]b #\\#[error]c"),
        ("results::of a::b", "results::of a::b"),
        ("## heading [x]", "## heading [x]"),
    ],
)
def test_what_a_ci_obeys(line: str, told: str) -> None:
    assert defused(line) == printable(line) == told


def test_errors_and_places() -> None:
    error = RunnerError(f"no such row `a{EVIL}`", hint=f"look at `{EVIL}`", mark=Mark(f"specs/a{EVIL}.yaml", 3))
    for text in (error.message, error.hint, str(error.mark)):
        assert "\n" not in text and "\\n" in text and not OBEYED.search(text)


def test_ids_and_columns(tmp_path: Path, server: Server) -> None:
    lab: OwnLab = lab_in(tmp_path / "project", server)
    rows = [{"id": f"{EVIL}{n}", "word": EVIL} for n in range(3)] + [{"id": "::error::x", "word": "y"}]
    (lab.root / "data/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = lab.root / "specs/lab.yaml"
    spec.write_text(spec.read_text().replace("rows.csv", "rows.jsonl"))
    server.fault(row_error=1.0)
    check(lab.apply(code=None))
    for words in (("plan",), ("status",), ("show", "answers"), ("fetch", "answers", "--to", "raw")):
        check(lab.run(*words, code=None))
    check(lab.run("retry", "answers", "--row", f"{EVIL}0", code=None))
    check(lab.run("retry", "answers", "--row", f"{EVIL}none", code=None))
    check(lab.run("show", EVIL, code=None))
    (lab.root / "data/rows.jsonl").write_text(json.dumps(rows[0]) * 2)
    check(lab.run("plan", code=1))


def test_files(tmp_path: Path, server: Server) -> None:
    lab = lab_in(tmp_path / "project", server)
    broken = lab.root / f"specs/x{EVIL}.yaml".replace("/task", "_")
    broken.write_text("jobs: 1\n")
    assert "\\n" in check(lab.run("validate", code=1))
    broken.write_bytes(b"\xff")
    check(lab.run("plan", code=1))
    broken.unlink()
    spec = lab.root / "specs/lab.yaml"
    text = spec.read_text()
    spec.write_text(text.replace("data/rows.csv", json.dumps(f"data/no{EVIL}.csv")))
    check(lab.run("plan", code=1))
    check(lab.run("plan", f"specs/no{EVIL}", code=None))


def test_recordings(tmp_path: Path, server: Server) -> None:
    root = tmp_path / "project"
    root.mkdir()
    lab = AudioLab(root, server)
    lab.spec(AUDIO_SPEC.replace("results/calls.jsonl", "out/"))
    lab.put(f"calls/{EVIL}.wav", sound("1"))
    lab.put(f"calls/broken{EVIL}.wav", b"no sound")
    check(lab.first(code=None))
    (root / f"calls/broken{EVIL}.wav").unlink()
    check(lab.first(code=None))
    for words in (("plan",), ("status",), ("show", "calls"), ("fetch", "calls", "--to", "raw")):
        check(lab.run(*words, code=None))
