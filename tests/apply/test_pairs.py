"""The file of the pairs, and what stands beside it: all of it is there, or it is made again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.apply import pairs
from runner.job.pairs import FIRST, SECOND, Orders
from runner.job.project import Chain


def side(path: Path, column: str, answers: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps({"id": item, column: text}) + "\n" for item, text in answers.items()))
    return path


@pytest.mark.parametrize("lost", [".jsonl", ".tied.jsonl", ".paired.json"])
def test_what_is_missing_is_made_again(lost: str, tmp_path: Path) -> None:
    sides = [
        side(tmp_path / "one.jsonl", FIRST, {"a": "x", "b": "same", "c": "lone"}),
        side(tmp_path / "two.jsonl", SECOND, {"a": "y", "b": "same", "d": "lone", "e": "lone"}),
    ]
    chain = Chain(("one", "two"), FIRST, orders=Orders.BOTH)
    path = pairs.write(sides, chain, "id", tmp_path.joinpath)
    held = {file: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(held) == 5
    assert pairs.alone_in(path, chain) == (
        "only `one` has answered 1 row and only `two` has answered 2 rows, of which there are no pairs"
    )
    path.with_suffix(lost).unlink()
    assert pairs.write(sides, chain, "id", tmp_path.joinpath) == path
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == held


def test_the_name_is_what_it_is_made_of(tmp_path: Path) -> None:
    one, two = (side(tmp_path / name, column, {"a": name}) for name, column in (("1", FIRST), ("2", SECOND)))
    both = Chain(("one", "two"), FIRST, orders=Orders.BOTH)
    made = {
        pairs.write([one, two], both, "id", tmp_path.joinpath),
        pairs.write([one, two], Chain(("one", "two"), FIRST, orders=Orders.ONE), "id", tmp_path.joinpath),
        pairs.write([one, side(tmp_path / "3", SECOND, {"a": "z"})], both, "id", tmp_path.joinpath),
    }
    assert len(made) == 3
