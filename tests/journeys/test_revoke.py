"""Who gives up a create first takes away what it would run: one that arrives late finds nothing, and costs nothing."""

from __future__ import annotations

import pytest

from tests.journeys.gateway import Gateway
from tests.journeys.lab import Lab, until

CREATE, DELETE = "POST /v1/batches", "DELETE /v1/files/*"


def alive(lab: Lab) -> int:
    """Batches that were not refused for want of their input."""
    return sum(batch["status"] != "failed" for batch in lab.server.batches())


@pytest.mark.parametrize("edits", [False, True], ids=["the same rows", "edited rows"])
def test_a_create_that_arrives_late_finds_nothing_to_run(lab: Lab, gateway: Gateway, edits: bool) -> None:
    gateway.kept.add(CREATE)
    gateway.before["GET /v1/files/*"] = gateway.kept.clear  # the upload was deleted: what is sent from now on passes
    lab.apply("--no-wait", code=3)
    assert gateway.calls.count(DELETE) == 1
    if edits:
        lab.rows({f"r{n}": f"word {n}" for n in range(9)})
        lab.apply("--no-wait", code=3)
    gateway.deliver()
    lab.apply()
    late = [batch for batch in lab.server.batches() if batch["status"] == "failed"]
    assert [batch["errors"]["data"][0]["param"] for batch in late] == ["file_id"]
    until(lambda: alive(lab) == 1)  # the late one is validated first
    assert all(row["error"] is None for row in lab.results())
    assert lab.apply().stdout == "Nothing to do\n"
    numbers = sorted(batch["metadata"]["runner_attempt"] for batch in lab.server.batches())
    assert edits or numbers == ["1", "2"], "a name that was revoked is never used again"


def test_what_was_accepted_before_its_input_was_taken_away_is_found(lab: Lab, gateway: Gateway) -> None:
    lab.server.fault(list_lag=60)
    gateway.lost[CREATE] = 1
    gateway.before["GET /v1/files/*"] = lambda: lab.server.fault(list_lag=None)
    lab.apply()
    assert gateway.calls.count(DELETE) == 1
    assert lab.server.creates() == 1
    assert all(row["error"] is None for row in lab.results())
    assert lab.apply().stdout == "Nothing to do\n"


def test_what_a_list_shows_only_after_it_was_given_up_is_known_by_our_record(lab: Lab, gateway: Gateway) -> None:
    """It runs, and nobody can read its input any more, since we took it away: what it holds is on record here."""
    lab.server.fault(list_lag=60, hold=0.5)
    gateway.lost[CREATE] = 1
    lab.apply("--no-wait", code=3)
    assert gateway.calls.count(DELETE) == 1
    lab.server.fault(list_lag=None)
    lab.apply("--no-wait", code=3)  # it is taken up while it runs
    lab.server.fault(hold=None)
    lab.apply()
    assert lab.server.creates() == 1
    assert all(row["error"] is None for row in lab.results())
    assert lab.apply().stdout == "Nothing to do\n"


def test_where_an_upload_cannot_be_deleted_a_late_create_is_stopped_and_counted(lab: Lab, gateway: Gateway) -> None:
    lab.server.fault(hold=0.3)
    gateway.refused[DELETE] = 405
    gateway.kept.add(CREATE)
    gateway.before["GET /v1/files/*"] = gateway.kept.clear
    lab.apply("--no-wait", code=3)
    lab.rows({f"r{n}": f"word {n}" for n in range(9)})
    lab.apply("--no-wait", code=3)
    gateway.deliver()
    done = lab.apply("--no-wait", code=3)
    assert "was given up, and its requests were sent since; it was cancelled (9 requests overlap)" in done.stderr
    lab.server.fault(hold=None)
    lab.apply()
    assert sorted(batch["status"] for batch in lab.server.batches()) == ["cancelled", "completed"]


def test_an_upload_that_may_be_there_still_is_looked_for_again(lab: Lab, gateway: Gateway) -> None:
    """The deletion cannot be confirmed now: nothing is given up, and nothing sent."""
    gateway.kept.add(CREATE)
    gateway.refused["GET /v1/files/*"] = 503
    lab.apply("--no-wait", code=3)
    assert gateway.calls.count(CREATE) == 1
    gateway.refused.clear()
    gateway.kept.clear()
    lab.apply()
    gateway.deliver()
    until(lambda: alive(lab) == 1)  # the late one is validated first
    assert lab.apply().stdout == "Nothing to do\n"
