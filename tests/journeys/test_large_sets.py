"""Sets of keys and indexes of a job that is large enough to leave them in their files: all that is said is the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.job.packed import KEY_BYTES
from tests.journeys.lab import SPEC, Lab

ROWS = 18_000  # in one batch: its keys take 288 kB, its index 432 kB
BENCH = SPEC.replace("data/rows.csv, id: id", "data/rows.jsonl")


def put(lab: Lab, rows: int, edited: set[int]) -> None:
    (lab.root / "data").mkdir(exist_ok=True)
    with open(lab.root / "data/rows.jsonl", "w") as out:
        out.writelines(f'{{"word": "{"other " * (n in edited)}word {n}"}}\n' for n in range(rows))


@pytest.fixture
def applied(lab: Lab) -> Lab:
    lab.spec(BENCH)
    put(lab, ROWS, set())
    assert "18,000 requests" in lab.run("plan").stdout
    lab.apply("-q")
    return lab


def test_edits_and_whatever_else_looks_at_them(applied: Lab) -> None:
    lab = applied
    assert "Nothing to do" in lab.run("plan").stdout
    put(lab, ROWS + 5, {3, 9_000, ROWS - 1})
    planned = lab.run("plan").stdout
    assert "8 requests" in planned
    lab.apply("-q")
    spliced = (lab.root / "results/answers.jsonl").read_bytes()
    assert [row["row"]["word"] for row in lab.results()][8_999:9_001] == ["word 8999", "other word 9000"]
    shutil.rmtree(lab.root / ".runner/memo")  # all is compiled, looked up and written once more
    (lab.root / "results/answers.jsonl").unlink()
    lab.apply("-q")
    assert (lab.root / "results/answers.jsonl").read_bytes() == spliced
    put(lab, ROWS, set())  # as it was: all of it is answered
    assert "Nothing was sent" not in lab.apply("-q").stdout and lab.server.creates() == 2
    assert [row["row"]["word"] for row in lab.results()] == [f"word {n}" for n in range(ROWS)]
    lab.run("lock")
    lab.run("verify")


def of_keys(lab: Lab) -> Path:
    return next(path for path in (lab.root / ".runner/objects/sets").iterdir() if _is_of_all(path))


def _is_of_all(path: Path) -> bool:
    return path.stat().st_size == ROWS * KEY_BYTES


@pytest.mark.parametrize(
    "found",
    [of_keys, lambda lab: next((lab.root / ".runner/objects").glob("*/index"))],
    ids=["the keys on record", "an index"],
)
def test_a_flipped_byte_is_noticed(applied: Lab, found: Callable[[Lab], Path]) -> None:
    lab, path = applied, found(applied)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    put(lab, ROWS, {7})
    before = lab.server.creates()
    assert "was changed since it was written" in lab.apply("-q", code=None).stderr
    assert lab.server.creates() == before
