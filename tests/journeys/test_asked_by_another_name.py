"""A batch in flight keeps the name of the job that sent it; whoever wants its rows now hears what is wrong with it."""

from __future__ import annotations

import json

import pytest

from tests.journeys.lab import SPEC, Lab

OTHER_NAME = SPEC.replace("  answers:", "  renamed:").replace("results/answers", "results/renamed")


@pytest.mark.parametrize("key, why", [("", "`LAB_KEY` is not set"), ("wrong", "answered 401")])
def test_a_job_renamed_while_its_key_is_gone_is_not_done(lab: Lab, key: str, why: str) -> None:
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    lab.spec(OTHER_NAME)
    done = lab.apply(code=1, LAB_KEY=key)
    assert "error: renamed: " in done.stderr and why in done.stderr
    assert "no job of these specs" not in done.stderr
    lab.server.fault(hold=None)
    lab.apply()
    assert lab.server.creates() == 1
    assert len(lab.results("results/renamed.jsonl")) == 10


def test_specs_in_another_folder_that_share_what_is_in_flight(lab: Lab) -> None:
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    (lab.root / "others").mkdir()
    (lab.root / "others/lab.yaml").write_text(OTHER_NAME.format(url=f"{lab.server.url}/v1"))
    done = lab.run("apply", "others/", "-y", "-o", "json", code=1, LAB_KEY="wrong")
    assert "error: renamed: " in done.stderr
    assert json.loads(done.stdout)["exit_code"] == 1
    lab.server.fault(hold=None)
    lab.run("apply", "others/", "-y")
    assert lab.server.creates() == 1
