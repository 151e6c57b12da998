"""A real SIGKILL around every call and every write, continuation included, then plain `apply`: nothing twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.journeys.boundaries import crossed_by, missing_in, rig_of
from tests.journeys.rounds import at

NAMES = ["fireworks-verbs", "fireworks-calls", "fireworks-running"]
MOST = 120  # more boundaries than there are
CALLS = [  # what an `apply` with one expiry asks that changes something or brings a file, in order
    "POST datasets",
    "POST upload",
    "POST batchInferenceJobs",
    "GET BIJOutputSet.jsonl",
    "GET error-data",
    "POST batchInferenceJobs",
    "GET BIJOutputSet.jsonl",
    "GET error-data",
]


def test_the_calls_come_in_order_each_create_between_its_intent_and_its_receipt(tmp_path: Path) -> None:
    with rig_of("fireworks-calls", tmp_path) as rig:
        crossed = crossed_by(rig)
    assert missing_in("fireworks-calls", crossed) == []
    called = [step.removeprefix("before ") for step in crossed if step.startswith(("before POST", "before GET"))]
    assert called == CALLS
    for create in [number for number, step in enumerate(crossed) if step == "before POST batchInferenceJobs"]:
        assert crossed[create - 1] == "after write batch"
        assert crossed[create + 3] == "before write batch"


def test_after_each_create_that_the_remote_has_heard_of_and_we_have_not(tmp_path: Path) -> None:
    with rig_of("fireworks-calls", tmp_path) as rig:
        crossed = crossed_by(rig)
        numbers = [number for number, step in enumerate(crossed, 1) if step == "sent POST batchInferenceJobs"]
        assert len(numbers) == 2
        for number in numbers:
            assert rig.round(number)


@pytest.mark.parametrize(("name", "step"), [("fireworks-verbs", "after submit"), ("fireworks-running", "open keys")])
def test_a_sample_of_boundaries(name: str, step: str, tmp_path: Path) -> None:
    with rig_of(name, tmp_path) as rig:
        crossed = crossed_by(rig)
        assert missing_in(name, crossed) == []
        assert rig.round(at(crossed, step))


def test_killed_again_and_again(tmp_path: Path) -> None:
    with rig_of("fireworks-calls", tmp_path) as rig:
        assert rig.again_and_again(1, 76, random.Random(1)).kills > 1


@pytest.mark.sweep
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_every_boundary(name: str, tmp_path: Path) -> None:
    with rig_of(name, tmp_path) as rig:
        assert 20 < rig.sweep(range(1, MOST)).rounds < MOST - 1


@pytest.mark.sweep
@pytest.mark.timeout(1800)
def test_a_hundred_rounds_of_up_to_five_kills(tmp_path: Path) -> None:
    with rig_of("fireworks-calls", tmp_path) as rig:
        assert rig.again_and_again(100, 76, random.Random(2)).kills > 100
