"""Jobs that are deleted, or end with nothing done: what was finished is kept, the rest waits for a decision."""

from __future__ import annotations

import shutil

import pytest

from tests.journeys.fireworks.lab import JOBS, SPEC, FireLab
from tests.journeys.lab import until


@pytest.mark.parametrize("share", [0.0, 0.5], ids=["nothing-done", "half-done"])
def test_a_cancelled_job_keeps_what_it_had_and_retry_sends_the_rest(share: float, lab: FireLab) -> None:
    lab.account.fault(hold=share)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.account.rows_asked() == 10 * share and lab.account.states() == ["RUNNING"])
    lab.run("cancel", "answers")
    until(lambda: lab.account.jobs() == [])
    lab.account.fault(hold=None)
    told = lab.apply(code=5)
    assert "runner retry answers" in told.stdout
    assert lab.apply(code=5).stdout.replace(" as it was", "") == told.stdout
    lab.run("retry", "answers")
    lab.apply()
    lab.whole()
    assert [len(ids) for ids in lab.account.sent()] == [10, 10 - 10 * share]
    assert lab.account.rows_asked() == 10
    lab.done()


@pytest.mark.parametrize("then", ["give_up", "online"])
def test_a_job_that_takes_too_long_is_deleted_while_one_command_waits(then: str, lab: FireLab) -> None:
    lab.spec(
        SPEC.replace("    output: results", f"    stragglers: {{{{after: 2s, then: {then}}}}}\n    output: results")
    )
    lab.account.fault(hold=0.5)
    lab.apply(code=4 if then == "give_up" else 0)
    assert lab.account.jobs() == []
    assert lab.account.asked()[JOBS] == 1
    answers = [row["answer"] for row in lab.results()]
    if then == "online":
        lab.whole()
        assert lab.account.rows_asked() == 10
    else:
        assert sum(answer is not None for answer in answers) == 5
        assert {row["error"]["code"] for row in lab.results() if row["error"]} == {"gave_up"}
    lab.account.fault(hold=None)
    assert "Nothing to do" in lab.run("plan").stdout


def test_what_a_deleted_job_had_finished_is_found_on_a_fresh_state(lab: FireLab) -> None:
    """No list shows it any more; its output dataset is met under the name that a new job would get."""
    lab.account.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.account.rows_asked() == 5 and lab.account.states() == ["RUNNING"])
    lab.run("cancel", "answers")
    until(lambda: lab.account.jobs() == [])
    lab.account.fault(hold=None)
    shutil.rmtree(lab.root / ".runner")
    shutil.rmtree(lab.root / "results", ignore_errors=True)
    lab.apply(code=5)
    lab.run("retry", "answers")
    lab.apply()
    lab.whole()
    assert lab.account.rows_asked() == 10
    assert [len(ids) for ids in lab.account.sent()] == [10, 5]


def test_a_job_that_expires_with_nothing_done_is_not_repeated_by_itself(lab: FireLab) -> None:
    lab.account.fault(expire_at={"value": 0.0, "count": 1})
    told = lab.apply(code=5).stdout
    assert "nothing at all finished" in told and "runner retry answers" in told
    assert lab.apply(code=5).stdout.replace(" as it was", "") == told
    assert lab.account.asked()[JOBS] == 1
    lab.run("retry", "answers")
    lab.apply()
    lab.whole()
    assert lab.account.rows_asked() == 10


def test_a_job_that_expires_every_time_ends_after_three_attempts(lab: FireLab) -> None:
    lab.account.fault(expire_at={"value": 0.5, "count": 9})
    lab.apply(code=4)
    assert lab.account.asked_of_jobs() == [10, 5, 3]
    assert lab.account.rows_asked() == 5 + 2 + 1
    assert len(lab.results()) == 10
    assert sum(row["error"] is not None for row in lab.results()) == 2
    assert lab.run("plan").stdout == "Nothing to do\n"
