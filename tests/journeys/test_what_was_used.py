"""Tokens and cost of results that do not hold the responses: by their columns, and said where nobody knows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from runner.reports import facts
from tests.journeys.scorelab import FAILED, TWO_PROMPTS, ScoreLab, score_lab
from tests.journeys.test_report import told

A, B = "answers:prompt=short", "answers:prompt=taught"
ROWS = [{"id": f"r{n}", "word": f"w{n}", "language": "en", "input_tokens": 7000} for n in range(4)]
TOLD = "columns: [custom_id, word, answer, error, input_tokens, output_tokens, usd, digest, origin]"
CHOSEN = {
    "response": "columns: [custom_id, word, answer, error, response, digest, origin]",
    "tokens": TOLD,
    "tokens without a price": TOLD.replace("usd, ", ""),
}
USED = facts.Usage(input_tokens=30, output_tokens=6, usd=pytest.approx(90e-6))  # type: ignore[arg-type]


def made(root: Path, columns: str, suffix: str) -> ScoreLab:
    """Two jobs of four rows, one of which is an error, and a dataset that has columns called as ours are."""
    with score_lab(root / "project") as lab:
        lab.table(ROWS)
        lab.answers = {"r1": FAILED}
        lab.job(columns, TWO_PROMPTS.replace("SUFFIX", suffix))
        lab.apply(code=4)
        shutil.rmtree(lab.root / ".runner")
        return lab


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("columns", CHOSEN)
def test_whatever_says_it(tmp_path: Path, columns: str, suffix: str) -> None:
    lab = made(tmp_path, CHOSEN[columns], suffix)
    found = told(lab)
    assert [cell.usage for cell in found.groups[0].cells] == [USED, USED]
    assert found.notes == ()
    side = json.loads(lab.run("diff", A, B, "-o", "json").stdout)["first"]["usage"]
    assert (side["input_tokens"], side["output_tokens"], side["usd"]) == (30, 6, pytest.approx(90e-6))
    done = lab.run("export", A, "out.jsonl")
    assert done.stderr == ""
    lines = [json.loads(line) for line in (lab.root / "out.jsonl").read_text().splitlines()]
    assert [line["input_tokens"] for line in lines] == [10, None, 10, 10]
    assert lines[0]["usd"] == pytest.approx(30e-6)
    assert lines[0]["row"]["word"] == "w0"
    lab.run("lock", "specs/")
    usage = yaml.safe_load((lab.root / "runner.lock").read_text())["jobs"][A]["usage"]
    assert usage == {"input_tokens": 30, "output_tokens": 6, "usd": pytest.approx(90e-6)}
    lab.run("verify")


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_what_nobody_says_is_said(tmp_path: Path, suffix: str) -> None:
    lab = made(tmp_path, "columns: [custom_id, word, answer, error, digest, origin]", suffix)
    found = told(lab)
    assert [cell.usage for cell in found.groups[0].cells] == [facts.Usage(untold=3)] * 2
    lacking = "its `columns` have neither `response` nor `input_tokens` and `output_tokens`"
    said = f"{A}: what its answers used is not known: {lacking}."
    assert said in found.notes
    assert "not known" in lab.run("report", "specs/", "-o", "markdown").stdout
    assert "what 3 answers used is not known" in lab.run("diff", A, B).stdout
    assert said in lab.run("export", A, "out.csv").stderr
    lab.run("lock", "specs/")
    assert yaml.safe_load((lab.root / "runner.lock").read_text())["jobs"][A]["usage"] == {"untold": 3}


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_column_of_the_input_that_is_called_so_says_nothing(tmp_path: Path, suffix: str) -> None:
    """Each row says 7,000 of its own; where no column of ours is called so, that is the name of it."""
    lab = made(tmp_path, "columns: [custom_id, word, language, answer, error, batch, digest, origin]", suffix)
    assert told(lab).groups[0].cells[0].usage == facts.Usage(untold=3)
    page = lab.run("export", A, "out.jsonl")
    assert page.returncode == 0
    row = json.loads((lab.root / "out.jsonl").read_text().splitlines()[0])["row"]
    assert row == {"word": "w0", "language": "en"}


def test_a_table_keeps_columns_that_only_recordings_have(tmp_path: Path) -> None:
    """`language` is a column of ours where recordings are heard, and of nobody's else."""
    lab = made(tmp_path, "", "csv")
    lab.run("export", A, "out.jsonl")
    row = json.loads((lab.root / "out.jsonl").read_text().splitlines()[0])["row"]
    assert row == {"id": "r0", "word": "w0", "language": "en", "input_tokens": "7000"}


def test_some_answers_that_do_not_say(tmp_path: Path) -> None:
    lab = made(tmp_path, "", "jsonl")
    path = lab.root / "results/answers-short.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    lines[0] = lines[0].replace('"usage"', '"other"')
    path.write_text("".join(lines))
    found = told(lab)
    usage = next(cell.usage for cell in found.groups[0].cells if cell.address == A)
    assert (usage.input_tokens, usage.untold) == (20, 1)
    assert f"{A}: 1 of its answers do not say what they used: they are in no sum." in found.notes
    text = lab.run("diff", A, B).stdout
    assert "20 / 4 tokens  what 1 answer used is not known  at least $0.0001" in text
