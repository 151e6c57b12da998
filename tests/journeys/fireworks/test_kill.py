"""A real SIGKILL around every call and every write, continuation included, then plain `apply`: nothing twice."""

from __future__ import annotations

import signal

import pytest

from tests.journeys.fireworks.lab import SPEC, Account, FireLab
from tests.journeys.test_kill import killed_at

MOST = 64  # more boundaries than there are
CALLS = [  # what an `apply` with one expiry asks that changes something or brings a file, in order
    "POST datasets",
    "POST upload",
    "POST batchInferenceJobs",
    "GET BIJOutputSet.jsonl",
    "GET error-data",
    "POST batchInferenceJobs",
    "GET BIJOutputSet.jsonl",
    "GET error-data",
]


def fresh(lab: FireLab, number: int) -> None:
    """An account, a project and requests of their own."""
    lab.account = Account(lab.server, f"{lab.account.name.partition('-k')[0]}-k{number}")
    lab.spec(SPEC.replace("project: lab", f"project: kill-{number}"))
    lab.apply_anew()
    lab.account.fault(expire_at={"value": 0.5, "count": 1})


def check_recovery(lab: FireLab, number: int) -> list[str]:
    """Kill at boundary `number`; the boundaries that were crossed, none when there are fewer."""
    fresh(lab, number)
    code, crossed = killed_at(lab, number, "calls")
    if code == 0:
        return []
    assert code == -signal.SIGKILL
    lab.apply()
    lab.whole()
    assert lab.account.states() == ["EXPIRED", "COMPLETED"], crossed
    assert lab.account.asked_of_jobs() == [10, 5], crossed
    assert len(lab.account.uploads()) == 1, crossed
    assert lab.account.rows_asked() == 10, crossed
    assert lab.run("plan").stdout == "Nothing to do\n", crossed
    return crossed


def test_the_calls_are_crossed_in_order_each_create_between_its_intent_and_its_receipt(lab: FireLab) -> None:
    fresh(lab, 0)
    _, crossed = killed_at(lab, 10_000, "calls")
    called = [step.removeprefix("before ") for step in crossed if step.startswith(("before POST", "before GET"))]
    assert called == CALLS
    for create in [at for at, step in enumerate(crossed) if step == "before POST batchInferenceJobs"]:
        assert crossed[create - 1] == "after write batch"
        assert crossed[create + 2] == "before write batch"
    assert len(crossed) < MOST


def test_after_each_call_that_the_remote_has_heard_of_and_we_have_not(lab: FireLab) -> None:
    fresh(lab, 0)
    _, crossed = killed_at(lab, 10_000, "calls")
    numbers = [number for number, step in enumerate(crossed, 1) if step.startswith("after POST")]
    assert len(numbers) == 4
    for number in numbers:
        assert check_recovery(lab, number)[-1].startswith("after POST")


@pytest.mark.sweep
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(1, MOST, 8))
def test_every_boundary(first: int, lab: FireLab) -> None:
    for number in range(first, first + 8):
        if not check_recovery(lab, number):
            return
