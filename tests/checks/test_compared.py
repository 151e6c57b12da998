"""One check over two runs: what is told of them, which rows changed, and how often two equal runs look different."""

from __future__ import annotations

import random

import pytest

from runner.checks.compared import MOST_SHOWN, Compared, comparable
from runner.checks.program import Held
from runner.checks.score import Scored, Status
from runner.checks.tally import Counting, Form
from runner.errors import Mark
from runner.job.checks import Better, Check, Kind, Lacking
from runner.job.source import Source

RIGHT, WRONG = Scored(Status.RIGHT, 1, 1), Scored(Status.WRONG, 0, 1)
UNREADABLE, UNANSWERED = Scored(Status.UNREADABLE, 0, 1), Scored(Status.UNANSWERED, 0, 1)


def held(form: Form = Form.RATE, *, better: str = "higher", said: Lacking | None = None, name: str = "c") -> Held:
    kind = {Form.RATE: Kind.EQUALS, Form.NUMBER: Kind.MEASURE, Form.RATIO: Kind.WER}.get(form, Kind.EQUALS)
    text = Source("{{ answer }}", Mark("a.yaml"), "text")
    check = Check(name=name, kind=kind, text=text, better=Better(better), unanswered=said)
    return Held(check, Counting(form, True, said is Lacking.WRONG), 0)


def compared(rows: list[tuple[Scored, Scored]], of: Held | None = None) -> Compared:
    found = Compared(of or held())
    for at, (first, second) in enumerate(rows):
        found.add(f"r{at}", first, second)
    return found


def test_the_difference_is_that_of_the_two_numbers_beside_it() -> None:
    rows = [(RIGHT, RIGHT)] * 70 + [(RIGHT, WRONG)] * 15 + [(WRONG, RIGHT)] * 4 + [(UNREADABLE, WRONG)] * 11
    found = compared([*rows, (RIGHT, UNANSWERED), (UNANSWERED, UNANSWERED), (Scored(Status.SKIPPED), RIGHT)])
    difference = found.difference()
    assert (found.first.numbers().value, found.second.numbers().value) == (0.85, 0.74)
    assert difference.figure.value == pytest.approx(-0.11)
    assert difference.pairs == (70, 4, 15, 11)
    assert (found.worse, found.better, found.unanswered) == (15, 4, 2)


def test_a_run_against_itself_is_0_everywhere() -> None:
    rows = [(one, one) for one in [RIGHT] * 7 + [WRONG] * 3 + [UNREADABLE, UNANSWERED]]
    found = compared(rows)
    difference = found.difference()
    assert (difference.figure.value, difference.p) == (0.0, 1.0)
    assert difference.figure.low is not None and difference.figure.low <= 0 <= (difference.figure.high or 0)
    assert (found.worse, found.better, found.worst, found.best) == (0, 0, [], [])


def test_both_ways_round_are_mirror_images() -> None:
    rows = [(RIGHT, WRONG)] * 9 + [(WRONG, RIGHT)] * 2 + [(RIGHT, RIGHT)] * 20
    one, other = compared(rows), compared([(b, a) for a, b in rows])
    mine, theirs = one.difference().figure, other.difference().figure
    assert (mine.value, mine.low, mine.high) == pytest.approx((-theirs.value, -theirs.high, -theirs.low))  # type: ignore[operator]
    assert [row.custom_id for row in one.worst] == [row.custom_id for row in other.best]


def test_the_rows_that_changed_most_are_kept_in_their_order() -> None:
    def number(value: float) -> Scored:
        return Scored(Status.MEASURED, value, 1)

    changes = [1, 5, 2, 5, *range(3, 3 - 12, -1)]
    of = held(Form.NUMBER, better="lower")
    found = compared([(number(0), number(change)) for change in changes], of)
    assert (found.worse, found.better) == (7, 8)
    assert [(row.custom_id, row.second.over) for row in found.worst[:3]] == [("r1", 5), ("r3", 5), ("r4", 3)]
    assert [row.second.over for row in found.best] == [-8, -7, -6, -5, -4, -3, -2, -1]
    many = compared([(RIGHT, WRONG)] * 30)
    assert [row.custom_id for row in many.worst] == [f"r{n}" for n in range(MOST_SHOWN)]


@pytest.mark.parametrize(("better", "is_worse"), [("higher", True), ("lower", False)])
def test_worse_is_what_the_check_says_is_worse(better: str, is_worse: bool) -> None:
    rows = [(Scored(Status.MEASURED, 10 + n % 3, 1), Scored(Status.MEASURED, 8 + n % 3, 1)) for n in range(30)]
    rows[0] = (rows[0][0], Scored(Status.MEASURED, 8.5, 1))
    found = compared(rows, held(Form.NUMBER, better=better))
    figure = found.difference().figure
    assert found.is_worse(figure) is is_worse
    assert found.may_be_worse(0.5, figure) is is_worse
    assert not found.may_be_worse(3, figure)


def test_rows_without_an_answer_are_looked_at_both_ways() -> None:
    rows = [(RIGHT, RIGHT)] * 60 + [(RIGHT, UNANSWERED)] * 30
    without, with_them = compared(rows).both_ways()
    assert (without.value, with_them.value) == (0.0, pytest.approx(-1 / 3))
    without, with_them = compared(rows, held(said=Lacking.EXCLUDED)).both_ways()
    assert without == with_them


def test_checks_of_one_name_are_compared_only_where_they_are_one() -> None:
    one, same, other = held(), held(), held(better="lower")
    assert comparable({"c": one, "only": one}, {"c": same}) == (["c"], ["only"])
    assert comparable({"c": one}, {"c": other, "new": one}) == ([], ["c", "new"])


# --- two equal jobs -----------------------------------------------------------------------------------------------


def _rate(chance: random.Random) -> Compared:
    """Rows of their own difficulty, each answered twice: most go the same way."""
    found = Compared(held())
    for n in range(300):
        p = chance.betavariate(2, 1)
        found.add(str(n), *(RIGHT if chance.random() < p else WRONG for _ in range(2)))
    return found


def _clustered(chance: random.Random) -> Compared:
    """Thirty customers with ten rows each; a job does better with some customers, and so does its equal."""
    found = Compared(held())
    for customer in range(30):
        rates = [chance.betavariate(4, 2) for _ in range(2)]
        for n in range(10):
            first, second = (RIGHT if chance.random() < rate else WRONG for rate in rates)
            found.add(f"{customer}-{n}", first, second, str(customer))
    return found


def _numbers(chance: random.Random) -> Compared:
    found = Compared(held(Form.NUMBER))
    for n in range(100):
        row = chance.gauss(50, 20)
        found.add(str(n), *(Scored(Status.MEASURED, row + chance.gauss(0, 10), 1) for _ in range(2)))
    return found


def _words(chance: random.Random) -> Compared:
    """Errors in words of recordings that are of unequal length."""
    found = Compared(held(Form.RATIO, better="lower"))
    for n in range(100):
        words, rate = chance.randint(5, 60), chance.betavariate(1, 8)
        sides = (sum(chance.random() < rate for _ in range(words)) for _ in range(2))
        found.add(str(n), *(Scored(Status.MEASURED, errors, words) for errors in sides))
    return found


DRAWS = [_rate, _clustered, _numbers, _words]


def flagged(draw: object, seeds: range) -> float:
    """The share of comparisons of two equal jobs whose interval leaves 0 out."""
    found = 0
    for seed in seeds:
        figure = draw(random.Random(seed)).difference().figure  # type: ignore[operator]
        found += not figure.low <= 0 <= figure.high
    return found / len(seeds)


@pytest.mark.sweep
@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw.__name__[1:])
def test_equal_jobs_are_told_apart_once_in_twenty(draw: object) -> None:
    assert flagged(draw, range(1000)) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("draw", [_rate, _clustered], ids=lambda draw: draw.__name__[1:])
def test_a_sample_of_them(draw: object) -> None:
    assert flagged(draw, range(100)) <= 0.12
