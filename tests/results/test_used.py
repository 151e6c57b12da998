"""What a batch's answers say was used for them, whatever else its files hold."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runner.job.capabilities import Content
from runner.job.cost import Price, Used
from runner.job.observed import Phase
from runner.remotes.reading.lines import COMMON
from runner.results.index import build_index
from runner.results.used import used_in
from tests.results import made


def silent(name: str) -> bytes:
    body = {key: value for key, value in made.chat("hello").items() if key != "usage"}
    return made.line(name, response={"status_code": 200, "body": body})


def used(path: Path, *lines: bytes, content: Content = Content.TEXT) -> Used:
    file = made.raw(path / "0.jsonl", *lines)
    report = build_index([file], made.expected("a", "b", "c"), ended=Phase.COMPLETED)
    return used_in(report, [file], COMMON, content)


@pytest.mark.parametrize(
    "more",
    [(), (made.ok("a"),), (made.ok("somebody else's"),), (made.ok("a"), made.ok("a"), made.ok("x"))],
    ids=["plain", "twice", "foreign", "both"],
)
def test_each_answer_counts_once(tmp_path: Path, more: tuple[bytes, ...]) -> None:
    assert used(tmp_path, made.ok("a"), made.ok("b"), made.refused("c"), *more) == Used(2, 0, 80, 6)


@pytest.mark.parametrize("more", [(), (made.ok("a"),)], ids=["plain", "twice"])
def test_answers_that_do_not_say_are_counted(tmp_path: Path, more: tuple[bytes, ...]) -> None:
    found = used(tmp_path, made.ok("a"), silent("b"), made.bare("c"), *more)
    assert found == Used(3, 1, 80, 6)
    assert Price((1.0, 2.0)).of(found) == (pytest.approx(92 / 1e6), 1)
    assert Price().of(found) == (0.0, 3)
    assert Price((0.0, 0.0)).of(found) == (0.0, 0)


def test_recordings_are_counted_by_their_length(tmp_path: Path) -> None:
    def heard(name: str, **more: float) -> bytes:
        return made.line(name, response={"status_code": 200, "body": {"text": "hello", **more}})

    found = used(tmp_path, heard("a", duration=30.0), heard("b", duration=60.5), heard("c"), content=Content.RECORDING)
    assert found == Used(3, 1, 0, 0, 90.5)
    assert Price(per_minute=0.6).of(found) == (pytest.approx(0.905), 1)


def test_what_is_kept_reads_back() -> None:
    for one in (Used(), Used(3, 1, 80, 6, 0.5)):
        assert msgspec.json.decode(msgspec.json.encode(one), type=Used) == one
