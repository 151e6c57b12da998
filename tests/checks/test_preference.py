"""What a judge prefers: a win counts in both orders only, and every item is counted once."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.checks.preference import tied
from runner.checks.program import Program, digest_of
from runner.checks.score import Scored, Status
from runner.checks.sheet import Sheet
from runner.compile.readings import AnsweredRow, Reader
from runner.errors import Mark
from runner.job.checks import ANSWER, Check, Ignore, Kind, Lacking
from runner.job.pairs import Order, Orders, Place, id_of
from runner.job.project import Evals
from runner.job.scored import CheckSummary, Duel
from runner.job.source import Source
from tests.checks.test_program import check as other_check

WORDS = {Place.FIRST: "A", Place.SECOND: "B", Place.TIE: "C"}
FACTS = json.loads((Path(__file__).parents[1] / "stats/known_values.json").read_text())["facts"]
NONE = None  # no answer

# What the judge says of an item whose baseline, or whose other answer, is shown first; `?` cannot be read
Said = tuple[str | None, str | None]


def preference(**more: Any) -> Check:
    found = {
        "text": Source(ANSWER, Mark("a"), "x"),
        "ignore": (Ignore.CASE, Ignore.SPACE),
        "unreadable": Lacking.EXCLUDED,
        "words": WORDS,
        **more,
    }
    return Check(name="better", kind=Kind.PREFERENCE, **found)


def rows_of(said: Mapping[str, Said], orders: Orders = Orders.BOTH) -> Iterable[AnsweredRow]:
    for item, answers in said.items():
        for order, answer in zip(Order, answers, strict=True):
            if orders is Orders.ONE and (len(item) % 2 == 0) is (order is Order.AB):
                continue
            row = {"id": item, "customer": item[:1]}
            names = None if answer is None else json.dumps({"answer": answer, "finish_reason": "stop"}).encode()
            yield AnsweredRow(id_of(item, order), json.dumps(row).encode(), names)


def judged(said: Mapping[str, Said], check: Check | None = None, cluster: bool = False) -> tuple[Sheet, list[Scored]]:
    check = check or preference()
    program = Program(Evals((check,)))
    sheet, lines = program.sheet(), []
    reader = Reader(program.readings, keeps_pairs=program.keeps_pairs)
    try:
        rows = rows_of(said, check.orders)
        for read in [*(read for row in rows for read in reader.push(row)), *reader.rest()]:
            found, problems = program.scored(read)
            assert not problems and not read.failures
            clusters = [json.loads(row.json)["customer"] for row in read.rows] if cluster else []
            is_answered = [row.names is not None for row in read.rows]
            sheet.add(found["better"] and found, is_answered, clusters, ids=[row.custom_id for row in read.rows])
            lines += found["better"]
    finally:
        reader.close()
    return sheet, lines


def summary(said: Mapping[str, Said], check: Check | None = None, cluster: bool = False) -> CheckSummary:
    return judged(said, check, cluster)[0].summary("better", better="higher", signature="")


def duel_of(found: CheckSummary) -> Duel:
    assert found.duel is not None
    return found.duel


def items(kinds: Sequence[tuple[Said, int]]) -> dict[str, Said]:
    """So many items of each kind."""
    every = [said for said, number in kinds for _ in range(number)]
    return {f"i{n}": said for n, said in enumerate(every)}


WIN, LOSS, TIE, PLACE = ("B", "A"), ("A", "B"), ("C", "C"), ("A", "A")


def test_a_win_counts_only_if_both_orders_agree() -> None:
    said = {"win": WIN, "loss": LOSS, "tie": TIE, "place": PLACE, "half": ("B", "C"), "last": ("B", "B")}
    sheet, lines = judged(said)
    assert [(one.status.value, one.over, one.got, one.expected) for one in lines] == [
        ("right", 1, "second", "second"),
        ("right", 1, "first", "first"),
        ("wrong", 0, "first", "first"),
        ("wrong", 0, "second", "second"),
        ("partly", 0.5, "tie", "tie"),
        ("partly", 0.5, "tie", "tie"),
        ("partly", 0.5, "first", "second"),
        ("partly", 0.5, "first", "second"),
        ("partly", 0.5, "second", "tie"),
        ("partly", 0.5, "tie", "first"),
        ("partly", 0.5, "second", "first"),
        ("partly", 0.5, "second", "first"),
    ]
    found = sheet.summary("better", better="higher", signature="")
    duel = duel_of(found)
    assert (duel.wins, duel.ties, duel.losses, duel.inconsistent, duel.equal) == (1, 4, 1, 3, 0)
    assert found.counts == {"right": 1, "wrong": 1, "partly": 4}
    assert found.figure.value == 0.5 and found.figure.n == 6
    assert duel.consistency is not None and (duel.consistency.value, duel.consistency.n) == (0.5, 6)
    assert duel.place.value == 4 / 9, "of the verdicts that name a place: AB BA AB B AA BB"


def test_what_cannot_be_read_is_the_judges_failure_and_counted() -> None:
    said = {
        "a": ("?", "A"),
        "b": ("B", "both A and B"),
        "c": (NONE, "A"),
        "d": (NONE, "?"),
        "e": WIN,
        "f": ("A B", NONE),
    }
    sheet, lines = judged(said)
    assert [one.status.value for one in lines[::2]] == [one.status.value for one in lines[1::2]]
    assert lines[1].got == "first" and lines[0].got is None
    found = sheet.summary("better", better="higher", signature="")
    assert found.counts == {"right": 1, "unreadable": 2, "unanswered": 3}
    assert (found.figure.value, found.figure.n, found.left_out) == (1, 1, ("unreadable", "unanswered"))
    assert duel_of(found).place.n == 1, "an item that is read in one order says nothing of places"
    wrong = summary(said, preference(unreadable=Lacking.WRONG, unanswered=Lacking.WRONG))
    assert (wrong.figure.value, wrong.figure.n) == (1 / 6, 6)


def test_a_judge_that_always_says_first_has_no_wins() -> None:
    found = summary(items([(PLACE, 40)]))
    duel = duel_of(found)
    assert (duel.wins, duel.losses, duel.ties, duel.inconsistent) == (0, 0, 40, 40)
    assert duel.consistency is not None and duel.consistency.value == 0
    assert duel.consistency.high is not None and duel.consistency.high < 0.1
    assert duel.place.value == 1 and duel.place.low is not None and duel.place.low > 0.85
    assert (found.figure.value, duel.p) == (0.5, None)


def test_a_judge_without_a_word_for_a_tie() -> None:
    words = {Place.FIRST: "the first", Place.SECOND: "the second"}
    said = {"a": ("I take The  Second.", "the first"), "b": ("the first", "C"), "c": ("the first or the second", "x")}
    assert summary(said, preference(words=words)).counts == {"right": 1, "unreadable": 2}


def test_of_an_answer_in_json_its_verdict_is_read() -> None:
    said = {
        "a": ('{"reason": "A is longer, B is right", "verdict": "B"}', '{"verdict": "A", "reason": "B or A?"}'),
        "b": ('{"verdict": null}', "A"),
        "c": ('{"verdict": "C"}', ' {"verdict": "neither"}'),
    }
    assert summary(said).counts == {"right": 1, "unreadable": 2}


def test_one_order_says_what_it_says() -> None:
    said = {"a": ("A", "never asked"), "bb": ("never asked", "A"), "c": ("C", "-"), "dd": ("-", "B"), "e": (NONE, "-")}
    found = summary(said, preference(orders=Orders.ONE))
    duel = duel_of(found)
    assert (duel.wins, duel.ties, duel.losses, duel.inconsistent) == (1, 1, 2, 0)
    assert found.counts == {"right": 1, "wrong": 2, "partly": 1, "unanswered": 1}
    assert duel.consistency is None and (duel.place.value, duel.place.n) == (2 / 3, 4)


def test_rows_that_a_check_leaves_out_are_skipped_in_both_orders() -> None:
    check = preference(where=Source("{{ customer == 'a' }}", Mark("a"), "x"))
    assert summary({"a1": WIN, "b1": WIN, "a2": (NONE, "A")}, check).counts == {
        "right": 1,
        "unanswered": 1,
        "skipped": 1,
    }


def test_the_sign_test_is_the_published_one() -> None:
    [fact] = [one for one in FACTS if one["method"] == "sign_test_two_sided"]
    wins, losses = fact["inputs"]["wins"], fact["inputs"]["losses"]
    found = duel_of(summary(items([(WIN, wins), (LOSS, losses), (TIE, 7), (PLACE, 3)])))
    [expected] = fact["expect"].values()
    assert found.p == pytest.approx(expected, abs=fact["tolerance"])


def test_with_clusters_the_items_of_one_are_not_independent() -> None:
    said = {f"{'ab'[n % 2]}{n}": WIN if n % 2 else TIE for n in range(40)}
    alone, clustered = summary(said), summary(said, cluster=True)
    assert (clustered.figure.value, clustered.figure.n, clustered.figure.clusters) == (0.75, 40, 2)
    assert alone.figure.low is not None and clustered.figure.low is not None
    assert clustered.figure.low < alone.figure.low
    one, other = duel_of(alone).p, duel_of(clustered).p
    assert one is not None and other is not None and one < 0.001 < 0.1 < other


SAID = st.sampled_from(["A", "B", "C", "?", NONE])
ITEMS = st.lists(st.tuples(SAID, SAID), max_size=60)


@given(ITEMS, st.sampled_from(Orders), st.booleans())
def test_everything_adds_up(every: list[Said], orders: Orders, is_clustered: bool) -> None:
    said = {f"{n}": one for n, one in enumerate(every)}
    sheet, lines = judged(said, preference(orders=orders), is_clustered)
    found = sheet.summary("better", better="higher", signature="")
    duel = duel_of(found)
    assert sum(found.counts.values()) == len(said)
    assert len(lines) == sheet.wanted == len(said) * (2 if orders is Orders.BOTH else 1)
    statuses = [one.status for one in lines]
    each = 2 if orders is Orders.BOTH else 1
    assert {status.value: statuses.count(status) // each for status in set(statuses)} == found.counts
    assert duel.wins + duel.ties + duel.losses == found.figure.n
    assert duel.inconsistent <= duel.ties
    if found.figure.n:
        assert found.figure.value == pytest.approx((duel.wins + duel.ties / 2) / found.figure.n)
        assert found.figure.low is not None and found.figure.high is not None
        assert 0 <= found.figure.low <= found.figure.value <= found.figure.high <= 1
    if duel.consistency is not None and duel.consistency.n:
        assert duel.consistency.value == pytest.approx(1 - duel.inconsistent / found.figure.n)


@given(ITEMS, st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_the_items_does_not_matter(every: list[Said], rng: random.Random, is_clustered: bool) -> None:
    said = {f"{n}": one for n, one in enumerate(every)}
    shuffled = list(said)
    rng.shuffle(shuffled)
    assert summary(said, cluster=is_clustered) == summary({item: said[item] for item in shuffled}, cluster=is_clustered)


@given(ITEMS)
def test_with_the_jobs_the_other_way_round_wins_are_losses(every: list[Said]) -> None:
    said = {f"{n}": one for n, one in enumerate(every)}
    # the same two requests of each item with the same answers: but what was `ab` is `ba`
    one, other = summary(said), summary({item: (second, first) for item, (first, second) in said.items()})
    mine, theirs = duel_of(one), duel_of(other)
    assert (mine.wins, mine.ties, mine.losses) == (theirs.losses, theirs.ties, theirs.wins)
    assert (mine.inconsistent, mine.place, mine.consistency) == (theirs.inconsistent, theirs.place, theirs.consistency)
    assert mine.p == theirs.p
    assert one.figure.n == other.figure.n
    if one.figure.n:
        ends = [(a or 0, 1 - (b or 0)) for a, b in
                [(one.figure.value, other.figure.value), (one.figure.low, other.figure.high)]]  # fmt: skip
        assert all(math.isclose(a, b, abs_tol=1e-12) for a, b in ends)


def test_items_with_equal_answers_are_ties_that_nobody_was_asked_about() -> None:
    sheet, _ = judged(items([(WIN, 3), (PLACE, 1)]))
    sheet.add_tied({"better": tied([Scored(Status.UNANSWERED, 0, 1)] * 5 + [Scored(Status.SKIPPED)])})
    found = sheet.summary("better", better="higher", signature="")
    duel = duel_of(found)
    assert found.counts == {"right": 3, "partly": 6, "skipped": 1}
    assert (duel.wins, duel.ties, duel.equal, duel.inconsistent) == (3, 6, 5, 1)
    assert found.figure.value == 6 / 9 and found.figure.n == 9
    assert duel.consistency is not None and duel.consistency.n == 4, "nobody was asked"


def test_pairs_are_together_wherever_a_chunk_ends() -> None:
    said = {f"{n}": WIN for n in range(3001)}
    said = {"odd": (NONE, "A"), **said}
    found = summary(said)
    assert found.counts == {"right": 3001, "unanswered": 1}


def test_checks_of_before_have_the_digest_they_had() -> None:
    evals = Evals((other_check(Kind.CHOICE, "{{ kind }}", classes=("metal", "gas")),))
    assert digest_of(evals) == "494daf8df654a54a710627175aea4456f9545bf0e7f83593dd174c2075825ff2"
    assert digest_of(Evals((preference(),))) != digest_of(Evals((preference(orders=Orders.ONE),)))
