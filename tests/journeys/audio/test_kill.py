"""A real SIGKILL at every boundary of a wave, then plain `apply`: each recording answered, none twice but the counted.

The remote cannot be searched. So a call that was on its way is sent again and counted, or held until a person has
decided, as the spec says; all others are sent once.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.journeys.boundaries import crossed_by, missing_in, rig_of
from tests.journeys.rounds import at

NAMES = ["audio-resubmit", "audio-hold", "audio-folder", "audio-at-once", "embedded-audio"]
MOST = 200  # more boundaries than there are
TELLING = {
    "audio-resubmit": ("amid POST transcriptions", "torn commit RECEIPT"),
    "audio-hold": ("sent POST transcriptions",),
    "audio-folder": ("rename transcript",),
    "audio-at-once": ("sent POST transcriptions",),
    "embedded-audio": ("after POST transcriptions",),
}
IN_DOUBT: dict[str, dict[str, int]] = {  # kills after which nobody knows whether the call was heard
    "audio-resubmit": {"said": 2, "twice": 1},
    "audio-hold": {"held": 1},
    "embedded-audio": {"said": 1},
}


@pytest.mark.parametrize("name", TELLING)
def test_a_sample_of_boundaries(name: str, tmp_path: Path) -> None:
    with rig_of(name, tmp_path) as rig:
        crossed = crossed_by(rig)
        assert missing_in(name, crossed) == []
        figures = rig.sweep(at(crossed, step) for step in TELLING[name])
        assert figures.rounds == len(TELLING[name])
        told = vars(figures)
        assert {what: told[what] for what in IN_DOUBT.get(name, {})} == IN_DOUBT.get(name, {})


def test_each_call_is_made_between_its_intent_and_its_receipt(tmp_path: Path) -> None:
    with rig_of("audio-hold", tmp_path) as rig:
        crossed = crossed_by(rig)
    sends = [number for number, step in enumerate(crossed) if step == "before POST transcriptions"]
    assert len(sends) == 2
    for send in sends:
        assert crossed[send - 1] == "after commit INTENT"
        assert crossed[send + 3 : send + 5] == ["after POST transcriptions", "before commit RECEIPT"]


def test_killed_again_and_again(tmp_path: Path) -> None:
    with rig_of("audio-hold", tmp_path) as rig:
        assert rig.again_and_again(1, 61, random.Random(3)).kills > 1


@pytest.mark.sweep
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", NAMES)
def test_every_boundary(name: str, tmp_path: Path) -> None:
    with rig_of(name, tmp_path) as rig:
        figures = rig.sweep(range(1, MOST))
    assert 50 < figures.rounds < MOST - 1
    assert figures.twice <= figures.said


@pytest.mark.sweep
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["audio-resubmit", "audio-hold", "audio-at-once"])
def test_a_hundred_rounds_of_up_to_five_kills(name: str, tmp_path: Path) -> None:
    with rig_of(name, tmp_path) as rig:
        assert rig.again_and_again(100, 80, random.Random(4)).kills > 100
