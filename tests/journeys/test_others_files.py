"""Outputs never overwrite what is not ours, and keep what a person made of what is ours."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.journeys.audio.lab import SPEC as AUDIO_SPEC
from tests.journeys.audio.lab import AudioLab
from tests.journeys.lab import SPEC, Lab


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.csv", "answers.parquet"])
@pytest.mark.parametrize("command", [("plan",), ("apply", "-y"), ("apply", "--rehearse")])
def test_a_table_of_somebody_else_blocks_its_job(lab: Lab, name: str, command: tuple[str, ...]) -> None:
    lab.spec(SPEC.replace("answers.jsonl", name))
    there = lab.root / "results" / name
    there.parent.mkdir()
    if name.endswith(".parquet"):
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table({"custom_id": ["a"], "mine": [1]}), there)
    else:
        there.write_text('{"custom_id": "a", "mine": 1}\n' if name.endswith("l") else "custom_id,mine\na,1\n")
    before = everything_in(lab.root / "results")
    words = (*command, "specs/") if command[0] == "plan" else (command[0], "specs/", *command[1:])
    done = lab.run(*words, code=5)
    assert "runner did not write it" in done.stdout
    assert "move it away, or choose another `output`" in done.stdout
    assert lab.server.creates() == 0
    assert everything_in(lab.root / "results") == before
    there.rename(lab.root / "results/moved")
    lab.apply("-y")
    assert (lab.root / "results/moved").exists()


def test_an_empty_file_is_nobodys(lab: Lab) -> None:
    (lab.root / "results").mkdir()
    (lab.root / "results/answers.jsonl").touch()
    lab.apply("-y")
    assert len(lab.results()) == 10


def test_the_output_of_specs_that_were_not_read(lab: Lab) -> None:
    lab.apply("-y")
    lab.spec(SPEC.replace("  answers:", "  stranger:"), "../other/b.yaml")
    before = everything_in(lab.root / "results")
    done = lab.run("apply", "other/", "-y", code=5)
    assert "is the output of job `answers` of specs/lab.yaml, which was not read" in done.stdout
    assert everything_in(lab.root / "results") == before


def test_a_job_that_was_renamed_goes_on_with_its_file(lab: Lab) -> None:
    lab.apply("-y")
    lab.spec(SPEC.replace("  answers:", "  renamed:"))
    lab.apply("-y")
    assert lab.server.creates() == 1
    assert set(everything_in(lab.root / "results")) == {"answers.jsonl"}


def test_a_fresh_clone_knows_its_own_file(lab: Lab) -> None:
    lab.apply("-y")
    before = everything_in(lab.root / "results")
    lab.forget()
    lab.apply("-y")
    assert lab.server.creates() == 1
    assert everything_in(lab.root / "results") == before


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.csv", "answers.parquet"])
@pytest.mark.parametrize("with_news", [False, True])
def test_a_correction_in_a_table_is_kept_and_told_of_before(lab: Lab, name: str, with_news: bool) -> None:
    lab.spec(SPEC.replace("answers.jsonl", name))
    lab.apply("-y")
    file = lab.root / "results" / name
    whole = file.read_bytes()
    edited = whole.replace(b"echo: Say word 3", b"echo: Say WORD 3") if name[-1] != "t" else whole + b"edited"
    file.write_bytes(edited)
    if with_news:
        lab.rows(11)
    planned = lab.run("plan", code=0)
    assert f"the changed file is kept as `results/{name}.bak`" in planned.stdout
    done = lab.apply("-y")
    assert f"was changed since it was written: kept as `results/{name}.bak`" in done.stderr
    assert file.with_name(f"{name}.bak").read_bytes() == edited
    assert file.read_bytes() != edited
    file.write_bytes(edited + b"\n")
    lab.apply("-y")
    assert file.with_name(f"{name}.bak").read_bytes() == edited  # the first one stays
    assert file.with_name(f"{name}.bak2").read_bytes() == edited + b"\n"


def test_a_file_that_was_only_touched_is_left(lab: Lab) -> None:
    lab.apply("-y")
    file = lab.root / "results/answers.jsonl"
    os.utime(file)
    copied = file.with_suffix(".copy")
    copied.write_bytes(file.read_bytes())
    copied.replace(file)
    assert lab.apply("-y").stdout == "Nothing to do\n"
    lab.rows(11)
    lab.apply("-y")
    assert set(everything_in(file.parent)) == {"answers.jsonl"}


def test_a_correction_in_a_fresh_clone_is_kept(lab: Lab) -> None:
    lab.apply("-y")
    file = lab.root / "results/answers.jsonl"
    edited = file.read_bytes().replace(b'"answer":"echo: Say word 3"', b'"answer":"better"')
    file.write_bytes(edited)
    lab.forget()
    lab.apply("-y")
    assert lab.server.creates() == 1
    kept = file.with_name("answers.jsonl.bak")
    assert edited in (file.read_bytes(), kept.read_bytes() if kept.exists() else b"")


CHECKED = SPEC.replace("    output:", "    checks: {{said: {{contains: word}}}}\n    output:")
CHOSEN = "    columns: [custom_id, row, answer, digest, origin, response]\n    output:"


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.csv", "answers.parquet"])
def test_in_a_clone_what_shows_that_nobody_edited_it_is_written_anew(lab: Lab, name: str) -> None:
    """As in CI: results are in git, `.runner/` is not, and a pull request changes rows, the prompt, columns, checks."""
    lab.spec(CHECKED.replace("answers.jsonl", name))
    lab.apply()
    path = lab.root / "specs/lab.yaml"
    lab.rows({f"r{n}": f"word {n + 5}" for n in range(8)})
    for was, becomes in ("", ""), ('"Say ', '"Tell '), ("contains: word", "contains: Tell"), ("    output:", CHOSEN):
        lab.forget()
        path.write_text(path.read_text().replace(was, becomes) if was else path.read_text())
        before = everything_in(lab.root / "results")
        assert "is kept" not in lab.run("plan", "specs/").stdout
        done = lab.apply()
        assert "kept as" not in done.stdout + done.stderr
        after = everything_in(lab.root / "results")
        assert after.keys() == before.keys() and after != before


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.csv"])
def test_in_a_clone_what_a_person_edited_is_kept_when_the_prompt_changes(lab: Lab, name: str) -> None:
    lab.spec(SPEC.replace("answers.jsonl", name))
    lab.apply()
    file, path = lab.root / "results" / name, lab.root / "specs/lab.yaml"
    edited = file.read_bytes().replace(b"echo: Say word 3", b"echo: Say WORD 3", 1)
    assert edited != file.read_bytes()
    file.write_bytes(edited)
    lab.forget()
    path.write_text(path.read_text().replace('"Say ', '"Tell '))
    assert f"the file that is there is kept as `results/{name}.bak`" in lab.run("plan", "specs/").stdout
    done = lab.apply()
    assert f"`results/{name}` does not show that nobody edited it: kept as `results/{name}.bak`" in done.stderr
    assert file.with_name(f"{name}.bak").read_bytes() == edited


@pytest.fixture
def audio(lab: Lab, tmp_path: Path) -> AudioLab:
    root = tmp_path / "sounds"
    root.mkdir()
    made = AudioLab(root, lab.server)
    made.spec(AUDIO_SPEC.replace("results/calls.jsonl", "out/"))
    made.record(["a", "b"])
    return made


def test_a_folder_of_somebody_else_blocks_its_job(audio: AudioLab) -> None:
    (audio.root / "out/notes").mkdir(parents=True)
    (audio.root / "out/notes/mine.md").write_text("precious")
    (audio.root / "out/.gitkeep").touch()
    done = audio.apply("-y", "--first-run", code=5)
    assert "`out/` holds files that runner did not write, such as `notes/mine.md`" in done.stdout
    assert audio.run("plan", code=5)
    assert not audio.server.get("/_log")["requests"].get("POST /v1/audio/transcriptions")
    (audio.root / "out/notes/mine.md").unlink()
    audio.apply("-y", "--first-run")
    assert len(list((audio.root / "out").glob("*.json"))) == 2
    (audio.root / "out/later.md").write_text("put there by its owner")
    assert audio.apply("-y").stdout == "Nothing to do\n"


def test_transcripts_may_lie_beside_their_recordings(audio: AudioLab) -> None:
    audio.spec(AUDIO_SPEC.replace("results/calls.jsonl", "calls/"))
    (audio.root / "calls/notes.md").write_text("mine")
    audio.apply("-y", "--first-run")
    assert len(list((audio.root / "calls").glob("*.json"))) == 2


def test_corrected_and_orphaned_transcripts_are_named_beforehand(audio: AudioLab) -> None:
    audio.apply("-y", "--first-run")
    (audio.root / "out/a.json").write_text('{"text": "corrected"}')
    (audio.root / "calls/b.wav").unlink()
    planned = audio.run("plan")
    said = "the edited transcript `a.json` stays as it is"
    gone = "the transcript `b.json`, which this job no longer writes, stays"
    assert said in planned.stdout and gone in planned.stdout
    done = audio.apply("-y")
    assert said in done.stderr and gone in done.stderr
    assert json.loads((audio.root / "out/a.json").read_text()) == {"text": "corrected"}
    assert (audio.root / "out/b.json").exists()
