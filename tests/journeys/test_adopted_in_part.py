"""Batches that were adopted with what a cut file named of them, and say more later: no answer is given up for that."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.journeys.lab import Lab
from tests.journeys.lookalike import LookAlike, lab_at, looking_alike
from tests.journeys.rounds import killed
from tests.journeys.test_short_files import shorten, states


@pytest.fixture
def remote() -> Iterator[LookAlike]:
    with looking_alike() as made:
        ended = made.now() - timedelta(hours=1).seconds
        made.life = lambda batch, polls: {**made.completed(batch), "created_at": ended - 60, "completed_at": ended}
        yield made


def adopted(root: Path, remote: LookAlike) -> Lab:
    """A memory that was lost, and found three of eight requests again; the others could not be sent yet."""
    lab = lab_at(root, remote, 8)
    lab.apply()
    shutil.rmtree(lab.root / ".runner")
    shutil.rmtree(lab.root / "results")
    remote.deleted.add("file-1")
    shorten(remote)
    remote.on["POST /files"] = remote.refuse(500)
    lab.apply(code=None)
    assert states(lab)["ok"] == 3
    remote.on.clear()
    return lab


@pytest.mark.parametrize("list_shows", ["it", "nothing", "a refusal"])
def test_what_its_results_name_by_now_is_taken_over(tmp_path: Path, remote: LookAlike, list_shows: str) -> None:
    lab = adopted(tmp_path, remote)
    remote.lists = list_shows == "it"
    if list_shows == "a refusal":
        remote.on["GET /batches"] = remote.refuse(404)
    lab.apply()
    assert states(lab) == {"ok": 8}
    assert len(remote.sent) == 1


def test_a_command_that_dies_while_it_takes_it_over_gives_up_no_answer(tmp_path: Path, remote: LookAlike) -> None:
    lab = adopted(tmp_path, remote)
    remote.lists = False
    spare = Lab(tmp_path / "spare", remote)  # type: ignore[arg-type]
    shutil.copytree(lab.root, spare.root)
    crossed = killed(spare, 0).crossed
    assert killed(lab, crossed.index("after write batch") + 1).is_dead
    remote.on["GET /batches"] = remote.refuse(404)
    lab.apply()
    assert states(lab) == {"ok": 8}
    assert len(remote.sent) == 1
