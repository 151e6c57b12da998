"""A remote that says "later" for ever: a person may go on without a batch, and what it shows later still counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.lab import Lab
from tests.journeys.lookalike import LookAlike, lab_at, looking_alike, record_of
from tests.journeys.test_short_files import needs_a_decision, states

CONTENT = "GET /files/batch_1-output/content"


@pytest.fixture
def remote() -> Iterator[LookAlike]:
    with looking_alike() as made:
        made.life = lambda batch, polls: made.completed(batch)
        yield made


@pytest.fixture(params=[CONTENT, "GET /batches/batch_1"], ids=["its file", "the batch"])
def stuck(tmp_path: Path, remote: LookAlike, request: pytest.FixtureRequest) -> Lab:
    """A project of eight rows, sent once, of which the remote shows nothing."""
    remote.on[request.param] = remote.refuse(503, "not now")
    if request.param != CONTENT:
        remote.lists = False
    lab = lab_at(tmp_path, remote, 8)
    lab.apply("--no-wait", code=3)
    lab.apply("--wait", "2s", code=3)
    return lab


def test_a_person_goes_on_without_a_batch(stuck: Lab, remote: LookAlike) -> None:
    assert "8 requests of `answers` are in flight" in stuck.run("retry", "answers", "--replace").stdout
    assert "runner state give-up batch_1" in stuck.run("state", "rm", "batch_1", code=64).stderr
    given_up = stuck.run("state", "give-up", "batch_1")
    assert "`batch_1` is given up, with 8 requests" in given_up.stdout
    assert len(remote.sent) == 1
    planned = stuck.run("plan", code=5)
    assert "runner retry answers" in planned.stdout
    assert "8 requests will be asked again, 8 of them maybe twice" in stuck.run("retry", "answers").stdout
    stuck.apply()
    assert [len(rows) for rows in remote.sent] == [8, 8]
    assert states(stuck) == {"ok": 8}
    told = json.loads(stuck.run("status", "-o", "json").stdout)
    assert told["jobs"][0]["possible_duplicates"] == 8, "what may be paid for twice is counted"
    assert stuck.run("apply", "specs/").stdout == "Nothing to do\n"


def test_what_is_given_up_and_shown_later_costs_nothing(stuck: Lab, remote: LookAlike) -> None:
    stuck.run("state", "give-up", record_of(stuck.root)[0]["key"])
    stuck.run("retry", "answers")
    remote.on.clear()
    stuck.apply()
    assert states(stuck) == {"ok": 8}
    assert len(remote.sent) == 1


def test_what_a_short_file_may_hold_holds_nothing_up(tmp_path: Path, remote: LookAlike) -> None:
    lab = needs_a_decision(tmp_path, remote)
    lab.run("retry", "answers")
    remote.on[CONTENT] = remote.refuse(503, "not now")
    lab.apply("--no-wait", code=3)
    assert len(remote.sent) == 1
    lab.run("state", "give-up", "batch_1")
    lab.apply()
    assert states(lab) == {"ok": 8}
    assert [len(rows) for rows in remote.sent] == [8, 5]


def test_a_batch_that_is_well_is_not_given_up(tmp_path: Path, remote: LookAlike) -> None:
    remote.life = lambda batch, polls: {"status": "in_progress"}
    lab = lab_at(tmp_path, remote, 8)
    lab.apply("--no-wait", code=3)
    assert "runner cancel answers" in lab.run("state", "give-up", "batch_1", code=64).stderr
    assert "there is no batch `batch_7`" in lab.run("state", "give-up", "batch_7", code=64).stderr
    remote.life = lambda batch, polls: remote.completed(batch)
    lab.apply()
    assert "`batch_1` is over" in lab.run("state", "give-up", "batch_1", code=64).stderr
