"""A SIGKILL at every step of a prune: what was named goes, nothing else, and no answer with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.boundaries import crossed_by, missing_in, rig_of
from tests.journeys.rounds import at

TELLING = {  # named and not sent; gone and not on record; its reply never read
    "prune-verbs": ("after write project", "after delete"),
    "prune-calls": ("after DELETE files",),
}


@pytest.mark.parametrize("name", TELLING)
def test_a_sample_of_boundaries(name: str, tmp_path: Path) -> None:
    with rig_of(name, tmp_path) as rig:
        crossed = crossed_by(rig)
        assert missing_in(name, crossed) == []
        assert crossed.index("after write project") < min(at(crossed, step) for step in TELLING[name][-1:])
        for step in TELLING[name]:
            assert rig.round(at(crossed, step)), step


@pytest.mark.sweep
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TELLING)
def test_every_boundary(name: str, tmp_path: Path) -> None:
    with rig_of(name, tmp_path) as rig:
        assert rig.sweep(range(1, 60)).rounds > 5
