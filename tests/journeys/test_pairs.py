"""Two jobs' answers in pairs, and a judge who prefers one, before a remote that says what a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.scorelab import ScoreLab, score_lab

SPEC = """\
project: lab
models:
  echo: {provider: lab, name: echo, params: {max_tokens: 16}}
datasets:
  rows: {files: data/rows.jsonl, id: id}
  duels: {pairs: [one, two]}
prompts:
  ask: {user: "Say {{ word }}"}
  beg: {user: "Please say {{ word }}"}
  which: {user: "Which is the better answer to {{ word }}?\\n1: {{ first }}\\n2: {{ second }}"}
jobs:
  one: {dataset: rows, prompt: ask, model: echo, max_attempts: 1, output: results/one.jsonl}
  two: {dataset: rows, prompt: beg, model: echo, max_attempts: 1, output: results/two.jsonl}
  duel:
    dataset: duels
    prompt: which
    model: echo
    max_attempts: 1
    output: results/duel.jsonl
    checks:
      better: {preference: {first: A, second: B, tie: C}}
%s
providers:
  lab:
    kind: openai
    base_url: URL/v1
    api_key_env: LAB_KEY
    overrides: {settle_s: 0.1, min_poll_s: 0.02}
"""
ROWS = [{"id": f"r{n}", "word": f"w{n}", "group": "even" if n % 2 == 0 else "odd"} for n in range(6)]
# What a judge says in the order `ab` (the baseline first), and in `ba`
WINS, LOSES, TIE, PLACE = ("B", "A"), ("A", "B"), ("C", "C"), ("A", "A")
Judge = Callable[[str, str], Any]


def answers(item: str, prompt: str) -> Any:
    """Of the contestants."""
    return f"{prompt}: {item}"


def saying(judge: Judge, contestants: Judge = answers) -> Judge:
    """judge: by item and order."""

    def says(row: str, prompt: str) -> Any:
        item, _, order = row.rpartition("-")
        return judge(item, order) if item else contestants(row, prompt)

    return says


def by_item(*verdicts: tuple[Any, Any]) -> Judge:
    """The verdicts on r0, r1, ..."""
    return saying(lambda item, order: verdicts[int(item[1:])][order == "ba"])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[ScoreLab]:
    with score_lab(tmp_path / "p") as found:
        found.table(ROWS)
        found.job(spec=SPEC)
        yield found


def asked(lab: ScoreLab) -> list[str]:
    """Every request that was sent, by the id of its row, sorted."""
    return sorted(row for batch in lab.remote.sent for row in batch)


def judged(lab: ScoreLab) -> list[str]:
    return [row for row in asked(lab) if row.endswith(("-ab", "-ba"))]


def better(lab: ScoreLab, address: str = "duel") -> dict[str, Any]:
    [check] = lab.status_of(address)["scores"]["checks"]
    return dict(check)


def test_one_apply_asks_the_two_and_then_the_judge(lab: ScoreLab) -> None:
    lab.says = by_item(WINS, WINS, LOSES, TIE, PLACE, WINS)
    done = lab.apply()
    items = [f"r{n}" for n in range(6)]
    assert asked(lab) == sorted([*items, *items, *(f"{item}-{order}" for item in items for order in ("ab", "ba"))])
    lines = lab.results("results/duel.jsonl")
    assert [line["custom_id"] for line in lines[:4]] == ["r0-ab", "r0-ba", "r1-ab", "r1-ba"]
    assert (lines[0]["row"]["first"], lines[0]["row"]["second"]) == ("ask: r0", "beg: r0")
    assert (lines[1]["row"]["first"], lines[1]["row"]["second"]) == ("beg: r0", "ask: r0")
    assert set(lines[0]["row"]) == {"id", "word", "group", "custom_id", "first", "second"}, "nobody's name is there"
    assert lab.statuses("better", "results/duel.scores.jsonl") == "rrrrwwpppprr"
    told = better(lab)
    duel = told["duel"]
    assert (duel["wins"], duel["ties"], duel["losses"], duel["inconsistent"], duel["equal"]) == (3, 2, 1, 1, 0)
    assert (told["figure"]["value"], told["figure"]["n"]) == (pytest.approx(4 / 6), 6)
    assert told["counts"] == {"right": 3, "wrong": 1, "partly": 2}
    assert (duel["sides"]["first"], duel["sides"]["second"]) == ("one", "two")
    assert "3 won, 1 lost, 2 tied" in done.stdout
    assert "of the ties 1 where the two orders disagree" in done.stdout
    again = lab.apply()
    assert len(asked(lab)) == 24
    assert "Nothing to do" in again.stdout


def test_a_judge_that_always_says_first_gives_no_wins(lab: ScoreLab) -> None:
    lab.says = by_item(*[PLACE] * 6)
    done = lab.apply()
    told = better(lab)
    duel = told["duel"]
    assert (duel["wins"], duel["losses"], duel["ties"], duel["inconsistent"]) == (0, 0, 6, 6)
    assert (duel["consistency"]["value"], duel["place"]["value"]) == (0, 1)
    assert duel["p"] is None
    assert "both orders agree on 0.0 %" in done.stdout and "the place shown first wins 100.0 %" in done.stdout
