"""A kept project is the project, and is not believed once anything it was made of has changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from runner.errors import SpecError
from runner.spec import load, memo

SPEC = """\
models:
  w: {provider: fireworks-audio, name: whisper-v3, params: {temperature: [0, 0.5]}, price: {per_minute: 0.01}}
  f: {provider: fireworks, name: x, options: {precision: FP8, placement: {regions: [a, b]}}}
  m: {provider: embedded, name: echo, params: {seed: 123456789012345678901234567890, top_p: 0.1}}
datasets:
  d: {files: d.csv}
prompts:
  p: {file: p.md}
jobs:
  j: {dataset: d, prompt: p, model: m, output: out.jsonl}
  y: {audio: [a.wav, b.wav], exclude: x, model: w, output: texts/}
  z: {dataset: d, prompt: p, model: f, output: z.jsonl}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/a.yaml").write_text(SPEC)
    (tmp_path / "p.md").write_text("Say {{ word }}\n")
    for file in ("specs/a.yaml", "p.md"):
        long_ago = time.time() - 100
        os.utime(tmp_path / file, (long_ago, long_ago))
    return tmp_path


def kept(root: Path) -> bool:
    return memo._read(next((root / "memo").iterdir()), ["specs/a.yaml"], [], root.resolve()) is not None


def test_what_is_kept_is_what_was_loaded(root: Path) -> None:
    first = memo.load(["specs"], root, root / "memo", keeps=True)
    assert first == load.load(["specs"], root)
    assert kept(root)
    assert memo.load(["specs"], root, root / "memo", keeps=True) == first


@pytest.mark.parametrize("file", ["specs/a.yaml", "p.md"])
def test_a_changed_file_is_read_again(root: Path, file: str) -> None:
    memo.load(["specs"], root, root / "memo", keeps=True)
    (root / file).write_text((root / file).read_text().replace("word", "name").replace("j:", "k:"))
    assert not kept(root)
    assert memo.load(["specs"], root, root / "memo", keeps=False) == load.load(["specs"], root)


def test_a_kept_file_that_is_nested_too_deeply_counts_as_none(root: Path) -> None:
    first = memo.load(["specs"], root, root / "memo", keeps=True)
    (file,) = (root / "memo").iterdir()
    file.write_bytes(b'{"scheme": ' + b"[" * 5000)
    assert memo.load(["specs"], root, root / "memo", keeps=False) == first


def test_a_new_file_is_read(root: Path) -> None:
    memo.load(["specs"], root, root / "memo", keeps=True)
    (root / "specs/b.yaml").write_text("jobs: {j: {}}\n")
    with pytest.raises(SpecError):
        memo.load(["specs"], root, root / "memo", keeps=True)


def test_a_damaged_or_fresh_memo_is_not_believed(root: Path) -> None:
    memo.load(["specs"], root, root / "memo", keeps=True)
    file = next((root / "memo").iterdir())
    file.write_bytes(file.read_bytes()[:-20])
    assert not kept(root)
    (root / "p.md").write_text("Say {{ word }}\n")
    memo.load(["specs"], root, root / "memo", keeps=True)
    assert not kept(root)  # the prompt changed too shortly before to tell
