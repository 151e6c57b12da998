"""A slice against the rest of its run."""

from __future__ import annotations

import random

import pytest

from runner.checks.score import Scored, Status
from runner.checks.slicing import Slicing
from runner.checks.tally import Counting, Form
from runner.stats import exact

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


def test_a_slice_against_the_rest_by_the_score_test() -> None:
    found = slicing({"en": (90, 10), "de": (80, 20), "ja": (30, 20)})
    part = found.part("ja")
    assert part is not None
    assert part.difference == pytest.approx(0.6 - 0.85)
    assert part.p == exact.score_test(30, 50, 170, 200)
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


def test_other_numbers_have_slices_too() -> None:
    found = Slicing(Counting(Form.NUMBER))
    rng = random.Random(3)
    for at in range(200):
        found.add(Scored(Status.MEASURED, rng.gauss(at % 2, 1), 1), "ab"[at % 2])
    part = found.part("b")
    assert part is not None and part.p < 0.001 and 0.5 < part.difference < 1.5
