"""The composite action, run shell by shell: validate, plan with a comment, apply by the digest that the plan gave."""

from __future__ import annotations

import json
from pathlib import Path

from tests.journeys.lab import Lab
from tests.journeys.test_repay import PRICED
from tests.kit.conftest import pushed
from tests.kit.workflow import Action, Hub, git, machine

ACTION = Path(__file__).parents[2] / "action.yml"
MAY = {"contents": "read", "pull-requests": "write"}


def test_validate_plan_and_apply(hub: Hub, dev: Lab) -> None:
    (hub.folder / "bin/pip").write_text(f"#!/bin/bash -e\n[ \"$*\" = 'install {ACTION.parent}[server]' ]\n")
    hub.environ |= {"GITHUB_ACTION_PATH": str(ACTION.parent)}
    dev.spec(PRICED)
    dev.rows(10)
    pushed(dev, "first", "Ask")
    event = hub.opened(1, "first")

    def used(event: dict[str, object] = event, *, key: str = "", **given: str) -> Action:
        workspace = hub.folder / f"workspace{hub.runs}"
        git(hub.folder, "clone", "-q", "-b", "first", str(hub.origin), str(workspace))
        hub.environ |= {"LAB_KEY": key}
        return Action(hub, ACTION, workspace, given, event, MAY)

    assert used(command="validate").is_green
    plan = used(command="plan", comment="true", args="--max-usd 20")
    assert plan.is_green, plan.said
    assert plan.outputs["digest"].startswith("10-") and plan.outputs["code"] == "0"
    assert "10 requests" in plan.summary and plan.outputs["digest"] in hub.comments(1)[0]
    kept = json.loads((plan.folder / "artifacts/runner-plan/plan.json").read_text())
    assert kept["digest"] == plan.outputs["digest"] and kept["options"]["max_usd"] == 20
    assert used(command="plan", comment="true").is_green and len(hub.comments(1)) == 1
    fork = {"pull_request": {"number": 1, "head": {"repo": {"full_name": "mallory/batch"}}}}
    assert used(fork, command="plan", comment="true").is_green, "its token can write no comment"
    assert used(command="plan", args="--max-usd 5").outputs["code"] == "5"
    assert not used(command="launch").is_green
    secret = hub.secrets["LAB_KEY"]
    assert not used({}, command="apply", digest="10-" + "0" * 32, key=secret).is_green
    assert dev.server.sent() == []
    done = used({}, command="apply", digest=plan.outputs["digest"], key=secret)
    assert done.is_green, done.said
    assert (done.folder / "artifacts/results/results/answers.jsonl").exists() and len(dev.server.sent()) == 1
    dev.spec("nobody: 1\n", name="other.yaml")
    pushed(dev, "first", "Slip")
    slip = used(command="validate")
    assert not slip.is_green and "::error file=specs/other.yaml,line=1,col=1::" in slip.said


def test_a_machine_of_theirs_has_nothing_of_ours(tmp_path: Path) -> None:
    assert not [name for name in machine(tmp_path) if name.startswith(("RUNNER", "LAB"))]
