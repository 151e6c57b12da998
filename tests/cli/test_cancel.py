"""`runner cancel`: whatever can be stopped is stopped, and what cannot is named."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator

import pytest

from tests.journeys.gateway import Gateway, dropped
from tests.journeys.lab import SPEC, Lab, until
from tests.proxy import faults
from tests.proxy.proxy import Proxy, between

CELLS = SPEC.replace("    dataset: rows\n", "    matrix: {{replicate: [1, 2, 3]}}\n    dataset: rows\n").replace(
    "answers.jsonl", "answers-{{{{ replicate }}}}.jsonl"
)
CANCEL = r"^POST /v1/batches/[^/]+/cancel"


@pytest.fixture
def behind(lab: Lab) -> Iterator[tuple[Lab, Proxy]]:
    """A job of three batches in flight, and the proxy between it and its remote."""
    host, _, port = lab.server.url.removeprefix("http://").partition(":")
    with between((host, int(port))) as proxy:
        lab.server.fault(hold=0.0)
        lab.spec(CELLS.replace("{url}", f"{proxy.url}/v1"))
        lab.apply("--no-wait", code=3)
        assert lab.server.creates() == 3
        yield lab, proxy


def states(lab: Lab) -> list[str]:
    return sorted(batch["status"] for batch in lab.server.batches())


def test_one_that_cannot_be_stopped_does_not_keep_the_others_running(behind: tuple[Lab, Proxy]) -> None:
    lab, proxy = behind
    proxy.arm(CANCEL, faults.FAULTS["302 elsewhere"].strike, times=2)
    done = lab.run("cancel", "answers", code=1)
    assert proxy.count(CANCEL) == 3
    assert states(lab).count("in_progress") == 2
    assert done.stdout.count("request") == 1
    assert done.stderr.count("could not be stopped") == 2
    assert all(cell in done.stderr for cell in ("answers:replicate=1", "answers:replicate=2"))
    assert done.stderr.count("hint:") == 1
    assert "check `base_url` of the provider; then run `runner cancel answers` again" in done.stderr
    proxy.disarm()
    lab.run("cancel", "answers")
    assert "in_progress" not in states(lab)


def pasted(said: str) -> list[str]:
    """The words of the one command that is suggested, behind `runner`."""
    [command] = re.findall(r"`runner (cancel [^`]*)`", said)
    return shlex.split(command)


def test_what_the_plan_offers_stops_what_nobody_wants_and_nothing_else(lab: Lab) -> None:
    lab.server.fault(hold=0.0)
    lab.apply("--no-wait", code=3)
    lab.spec(SPEC.replace("Say {{{{", "Now say {{{{"))
    done = lab.apply("--no-wait", code=3)
    old, new = [batch["id"] for batch in lab.server.batches()]
    assert f"`runner cancel answers specs/ --batch {old}`" in done.stdout
    lab.run(*pasted(done.stdout))
    assert [batch["status"] for batch in lab.server.batches()] == ["cancelled", "in_progress"]
    lab.server.fault(hold=None)
    lab.apply()
    assert lab.server.creates() == 2
    assert lab.run("cancel", "answers", "--batch", new, code=64).stderr.count("`runner status` lists") == 1


def test_a_batch_is_chosen_by_either_name(behind: tuple[Lab, Proxy]) -> None:
    lab, _ = behind
    first, second = (batch["name"] if at else batch["key"] for at, batch in enumerate(running(lab)[:2]))
    lab.run("cancel", "answers", "--batch", first, "--batch", second)
    assert [one["name"] in (first, second) or one["key"] == first for one in running(lab)] == [True, True, False]
    assert states(lab).count("in_progress") == 1
    done = lab.run("cancel", "answers", "--batch", "batch_of_nobody", code=64)
    assert "no batch `batch_of_nobody` of this job is in flight" in done.stderr


def running(lab: Lab) -> list[dict[str, str]]:
    return list(json.loads(lab.run("status", "-o", "json", "--offline").stdout)["batches"])


def test_of_an_unanswered_create_it_is_found_out_first_whether_it_is_there(lab: Lab, gateway: Gateway) -> None:
    lab.server.fault(hold=0.0)
    gateway.lost["POST /v1/batches"] = 1
    gateway.before["POST /v1/batches"] = lambda: gateway.refused.update({"GET /v1/batches": 503})
    lab.apply("--no-wait", code=3)
    done = lab.run("cancel", "answers", code=1)
    assert "could not be stopped: it is not known whether it was created" in done.stderr
    assert "hint: run `runner cancel answers` again" in done.stderr
    gateway.refused.clear()
    assert "cancel" in lab.run("cancel", "answers").stdout
    until(lambda: [batch["status"] for batch in lab.server.batches()] == ["cancelled"])


def test_a_create_that_did_not_happen_is_no_longer_waited_for(lab: Lab, gateway: Gateway) -> None:
    gateway.kept.add("POST /v1/batches")
    gateway.before["POST /v1/batches"] = lambda: gateway.refused.update({"GET /v1/batches": 503})
    lab.apply("--no-wait", code=3)
    gateway.refused.clear()
    assert "answers  was not sent; the next `runner apply` sends" in lab.run("cancel", "answers").stdout
    assert lab.server.creates() == 0


def test_what_waits_for_a_person_is_named(lab: Lab, gateway: Gateway) -> None:
    gateway.batch = dropped("metadata", "input_file_id")
    gateway.lost["POST /v1/batches"] = 1
    lab.apply(code=5)
    assert "`runner state resolve answers` lists what is held" in lab.run("cancel", "answers", code=64).stderr
