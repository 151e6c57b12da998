"""`runner cancel`: whatever can be stopped is stopped, and what cannot is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.journeys.lab import SPEC, Lab
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
