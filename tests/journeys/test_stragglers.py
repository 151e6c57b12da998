"""A batch that takes too long is stopped, and each row comes to one end, whatever the remote makes of the cancel."""

from __future__ import annotations

import json
import time

import pytest

from tests.journeys.lab import SPEC, Lab, until

ROWS = 33
DONE = 32  # where the batch is stuck: at 97 %
GIVES_UP = SPEC.replace("    output: results", "    stragglers: {{after: 1s, then: give_up}}\n    output: results")
ASKS_ONLINE = GIVES_UP.replace("give_up", "online").replace(
    "    params: {{max_tokens: 16}}", "    params: {{max_tokens: 16}}\n    price: {{input: 1000, output: 1000}}"
)
ONLINE = "POST /v1/chat/completions"
CANCEL = "POST /v1/batches/*/cancel"


def stuck(lab: Lab, spec: str = GIVES_UP) -> str:
    """A batch that has answered nearly all of its rows, and is older than its job waits for; its id."""
    lab.spec(spec)
    lab.rows(ROWS)
    lab.server.fault(hold=0.97)
    lab.apply("--no-wait", code=3)
    (batch,) = lab.server.batches()
    until(lambda: lab.server.batches()[0]["request_counts"]["completed"] == DONE)
    time.sleep(max(batch["created_at"] + 3.05 - time.time(), 0.0))  # both times are told in whole seconds
    return str(batch["id"])


def _codes(lab: Lab) -> list[str]:
    return [row["error"]["code"] for row in lab.results() if row["error"]]


def test_the_rest_is_given_up(lab: Lab) -> None:
    name = stuck(lab)
    planned = lab.run("plan", "specs/").stdout
    assert (
        "Plan: 1 batch to cancel" in planned and f"{DONE} of {ROWS} have ended by now, the rest is given up" in planned
    )
    assert lab.server.batches()[0]["status"] == "in_progress", "a plan stops nothing"
    said = lab.apply(code=4)
    assert f"`{name}` takes too long: cancelling" in said.stderr
    assert lab.server.batches()[0]["status"] == "cancelled"
    assert _codes(lab) == ["gave_up"]
    assert sum(row["answer"] is not None for row in lab.results()) == DONE
    assert lab.server.creates() == 1
    events = json.loads(lab.run("history", "-o", "json").stdout)["events"]
    (told,) = [event for event in events if event["event"] == "batch.cancelled"]
    assert told["why"] == f"{DONE} of {ROWS} have ended by now, the rest is given up"

    # It holds: nothing is asked again by itself
    lab.apply(code=4)
    assert lab.server.creates() == 1
    lab.server.calm()
    lab.run("retry", "answers")
    lab.apply()
    assert lab.server.sent() == [[f"r{n}" for n in range(ROWS)], ["r32"]]
    assert all(row["answer"] for row in lab.results())


def test_the_rest_is_asked_online(lab: Lab) -> None:
    name = stuck(lab, ASKS_ONLINE)
    assert (
        f"{DONE} of {ROWS} have ended by now, the rest is asked online, at most $0.0187"
        in lab.run("plan", "specs/").stdout
    )
    said = lab.apply()
    assert f"`{name}` takes too long: cancelling" in said.stderr
    assert lab.server.creates() == 1 and lab.server.asked()[ONLINE] == 1
    assert [row["answer"] for row in lab.results()] == [f"echo: Say word {n}" for n in range(ROWS)]
    batches = {row["batch"] for row in lab.results()}
    assert len(batches) == 2 and name in batches
    assert "Nothing to do" in lab.run("plan", "specs/").stdout
    lab.forget()
    lab.apply()
    assert lab.server.creates() == 1 and lab.server.asked()[ONLINE] == 1


def test_passes_of_cron_come_to_the_same(lab: Lab) -> None:
    stuck(lab, ASKS_ONLINE)
    codes = [lab.apply("--no-wait", code=None).returncode]
    while codes[-1] == 3 and len(codes) < 20:
        codes.append(lab.apply("--no-wait", code=None).returncode)
    assert codes[0] == 3 and codes[-1] == 0, "cancelled, collected, and asked online"
    assert lab.server.creates() == 1 and lab.server.asked()[ONLINE] == 1
    assert all(row["answer"] for row in lab.results())


def test_what_it_may_cost_is_said_and_counted_before_anything_is_sent(lab: Lab) -> None:
    lab.spec(ASKS_ONLINE.replace("    output: results", "    budget: 1\n    output: results"))
    lab.rows(ROWS)
    planned = lab.run("plan", "specs/", code=None).stdout
    assert "at most 33 requests once more" in planned
    assert "what a batch has not answered in time: after 1s it is asked online" in planned
    assert "over budget" in planned
    lab.apply(code=5)
    assert not lab.server.creates()


def test_a_cancel_that_is_refused_leaves_it_in_flight(lab: Lab) -> None:
    name = stuck(lab)
    lab.server.fault(fail_before={"value": 99, "route": CANCEL, "status": 400})
    said = lab.apply("--no-wait", code=3)
    assert f"`{name}` takes too long, and could not be stopped" in said.stderr
    again = lab.apply("--no-wait", code=3)  # as cron does: it is told again after a while
    assert "takes longer than its job waits for" in lab.run("plan", "specs/").stdout
    assert "could not be stopped" not in again.stderr
    assert "! could not be stopped" in lab.run("status").stdout
    assert lab.server.batches()[0]["status"] == "in_progress"
    lab.server.calm()
    lab.apply()
    assert lab.server.creates() == 1 and not _codes(lab)


@pytest.mark.parametrize("fault", ["lost", "slow"])
def test_a_cancel_of_which_nobody_hears_stops_it_once(lab: Lab, fault: str) -> None:
    stuck(lab)
    if fault == "lost":
        lab.server.fault(fail_after={"value": 1, "route": CANCEL})
        lab.apply("--no-wait", code=3)
    else:
        lab.server.fault(stuck_cancelling=True)
        lab.apply("--no-wait", code=3)
        assert "being cancelled" in lab.run("plan", "specs/").stdout
        lab.apply("--no-wait", code=3)
        assert lab.server.asked()[CANCEL.replace("*", "{id}")] == 1
        assert not lab.root.joinpath("results/answers.jsonl").exists() or "in_flight" in str(_codes(lab))
    lab.server.calm()
    lab.server.fault(hold=0.97)
    lab.apply(code=4)
    assert lab.server.creates() == 1 and _codes(lab) == ["gave_up"]


def test_a_memory_that_was_lost_knows_its_age_from_the_remote(lab: Lab) -> None:
    stuck(lab)
    lab.forget()
    lab.apply(code=4)
    assert lab.server.creates() == 1 and _codes(lab) == ["gave_up"]
    lab.apply_anew()  # whether it was stopped by a person nobody can tell any more
    lab.apply(code=5)
    assert lab.server.creates() == 1


def test_what_a_person_stops_waits_for_a_person(lab: Lab) -> None:
    stuck(lab)
    lab.run("cancel", "answers")
    lab.apply(code=5)
    assert lab.server.creates() == 1 and _codes(lab) == ["needs_decision"]
