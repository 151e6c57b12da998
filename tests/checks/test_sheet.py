"""The numbers of a job: they do not depend on the order of its rows, nor on where its clusters are kept."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.checks import clusters as kept
from runner.checks.clusters import Clusters
from runner.checks.score import Scored, Status
from runner.checks.sheet import Column, Sheet
from runner.checks.tally import Confusion, Counting, Form, Tally
from runner.job.checks import Kind

ROWS = st.lists(
    st.tuples(st.sampled_from(list(Status)), st.integers(0, 3), st.integers(1, 9), st.sampled_from("abc")), max_size=60
)


def scored(status: Status, over: int, under: int, form: Form) -> Scored:
    if form is Form.RATE:
        return Scored(status, int(status is Status.RIGHT), 1, "x" if status is Status.RIGHT else None, "x")
    return Scored(status, over, under)


@given(ROWS, st.sampled_from([Form.RATE, Form.RATIO]), st.booleans(), st.randoms(use_true_random=False))
def test_rows_add_up_in_any_order(
    rows: list[tuple[Status, int, int, str]], form: Form, has_clusters: bool, rng: random.Random
) -> None:
    tallies = []
    for _ in range(2):
        tally = Tally(Counting(form))
        some = [scored(*row[:3], form) for row in rows]
        tally.add_all(some, [row[3] for row in rows] if has_clusters else ())
        tallies.append(tally)
        rng.shuffle(rows)
    first, second = tallies
    assert first.accounting() == second.accounting()
    assert sum(first.accounting().values()) == len(rows)
    for is_wrong in (None, False, True):
        assert first.numbers(unanswered_is_wrong=is_wrong) == second.numbers(unanswered_is_wrong=is_wrong)
    assert first.unreadable() == second.unreadable()


def test_many_clusters_lie_in_files_and_give_the_same_numbers() -> None:
    rng = random.Random(1)
    found = []
    for most in (kept.MOST_IN_MEMORY, 10):
        tally, confusion = Tally(Counting()), Confusion(Counting())
        tally._by_cluster, confusion._by_cluster = Clusters(most), Clusters(most)
        rng.seed(1)
        for _ in range(2000):
            is_right = rng.random() < 0.7
            expected = rng.choice("ab")
            got = expected if is_right else "c"
            cluster = rng.choice([None, *(f"c{n}" for n in range(300))])
            row = Scored(Status.RIGHT if is_right else Status.WRONG, int(is_right), 1, got, expected)
            tally.add_all([row], [cluster])
            confusion.add_all([row], [cluster])
        found.append((tally.numbers(), tally.unreadable(), confusion.numbers(), confusion.cells()))
    assert found[0] == found[1]
    assert found[0][0].clusters > 250


@pytest.mark.parametrize("bad", [0, 3])
def test_rows_that_cannot_be_sent_are_wanted_and_unanswered(bad: int) -> None:
    columns = {
        "said": lambda: Column(Kind.EQUALS, Counting()),
        "errors": lambda: Column(Kind.WER, Counting(Form.RATIO)),
    }
    sheet = Sheet(columns)
    right, words = Scored(Status.RIGHT, 1, 1), Scored(Status.MEASURED, 1, 20)
    sheet.add({"said": [right] * 7, "errors": [words] * 7}, [True] * 7)
    sheet.add_bad(bad)
    for name in ("said", "errors"):
        summary = sheet.summary(name, better="higher", signature="")
        assert sum(summary.counts.values()) == sheet.wanted == 7 + bad
        assert summary.counts.get("unanswered", 0) == bad
        assert summary.figure.n == 7
    assert sheet.numbers_of("", "", unanswered_is_wrong=False).value == 7 / (7 + bad)
    assert sheet.numbers_of("said", "", unanswered_is_wrong=True).value == 7 / (7 + bad)
    assert sheet.numbers_of("errors", "", unanswered_is_wrong=True).value == 1 / 20
