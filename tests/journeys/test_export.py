"""`runner export`: results and scores as one table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.journeys.scorelab import FAILED, TWO_PROMPTS, ScoreLab, score_lab

SPEC = TWO_PROMPTS.replace(
    "providers:\n",
    """\
  bare: {dataset: rows, model: echo, prompt: short, max_attempts: 1, output: results/bare.SUFFIX}
  later: {dataset: rows, model: echo, prompt: short, needs: [answers], output: results/later.SUFFIX}
providers:
""",
)
CHECKS = """\
checks:
  said: {contains: "{{ word }}"}
  answer: {measure: "{{ answer | length }}"}
expect: {said: ">= 99 %"}
"""
COLUMNS = [
    "job",
    "prompt",
    "custom_id",
    "row",
    "answer",
    "status",
    "error_code",
    "finish_reason",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "usd",
    "batch",
    "digest",
    "origin",
    "said",
    "said_status",
    "check_answer",
    "check_answer_status",
]
ROWS = [{"id": f"r{n}", "word": f"w{n}", "n": n} for n in range(4)]


def settled(lab: ScoreLab, suffix: str) -> ScoreLab:
    lab.table(ROWS)
    lab.answers = {"r0": "=w0", "r1": "no", "r2": FAILED, "r3": "it is w3"}
    lab.job(CHECKS, SPEC.replace("SUFFIX", suffix))
    lab.apply(code=4)
    shutil.rmtree(lab.root / ".runner")
    (lab.root / f"results/later.{suffix}").unlink()
    return lab


@pytest.fixture(scope="module", params=["jsonl", "csv", "parquet"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScoreLab]:
    """Two cells that are settled and scored, one without checks, and one without results; results of each format."""
    with score_lab(tmp_path_factory.mktemp("export") / "project") as lab:
        yield settled(lab, request.param)


def test_the_columns_are_the_same_whatever_the_results_are(made: ScoreLab) -> None:
    done = made.run("export", "out/all.parquet", LAB_KEY="")
    assert done.stdout == "out/all.parquet  3 jobs, 12 rows\n"
    assert "later has no results yet" in done.stderr
    table = pd.read_parquet(made.root / "out/all.parquet")
    assert list(table.columns) == COLUMNS
    assert list(table["custom_id"]) == ["r0", "r1", "r2", "r3"] * 3
    assert list(table["prompt"][:8]) == ["short"] * 4 + ["taught"] * 4 and table["prompt"][8:].isna().all()
    assert list(table["said_status"][:4]) == ["right", "wrong", "unanswered", "right"]
    assert table["said"].dtype == table["check_answer"].dtype == "float64"
    assert list(table["said"][:2]) == [1.0, 0.0] and table["said"][2:3].isna().all()
    assert list(table["check_answer"][:2]) == [3.0, 2.0]
    assert table["said_status"][8:].isna().all(), "a job without checks has no scores"
    assert list(table["status"][:4]) == ["ok", "ok", "error", "ok"] and table["error_code"][2] == "bad_request"
    assert list(table["finish_reason"][:2]) == ["stop", "stop"]
    assert (table["input_tokens"][0], table["output_tokens"][0]) == (10, 2)
    assert table["usd"][0] == pytest.approx(30e-6)
    assert json.loads(table["row"][0])["word"] == "w0"
    assert not made.root.joinpath(".runner").exists()


def test_rows_of_json_lines_keep_their_types(made: ScoreLab) -> None:
    made.run("export", "answers:prompt=short", "out/short.jsonl")
    lines = [json.loads(line) for line in (made.root / "out/short.jsonl").read_text().splitlines()]
    assert list(lines[0]) == COLUMNS
    typed = (made.root / "results/answers-short.jsonl").exists()
    assert lines[3]["row"] == (ROWS[3] if typed else {"id": "r3", "word": "w3", "n": "3"})


def test_a_table_for_spreadsheets_is_guarded(made: ScoreLab) -> None:
    made.run("export", "answers", "out/a.csv")
    made.run("export", "answers", "out/a.csv")  # our own is written again
    text = (made.root / "out/a.csv").read_text()
    assert text.startswith(",".join(COLUMNS)) and ",'=w0," in text


def test_scores_of_other_results_are_left_out(made: ScoreLab, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made.root, copy)
    scores = copy / "results/answers-short.scores.jsonl"
    scores.write_bytes(b"".join(scores.read_bytes().splitlines(keepends=True)[:-1]))
    done = made.run("export", "answers", str(copy / "a.parquet"), "-C", str(copy))
    assert "answers:prompt=short: its scores belong to other results" in done.stderr
    table = pd.read_parquet(copy / "a.parquet")
    assert table["said_status"][:4].isna().all() and table["said_status"][4] == "right"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nobody", "a.csv"], "there is no job `nobody`"),
        (["answers", "a.xlsx"], "unknown suffix"),
        (["answers", "data/rows.jsonl"], "is there already"),
        (["answers", "results/answers-short.SUFFIX"], "is a file of a job"),
    ],
)
def test_what_is_refused(made: ScoreLab, words: list[str], said: str) -> None:
    before, suffix = made.files(), next((made.root / "results").glob("bare.*")).suffix[1:]
    words = [word.replace("SUFFIX", suffix) for word in words]
    assert said in made.run("export", *words, code=64).stderr
    assert made.files() == before


def test_without_results(tmp_path: Path) -> None:
    with score_lab(tmp_path / "project") as lab:
        lab.table(ROWS)
        lab.job(CHECKS, SPEC.replace("SUFFIX", "jsonl"))
        assert "no job has results yet" in lab.run("export", "a.csv", code=1).stderr
        assert not (lab.root / "a.csv").exists()
