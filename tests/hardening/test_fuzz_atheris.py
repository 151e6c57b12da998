"""Readers under inputs that are steered by coverage. `atheris` is no part of the extra `test`: skipped without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.hardening.conftest import sampled

pytest.importorskip("atheris")
STEERED = ("loader", "template", "lines", "jsonl", "csv", "audio", "listed", "documents", "journal")


def _steered(name: str, seconds: int, folder: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "tests.hardening.fuzz_atheris",
        name,
        "--seconds",
        str(seconds),
        "--keep",
        str(folder),
    ]
    ended = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "DONE" in ended.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", sampled(STEERED, "template"))
def test_steered_inputs_end_in_words(name: str, tmp_path: Path) -> None:
    _steered(name, 5, tmp_path)


@pytest.mark.sweep
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", STEERED)
def test_many_steered_inputs_end_in_words(name: str, tmp_path: Path) -> None:
    _steered(name, 300, tmp_path)
