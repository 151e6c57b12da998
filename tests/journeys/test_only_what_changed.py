"""Results files are written where what they hold changes: a touch, a copy and work of other jobs change nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.journeys.audio.lab import SPEC as RECORDINGS
from tests.journeys.audio.lab import AudioLab
from tests.journeys.lab import SPEC, Lab

TWO = SPEC.replace(
    "providers:\n",
    "  others:\n    dataset: words\n    prompt: ask\n    model: echo\n    output: results/others.jsonl\nproviders:\n",
).replace("datasets:\n", "datasets:\n  words: {{files: data/words.csv, id: id}}\n")


def touch(path: Path) -> None:
    about = path.stat()
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 3_000_000_000))


def in_sync(lab: Lab) -> None:
    assert lab.run("plan").stdout == "Nothing to do\n"
    assert lab.apply().stdout == "Nothing to do\n"


def test_a_touched_dataset_or_output_plans_nothing(lab: Lab) -> None:
    lab.apply()
    before = (lab.root / "results/answers.jsonl").stat().st_ino
    for name in ("data/rows.csv", "results/answers.jsonl"):
        touch(lab.root / name)
        in_sync(lab)
    assert (lab.root / "results/answers.jsonl").stat().st_ino == before


def test_a_copied_project_plans_nothing(lab: Lab) -> None:
    lab.apply()
    copy = lab.root.with_name("copy")
    shutil.copytree(lab.root, copy)
    shutil.rmtree(copy / ".runner/memo")  # what only this machine knows
    in_sync(Lab(copy, lab.server))
    for path in (copy / "data").iterdir():
        path.write_bytes(path.read_bytes())  # as a checkout does
    in_sync(Lab(copy, lab.server))


def test_a_row_of_the_same_size_is_seen(lab: Lab) -> None:
    lab.apply()
    path = lab.root / "data/rows.csv"
    about = path.stat()
    path.write_text(path.read_text().replace("word 4", "WORD 4"))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert "1 request to send" in lab.run("plan").stdout


@pytest.mark.parametrize("name", ["_results.jsonl", "c001.*"])
def test_a_touched_folder_of_transcripts_plans_nothing(tmp_path: Path, lab: Lab, name: str) -> None:
    root = tmp_path / "sounds"
    root.mkdir()
    audio = AudioLab(root, lab.server)
    audio.spec(RECORDINGS.replace("results/calls.jsonl", "transcripts/"))
    audio.record(3)
    audio.first()
    found = next((root / "transcripts").rglob(name))
    touch(found)
    in_sync(audio)
    found.write_text(found.read_text() + "more\n")
    assert "output file changed since it was written" in audio.run("plan").stdout


def test_a_retry_rewrites_nothing_of_other_jobs(lab: Lab) -> None:
    lab.spec(TWO)
    lab.rows({f"w{n}": f"other {n}" for n in range(4)}, "data/words.csv")
    lab.server.fault(row_error={"value": 0, "status": 400, "match": "r1-"})
    lab.apply(code=4)
    lab.server.fault(row_error=None)
    others = (lab.root / "results/others.jsonl").stat()
    lab.run("retry", "answers")
    told = lab.apply().stderr
    assert "wrote `results/answers.jsonl`" in told and "wrote `results/others.jsonl`" not in told
    answers = (lab.root / "results/answers.jsonl").stat()
    lab.rows({f"w{n}": f"other {n}" for n in range(5)}, "data/words.csv")
    told = lab.apply().stderr
    assert "wrote `results/others.jsonl`" in told and "wrote `results/answers.jsonl`" not in told
    assert (lab.root / "results/answers.jsonl").stat() == answers
    assert (lab.root / "results/others.jsonl").stat() != others
