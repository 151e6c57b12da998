"""A cheap job guards a dear one: nothing of the dear one is sent before the cheap one is settled and good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.scorelab import FAILED, REMOTE, ScoreLab, score_lab
from tests.journeys.terminal import terminal

SPEC = (
    """\
project: lab
models:
  echo: {provider: lab, name: echo, params: {max_tokens: 16}}
datasets:
  rows: {files: data/rows.jsonl, id: id}
  some: {files: data/some.jsonl, id: id}
prompts:
  ask: {user: "Say {{ word }}"}
  first: {user: "First say {{ word }}"}
jobs:
  dear: {dataset: rows, prompt: ask, model: echo, output: results/dear.jsonl, needs: [smoke], max_attempts: 1}
  smoke:
    dataset: some
    prompt: first
    model: echo
    max_attempts: 1
    output: results/smoke.jsonl
%s
"""
    + REMOTE
)
EXPECTED = """\
checks: {said: {contains: "{{ word }}"}}
expect: {answered: ">= 90 %", said: ">= 0.6"}
"""
ROWS = [{"id": f"r{n}", "word": f"a{n}"} for n in range(6)]
GOOD = {f"r{n}": f"a{n}" for n in range(6)}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[ScoreLab]:
    with score_lab(tmp_path / "project") as lab:
        lab.table(ROWS)
        lab.table(ROWS[:2], "data/some.jsonl")
        lab.job(EXPECTED, SPEC)
        lab.answers = GOOD
        yield lab


def sent(lab: ScoreLab) -> list[list[str]]:
    return [sorted(rows) for rows in lab.remote.sent]


SMOKE, DEAR = ["r0", "r1"], [f"r{n}" for n in range(6)]


def test_one_apply_asks_the_one_then_the_other(lab: ScoreLab) -> None:
    plan = lab.run("plan", "specs/").stdout
    assert "+ create   6 requests in 1 batch" in plan
    assert "? after    6 requests" in plan and "needs a job that is not settled yet: `smoke`" in plan
    assert "Plan: 2 requests to send in 1 batch, 6 requests later in 1 batch" in plan
    assert lab.run("plan", "specs/", "--detailed-exitcode", code=2)
    done = lab.apply()
    assert sent(lab) == [SMOKE, DEAR]
    assert "dear  6 ok, 0 error of 6  results/dear.jsonl" in done.stdout
    assert lab.apply().stdout == "Nothing to do\n" and lab.run("plan").stdout == "Nothing to do\n"
    assert len(lab.remote.created) == 2


def test_nothing_is_sent_while_the_needed_one_runs(lab: ScoreLab) -> None:
    life, lab.remote.life = lab.remote.life, lambda batch, polls: {"status": "in_progress"}
    for _ in range(2):
        done = lab.apply("--no-wait", code=3)
        assert "  ? needs a job that is not settled yet: `smoke`" in done.stdout
        assert sent(lab) == [SMOKE]
    lab.remote.life = life
    lab.apply("--no-wait", code=None)
    lab.apply()
    assert sent(lab) == [SMOKE, DEAR]


def test_what_is_not_as_good_as_expected_holds_the_other_back_until_it_is(lab: ScoreLab) -> None:
    lab.answers = {**GOOD, "r1": "something else"}
    for _ in range(2):
        done = lab.apply(code=4)
        assert "dear  0 ok, 0 error, 6 not sent of 6  no results file yet" in done.stdout
        assert "  ? needs a job that is not as good as expected: `smoke`" in done.stdout
        assert sent(lab) == [SMOKE]
    assert "needs a job that is not as good as expected: `smoke`" in lab.run("plan", "specs/").stdout
    lab.job(EXPECTED.replace("0.6", "0.5"), SPEC)  # less will do
    assert "+ create   6 requests" in lab.run("plan", "specs/").stdout, "what answers are as good as is known"
    lab.apply()
    assert sent(lab) == [SMOKE, DEAR]
    # what was sent stays sent, however good the other is found to be later
    lab.job(EXPECTED, SPEC)
    lab.apply(code=4)
    assert sent(lab) == [SMOKE, DEAR] and len(lab.results("results/dear.jsonl")) == 6


COMPARED = """\
checks: {said: {contains: "{{ word }}"}}
expect: {said: {not_worse_than: {prompt: first}, margin: 0.7}}
"""


@pytest.mark.parametrize("expected", [EXPECTED, COMPARED], ids=["bound", "compared"])
@pytest.mark.parametrize("is_good", [True, False], ids=["good", "not-good"])
def test_a_fresh_clone_goes_by_the_scores_that_are_there(lab: ScoreLab, expected: str, is_good: bool) -> None:
    """Both cells of the needed one are done: a plan does not say that the dear one has to wait for them."""
    spec = (
        SPEC.replace("    prompt: first\n", "    matrix: {prompt: [first, ask]}\n")
        .replace("results/smoke.jsonl", "results/smoke-{{ prompt }}.jsonl")
        .replace('"Say ', '"Please say ')
    )
    lab.says = lambda row, prompt: GOOD[row] if is_good or prompt != "beg" else "something else"
    dear = next(line for line in spec.splitlines() if line.startswith("  dear"))
    lab.job(expected, spec.replace(f"{dear}\n", ""))
    lab.apply(code=0 if is_good else 4)
    lab.job(expected, spec)
    lab.forget()
    plan = lab.run("plan", "specs/").stdout
    assert ("Plan: 4 requests to send in 1 batch" if is_good else "a job that is not as good as expected") in plan
    assert "scored" not in plan and "settled" not in plan
    lab.apply(code=0 if is_good else 4)
    assert sent(lab) == [SMOKE, SMOKE, *([DEAR[2:]] if is_good else [])]


def test_an_error_that_decides_holds_the_other_back(lab: ScoreLab) -> None:
    lab.answers = {**GOOD, "r1": FAILED}
    done = lab.apply(code=4)
    assert "needs a job that is not as good as expected" in done.stdout and sent(lab) == [SMOKE]
    lab.answers = GOOD
    lab.run("retry", "smoke", "specs/", code=None)
    lab.apply()
    assert sent(lab) == [SMOKE, ["r1"], DEAR]


def test_where_nothing_is_expected_it_only_has_to_be_settled(lab: ScoreLab) -> None:
    lab.job("", SPEC)
    lab.answers = {**GOOD, "r1": FAILED}
    lab.apply(code=4)
    assert sent(lab) == [SMOKE, DEAR]


def test_requests_that_both_want_are_asked_once_by_the_one_that_comes_first(lab: ScoreLab) -> None:
    lab.job(EXPECTED, SPEC.replace("prompt: first", "prompt: ask"))
    done = lab.apply()
    assert sent(lab) == [SMOKE, DEAR[2:]]
    assert "dear  6 ok, 0 error of 6" in done.stdout


def test_a_comparison_of_the_needed_one_counts_too(lab: ScoreLab) -> None:
    """Both of its cells are settled first, and the one is compared with the other."""
    matrix = SPEC.replace("    prompt: first\n", "    matrix: {prompt: [first, ask]}\n").replace(
        "results/smoke.jsonl", "results/smoke-{{ prompt }}.jsonl"
    )
    worse = (
        'checks: {said: {contains: "{{ word }}"}}\nexpect: {said: {not_worse_than: {prompt: first}, margin: 0.99}}\n'
    )
    lab.job(worse, matrix)
    lab.answers = {}  # both as bad
    lab.apply()
    assert sent(lab) == [SMOKE, SMOKE, DEAR[2:]]


def test_the_question_counts_what_is_sent_later(lab: ScoreLab) -> None:
    with terminal(lab.root, lab.environ(), "apply", "specs/") as screen:
        screen.wait_for("Send 2 requests in 1 batch, and 6 requests later, at a cost that is not known? [y/N]:")
        screen.type("y\n")
        assert screen.end() == 0
    assert sent(lab) == [SMOKE, DEAR]


def test_a_no_sends_neither(lab: ScoreLab) -> None:
    with terminal(lab.root, lab.environ(), "apply", "specs/") as screen:
        screen.wait_for("[y/N]:")
        screen.type("n\n")
        assert screen.end() == 0
    assert lab.run("apply", "specs/", code=5) and sent(lab) == []


def test_a_limit_counts_both(lab: ScoreLab) -> None:
    lab.apply("--max-requests", "5", code=5)
    assert sent(lab) == []
    lab.apply("--max-requests", "8")
    assert sent(lab) == [SMOKE, DEAR]


def test_a_rehearsal_goes_through_both(lab: ScoreLab) -> None:
    done = lab.run("apply", "specs/", "--rehearse", code=None)
    assert "dear" in done.stdout and "6 ok" in done.stdout, done.stdout + done.stderr
    assert sent(lab) == []
