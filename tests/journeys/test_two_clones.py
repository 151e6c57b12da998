"""Two clones whose rows differ by a few: what one has sent, the other does not send; what both sent is counted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.journeys.gateway import Gateway
from tests.journeys.lab import SPEC, Lab


@pytest.fixture
def colleague(lab: Lab, tmp_path: Path) -> Lab:
    """Another clone of the project; its ten rows are those of the lab, which has one more."""
    root = tmp_path / "colleague"
    root.mkdir()
    other = Lab(root, lab.server)
    other.spec()
    other.rows(10)
    lab.rows(11)
    return other


def sends(lab: Lab) -> subprocess.CompletedProcess[str]:
    return lab.apply("--no-wait", code=3)


def test_what_another_clone_sent_during_the_upload_is_not_sent_again(
    lab: Lab, gateway: Gateway, colleague: Lab
) -> None:
    gateway.before["POST /v1/files"] = lambda: sends(colleague)
    done = lab.apply()
    assert "what is left is planned again" in done.stderr
    assert [len(ids) for ids in lab.server.sent()] == [10, 1]
    assert [row["error"] for row in lab.results()] == [None] * 11
    colleague.apply()
    assert [row["error"] for row in colleague.results()] == [None] * 10
    assert lab.server.creates() == 2


def test_what_both_sent_is_counted_by_requests(lab: Lab, gateway: Gateway, colleague: Lab) -> None:
    lab.server.fault(hold=0.3)
    gateway.before["POST /v1/batches"] = lambda: sends(colleague)
    sends(lab)
    done = sends(lab)
    theirs, _ = (batch["id"] for batch in lab.server.batches())
    assert f"`{theirs}`, which was not sent from here, holds 10 of the requests" in done.stderr
    assert "paid for twice" not in sends(lab).stderr, "it is told once"
    assert "holds 10 of the requests" in sends(colleague).stderr
    lab.server.fault(hold=None)
    lab.apply()
    [job] = json.loads(lab.run("status", "-o", "json").stdout)["jobs"]
    assert job["paid_twice"] == 10
    assert "10 requests paid for twice" in lab.run("status").stdout
    assert [batch["status"] for batch in lab.server.batches()] == ["completed", "completed"]


def test_other_cuts_of_the_same_rows_are_counted_too(lab: Lab, gateway: Gateway, colleague: Lab) -> None:
    lab.server.fault(hold=0.3)
    colleague.spec(SPEC.replace("min_poll_s: 0.05", "min_poll_s: 0.05, limits: {{lines: 4}}"))
    gateway.before["POST /v1/batches"] = lambda: sends(colleague)
    sends(lab)
    sends(lab)
    lab.server.fault(hold=None)
    lab.apply()
    [job] = json.loads(lab.run("status", "-o", "json").stdout)["jobs"]
    assert job["paid_twice"] == 10
