"""A slice against the rest of its run."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import pytest

from runner.checks.clusters import MOST_IN_MEMORY, Clusters
from runner.checks.score import Scored, Status
from runner.checks.slicing import Slicing
from runner.checks.tally import Counting, Form
from runner.stats import exact
from runner.stats.multiple import benjamini_hochberg

RIGHT, WRONG = Scored(Status.RIGHT, 1, 1), Scored(Status.WRONG, 0, 1)
RATE = Counting()


def slicing(parts: dict[str, tuple[int, int]], *, clusters: bool = False) -> Slicing:
    """parts: value -> right, wrong."""
    found, number = Slicing(RATE), 0
    for value, (right, wrong) in parts.items():
        for one in [RIGHT] * right + [WRONG] * wrong:
            number += 1
            found.add(one, value, str(number) if clusters else None)
    return found


def test_a_slice_against_the_rest_by_an_exact_test() -> None:
    found = slicing({"en": (90, 10), "de": (80, 20), "ja": (30, 20)})
    part = found.part("ja")
    assert part is not None
    assert part.difference == pytest.approx(0.6 - 0.85)
    assert part.p == exact.of_two_rates(30, 50, 170, 200)
    assert found.part("fr") is None
    assert slicing({"en": (1, 1)}).part("en") is None, "there is no rest"


def test_with_clusters_by_t_and_near_to_the_same() -> None:
    parts = {"en": (180, 20), "ja": (82, 18)}
    alone, each = slicing(parts).part("ja"), slicing(parts, clusters=True).part("ja")
    assert alone is not None and each is not None
    assert each.difference == pytest.approx(alone.difference)
    assert 0.5 < each.p / alone.p < 2 and 0.01 < alone.p < 0.1


def test_a_cluster_may_lie_in_two_slices() -> None:
    found = Slicing(RATE)
    for customer in range(40):
        found.add(RIGHT if customer % 3 else WRONG, "en", str(customer))
        found.add(RIGHT if customer % 3 else WRONG, "ja", str(customer))
    part = found.part("ja")
    assert part is not None and (part.difference, part.p) == (0.0, 1.0)


def test_many_clusters_lie_in_files_and_give_the_same_numbers() -> None:
    found = []
    for most in (MOST_IN_MEMORY, 7):
        rng, one = random.Random(5), Slicing(RATE)
        one._by_cluster = Clusters(most)
        for _ in range(600):
            one.add(RIGHT if rng.random() < 0.7 else WRONG, rng.choice(["en", "de", "ja"]), f"c{rng.randrange(60)}")
        found.append([one.part(value) for value in ("en", "de", "ja", "fr", "en")])
    assert found[0] == found[1] and found[0][0] is not None and found[0][3] is None


def test_other_numbers_have_slices_too() -> None:
    found = Slicing(Counting(Form.NUMBER))
    rng = random.Random(3)
    for at in range(200):
        found.add(Scored(Status.MEASURED, rng.gauss(at % 2, 1), 1), "ab"[at % 2])
    part = found.part("b")
    assert part is not None and part.p < 0.001 and 0.5 < part.difference < 1.5


# --- two equal jobs of twenty slices ------------------------------------------------------------------------------

SLICES = 20
_SIGNIFICANT = 0.05


def _rates(p: float, rows: int, chance: random.Random) -> list[Slicing]:
    jobs = [Slicing(RATE), Slicing(RATE)]
    for _ in range(rows):
        value = _slice(chance)
        for job in jobs:
            job.add(RIGHT if chance.random() < p else WRONG, value)
    return jobs


def _clusters(many: int, size: int, chance: random.Random) -> list[Slicing]:
    """Customers with some rows each, in any slices: what holds for a customer holds for both jobs."""
    jobs = [Slicing(RATE), Slicing(RATE)]
    for customer in range(many):
        p = chance.betavariate(8, 2)
        for _ in range(size):
            value = _slice(chance)
            for job in jobs:
                job.add(RIGHT if chance.random() < p else WRONG, value, str(customer))
    return jobs


def _nested(chance: random.Random) -> list[Slicing]:
    """200 customers with five rows each, all in one slice."""
    jobs = [Slicing(RATE), Slicing(RATE)]
    for customer in range(200):
        p, value = chance.betavariate(8, 2), _slice(chance)
        for _ in range(5):
            for job in jobs:
                job.add(RIGHT if chance.random() < p else WRONG, value, str(customer))
    return jobs


def _numbers(chance: random.Random) -> list[Slicing]:
    jobs = [Slicing(Counting(Form.NUMBER)), Slicing(Counting(Form.NUMBER))]
    for _ in range(1000):
        value, row = _slice(chance), chance.gauss(50, 20)
        for job in jobs:
            job.add(Scored(Status.MEASURED, row + chance.gauss(0, 10), 1), value)
    return jobs


def _words(chance: random.Random) -> list[Slicing]:
    """Errors in words of 400 recordings of unequal length."""
    jobs = [Slicing(Counting(Form.RATIO)), Slicing(Counting(Form.RATIO))]
    for _ in range(400):
        value, words, rate = _slice(chance), chance.randint(5, 60), chance.betavariate(1, 8)
        for job in jobs:
            job.add(Scored(Status.MEASURED, sum(chance.random() < rate for _ in range(words)), words), value)
    return jobs


def _slice(chance: random.Random) -> str:
    """The last of them are ten times as common as the first."""
    return str(min(int(SLICES * chance.random() ** 0.6), SLICES - 1))


def flagged(draw: Callable[[random.Random], list[Slicing]], seeds: range) -> float:
    """The share of reports of two equal jobs that call any slice better or worse than the rest, once corrected."""
    found = 0
    for seed in seeds:
        parts = [job.part(str(value)) for job in draw(random.Random(seed)) for value in range(SLICES)]
        found += min(benjamini_hochberg([part.p for part in parts if part is not None])) < _SIGNIFICANT
    return found / len(seeds)


DRAWS = {
    "rates of 0.80": partial(_rates, 0.8, 1000),
    "rates of 0.98": partial(_rates, 0.98, 1000),
    "rates of 0.90, 400 rows": partial(_rates, 0.9, 400),
    "200 clusters of 5, each in many slices": partial(_clusters, 200, 5),
    "30 clusters of 20, each in many slices": partial(_clusters, 30, 20),
    "200 clusters of 5, each in one slice": _nested,
    "numbers": _numbers,
    "WER, 400 recordings": _words,
}


@pytest.mark.sweep
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", DRAWS)
def test_of_equal_jobs_few_have_a_slice_that_stands_out(name: str) -> None:
    assert flagged(DRAWS[name], range(1000)) <= 0.07


@pytest.mark.parametrize(("name", "seeds"), [("rates of 0.98", 40), ("30 clusters of 20, each in many slices", 15)])
def test_a_sample_of_them(name: str, seeds: int) -> None:
    assert flagged(DRAWS[name], range(seeds)) <= 0.1


@pytest.mark.parametrize("clusters", [False, True])
def test_a_slice_that_is_worse_still_stands_out(clusters: bool) -> None:
    found = 0
    for seed in range(10):
        chance, job = random.Random(seed), Slicing(RATE)
        for at in range(1000):
            value = at % SLICES
            one = RIGHT if chance.random() < (0.4 if value == 7 else 0.8) else WRONG
            job.add(one, str(value), str(at % 333) if clusters else None)
        parts = [job.part(str(value)) for value in range(SLICES)]
        ps = benjamini_hochberg([part.p for part in parts if part is not None])
        found += ps[7] < _SIGNIFICANT
    assert found >= 9
