"""What keeps an apply waiting is said when it begins, and not with each pass; and no wait outlasts `--wait`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.lab import Lab
from tests.journeys.lookalike import SPEC, LookAlike, lab_at, looking_alike, running


@pytest.fixture
def remote() -> Iterator[LookAlike]:
    with looking_alike() as made:
        made.life = made.completed
        yield made


@pytest.fixture
def lab(tmp_path: Path, remote: LookAlike) -> Lab:
    return lab_at(tmp_path, remote)


def test_a_list_that_says_429_is_told_once(remote: LookAlike, lab: Lab) -> None:
    remote.on["GET /batches"] = remote.refuse(429, "slow down", **{"retry-after": "300"})
    done = lab.apply("--wait", "2s", "--poll", "0.1s", code=3)
    assert remote.asked.count("GET /batches") > 3
    assert done.stderr.count("not sent yet") == 1
    assert not remote.created
    del remote.on["GET /batches"]
    lab.apply()
    assert len(remote.created) == 1


def test_what_was_given_up_and_cannot_be_looked_for_is_told_once(remote: LookAlike, lab: Lab) -> None:
    lab.spec(SPEC, more=", absence_s: 0.1")
    remote.life = running
    lab.apply("--no-wait", code=3)
    remote.on["GET /batches/batch_1"] = remote.refuse(404)
    remote.lists = False
    lab.apply("--wait", "20s", code=5)
    remote.on["GET /batches/batch_1"] = remote.refuse(429, "slow down", **{"retry-after": "300"})
    lab.rows(3)
    done = lab.apply("--wait", "2s", "--poll", "0.1s", code=None)
    assert done.stderr.count("cannot be looked for now") == 1


def test_a_remote_that_says_later_is_not_waited_for_longer_than_said(remote: LookAlike, lab: Lab) -> None:
    for route in ("GET /batches", "POST /files", "POST /batches"):
        remote.on[route] = remote.refuse(429, "slow down", **{"retry-after": "60"})
        for how in (["--wait", "1s"], ["--no-wait"]):
            began = time.monotonic()
            lab.apply(*how, code=None)
            assert time.monotonic() - began < 30, (route, how)
        del remote.on[route]
