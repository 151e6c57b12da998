"""A real SIGKILL at every effect boundary, then plain `apply`: one batch, whole results, nothing left to do."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.journeys.boundaries import crossed_by, missing_in, rig_of
from tests.journeys.rounds import at

NAMES = ["openai-verbs", "openai-verbs-expired", "openai-calls", "openai-packed", "openai-running"]
PATH = [  # what one plain apply comes to, in order
    "write project",
    "keys",
    "write batch,project",
    "upload",
    "write batch",  # the intent, with its upload and a try counted
    "submit",
    "write batch",  # the receipt
    "0.jsonl",
    "index",
    "write batch",  # collected
    "answers.jsonl",
    "write job",
]
MOST = 120  # more boundaries than there are
TELLING = {  # kills that a sample must have: what was sent is not on record, or what is on record was not sent
    "openai-verbs": ("after submit",),
    "openai-calls": ("sent POST batches",),
    "openai-packed": ("rename 0.jsonl.zst", "remove 0.jsonl"),  # half packed; and then there are two
    "openai-running": ("after POST batches",),
}


def test_the_create_path_is_crossed_in_order(tmp_path: Path) -> None:
    with rig_of("openai-verbs", tmp_path) as rig:
        crossed = crossed_by(rig)
    steps = [step.partition(" ")[2] for step in crossed if step.startswith(("before", "open"))]
    way = iter(steps)
    assert all(wanted in way for wanted in PATH), steps
    submitted = crossed.index("before submit")
    assert crossed[submitted - 1] == "after write batch"  # the intent is durable before anything is sent
    assert crossed[submitted + 2] == "before write batch"  # and the receipt is the very next thing


@pytest.mark.parametrize("name", TELLING)
def test_a_sample_of_boundaries(name: str, tmp_path: Path) -> None:
    with rig_of(name, tmp_path) as rig:
        crossed = crossed_by(rig)
        assert missing_in(name, crossed) == []
        for step in TELLING[name]:
            assert rig.round(at(crossed, step)), step


def test_killed_again_and_again(tmp_path: Path) -> None:
    with rig_of("openai-calls", tmp_path) as rig:
        assert rig.again_and_again(1, 39, random.Random(1)).kills > 1


@pytest.mark.sweep
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_every_boundary(name: str, tmp_path: Path) -> None:
    with rig_of(name, tmp_path) as rig:
        figures = rig.sweep(range(1, MOST))
    assert 20 < figures.rounds < MOST - 1


@pytest.mark.sweep
@pytest.mark.timeout(1800)
def test_a_hundred_rounds_of_up_to_five_kills(tmp_path: Path) -> None:
    with rig_of("openai-calls", tmp_path) as rig:
        assert rig.again_and_again(100, 39, random.Random(2)).kills > 100
