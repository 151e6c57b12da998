"""A real SIGKILL at every effect boundary, then plain `apply`: one batch, whole results, nothing left to do."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.lab import SPEC, Lab

KILLER = Path(__file__).with_name("killer.py")
PATH = [  # what one plain apply crosses, in order
    "project",
    "object keys",
    "batch,project",
    "upload",
    "batch",  # the intent, with its upload and a try counted
    "submit",
    "batch",  # the receipt
]


def killed_at(lab: Lab, number: int, around: str = "verbs") -> tuple[int, list[str]]:
    """The exit code of an `apply` killed at boundary `number`, and the boundaries it crossed."""
    done = subprocess.run(
        [sys.executable, str(KILLER), str(lab.root), str(number), around],
        env=lab.environ(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode, done.stdout.splitlines()


def check_recovery(lab: Lab, number: int) -> list[str]:
    """Kill at boundary `number` in a project of its own; the boundaries that were crossed."""
    project = f"kill{number}"
    lab.spec(SPEC.replace("project: lab", f"project: {project}").replace("Say", f"Say {number}"))
    lab.apply_anew()
    code, crossed = killed_at(lab, number)
    if code == 0:
        return []
    lab.apply()
    mine = [batch for batch in lab.server.batches() if batch["metadata"]["runner_project"] == project]
    assert len(mine) == 1, crossed
    assert [row["custom_id"] for row in lab.results()] == [f"r{n}" for n in range(10)]
    assert all(row["error"] is None for row in lab.results())
    assert lab.run("plan").stdout == "Nothing to do\n"
    return crossed


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", [1, 8, 15, 22])
def test_every_boundary(lab: Lab, first: int) -> None:
    """Seven boundaries a test, so that they run side by side; together all of them."""
    for number in range(first, first + 7):
        crossed = check_recovery(lab, number)
        if not crossed:
            assert number > 2 * len(PATH)
            return
    if first == 22:
        pytest.fail("there are more boundaries than this test crosses")


def test_the_create_path_is_crossed_in_order(lab: Lab) -> None:
    _, crossed = killed_at(lab, 10_000)
    steps = [step.partition(" ")[2].removeprefix("write ") for step in crossed if step.startswith("before")]
    at = iter(steps)
    assert all(wanted in at for wanted in PATH), steps
    submitted = crossed.index("before submit")
    assert crossed[submitted - 1] == "after write batch"  # the intent is durable before anything is sent
    assert crossed[submitted + 2] == "before write batch"  # and the receipt is the very next thing
