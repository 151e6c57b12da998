"""Results files that earlier versions wrote are read back, whatever their format: nothing in them is paid for again.

`tests/fixtures/results_1` was written by the version before columns had names: the outputs of ten jobs, answered
throughout, and below `mixed/` rows of every other fate.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from runner.results.readback import read_back
from tests import warm

OLD = Path(__file__).parents[1] / "fixtures/results_1"
ENVIRON = {"CORP_KEY": "x", "FIREWORKS_API_KEY": "x", "FIREWORKS_ACCOUNT_ID": "acme"}
CORP = "corp@api.corp.example"
TEXTS = ["plain words", '=1+1 \u2028\u0085 "quoted",\r\nline é\U0001f600', "-5", ""]
VALUES = [{"b": 1, "a": [1, {"c": None}], "big": 100000000000000000001}, "text", "not json", [1, 2]]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("kind", ["plain", "json"])
def test_answers_are_read_back(tmp_path: Path, kind: str, suffix: str) -> None:
    found = read_back(OLD / f"results/{kind}{suffix}", tmp_path)
    assert (found.lines, found.answers, found.unanswered, found.damaged) == (4, 4, 0, 0)
    (file,) = found.files
    assert file.origin == CORP
    lines = [msgspec.json.decode(line) for line in file.path.read_bytes().splitlines()]
    texts = [line["response"]["choices"][0]["message"]["content"] for line in lines]
    assert texts == TEXTS or kind == "json"
    assert {line["batch"] for line in lines} == {f"batch_{kind}_{suffix[1:]}"}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet", "/"])
def test_recordings_are_read_back(tmp_path: Path, suffix: str) -> None:
    found = read_back(OLD / f"results/calls{suffix}", tmp_path)
    assert (found.lines, found.answers, found.damaged) == (2, 2, 0)
    lines = [msgspec.json.decode(line) for line in found.files[0].path.read_bytes().splitlines()]
    assert all(line["response"]["text"].startswith("=hello calls/") for line in lines)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_what_is_no_answer_is_none(tmp_path: Path, suffix: str) -> None:
    rows = read_back(OLD / f"mixed/rows{suffix}", tmp_path)
    assert (rows.lines, rows.answers, rows.unanswered, rows.damaged) == (4, 1, 3, 0)
    assert len(rows.sent) == 16
    calls = read_back(OLD / f"mixed/calls{suffix}", tmp_path)
    assert (calls.lines, calls.answers, calls.unanswered, calls.damaged, len(calls.sent)) == (2, 0, 2, 0, 16)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh clone: specs, data and outputs as an earlier version left them, and no memory."""
    for name in ("specs", "data", "calls", "results"):
        shutil.copytree(OLD / name, tmp_path / name)
    return tmp_path


def run(clone: Path, *words: str, code: int = 0) -> str:
    done = warm.run("runner", *words, cwd=clone, env={**warm.environ(), **ENVIRON}, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_a_fresh_clone_sends_nothing_and_writes_the_columns_of_today(clone: Path) -> None:
    said = run(clone, "apply", "--no-wait")
    assert "plain_csv  4 ok" in said and "calls_folder" not in said  # a folder is written as it was
    plan = json.loads(run(clone, "plan", "-o", "json"))
    assert plan["is_empty"] and plan["requests"] == 0

    lines: list[Any] = [json.loads(one) for one in (clone / "results/plain.jsonl").read_text().split("\n")[:-1]]
    assert [line["answer"] for line in lines] == TEXTS
    assert [line["finish"] for line in lines] == ["stop", "stop", "stop", "empty"]
    assert "4 ok, 1 of them empty" in said
    table = pq.read_table(clone / "results/plain.parquet").to_pylist()
    assert [row["answer"] for row in table] == TEXTS
    assert [row["row_answer"] for row in table] == ["my own", "", None, "-x"]
    assert [row["usd"] for row in table] == [pytest.approx((40 + n + 6) / 1e6) for n in range(4)]
    values = [json.loads(one)["answer"] for one in (clone / "results/json.jsonl").read_text().split("\n")[:-1]]
    assert values == VALUES
    assert "4 ok, 3 of them not the JSON asked for" in said
