"""`.runner/` is gone, at any moment: what the remote holds is found by its names, and nothing is created again."""

from __future__ import annotations

import shutil

import pytest

from tests.journeys.fireworks.lab import DATASETS, JOBS, FireLab
from tests.journeys.foretold import apply_as_foretold
from tests.journeys.gateway import before
from tests.journeys.lab import until

OUTPUTS = pytest.mark.parametrize("outputs", [True, False], ids=["with-outputs", "without-outputs"])


def lose(lab: FireLab, outputs: bool = False) -> None:
    """Lose the state; the outputs as well, unless they stay."""
    lab.forget()
    if not outputs:
        shutil.rmtree(lab.root / "results", ignore_errors=True)


def creates(lab: FireLab) -> tuple[int, int]:
    asked = lab.account.asked()
    return asked.get(DATASETS, 0), asked.get(JOBS, 0)


def test_before_anything_was_sent(lab: FireLab) -> None:
    lab.run("plan")
    shutil.rmtree(lab.root / ".runner", ignore_errors=True)
    lab.apply()
    assert creates(lab) == (1, 1)


@OUTPUTS
def test_after_it_was_done(outputs: bool, lab: FireLab) -> None:
    lab.apply()
    before = lab.results()
    lose(lab, outputs)
    apply_as_foretold(lab)
    assert lab.results() == before
    assert creates(lab) == (1, 1)
    lab.done()


def test_while_it_runs(lab: FireLab) -> None:
    lab.account.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.account.states() == ["RUNNING"])
    lose(lab)
    told = apply_as_foretold(lab, "--no-wait", code=3)
    assert "adopted" in told.stderr
    lab.account.fault(hold=None)
    lab.apply()
    lab.whole()
    assert creates(lab) == (1, 1)


def test_after_each_expiry(lab: FireLab) -> None:
    lab.account.fault(expire_at={"value": 0.5, "count": 2})
    for states in (["EXPIRED"], ["EXPIRED", "EXPIRED"]):
        lab.apply("--no-wait", code=3)
        until(lambda states=states: lab.account.states() == states)
        lose(lab)
    apply_as_foretold(lab)
    lab.whole()
    assert lab.account.asked_of_jobs() == [10, 5, 3]
    assert lab.account.rows_asked() == 10
    assert creates(lab) == (1, 3)
    lab.done()


def test_while_a_continuation_runs(lab: FireLab) -> None:
    lab.account.fault(expire_at=0.5)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.account.states() == ["EXPIRED"])
    lab.account.fault(hold=0.0)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.account.states() == ["EXPIRED", "RUNNING"])
    lose(lab)
    apply_as_foretold(lab, "--no-wait", code=3)
    lab.account.fault(hold=None)
    lab.apply()
    lab.whole()
    assert lab.account.asked_of_jobs() == [10, 5]
    assert lab.account.rows_asked() == 10
    lab.done()


@OUTPUTS
def test_a_finished_lineage(outputs: bool, lab: FireLab) -> None:
    lab.account.fault(expire_at={"value": 0.5, "count": 2})
    lab.apply()
    before = lab.results()
    lose(lab, outputs)
    apply_as_foretold(lab)
    assert lab.results() == before
    assert creates(lab) == (1, 3)
    assert lab.account.rows_asked() == 10
    lab.done()


def test_and_a_row_edited_meanwhile(lab: FireLab) -> None:
    lab.account.fault(expire_at=0.5)
    lab.apply()
    lose(lab)
    lab.rows({**{f"r{n}": f"word {n}" for n in range(10)}, "r4": "edited"})
    apply_as_foretold(lab)
    assert lab.account.sent()[1:] == [["r4"]]
    assert lab.results()[4]["answer"] == "echo: Say edited"
    assert lab.account.rows_asked() == 11


def test_with_rows_that_failed_for_good(lab: FireLab) -> None:
    lab.account.fault(expire_at=0.5, row_error={"value": 0, "status": 400, "match": "r1-"})
    lab.apply(code=4)
    before = lab.results()
    lose(lab)
    apply_as_foretold(lab, code=4)
    assert lab.results() == before
    assert lab.account.rows_asked() == 10


def test_work_of_other_projects_and_people_is_left_alone(lab: FireLab) -> None:
    lab.apply()
    lab.account.fill("theirs", b'{"custom_id":"t","body":{"messages":[{"role":"user","content":"t"}]}}\n')
    body = {"model": "accounts/fireworks/models/echo", "inputDatasetId": "theirs"}
    lab.account.call("POST", "batchInferenceJobs?batchInferenceJobId=theirs", body)
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("project: lab", "project: lab-2"))
    lose(lab)
    apply_as_foretold(lab)
    lab.whole()
    assert [len(ids) for ids in lab.account.sent()] == [10, 1, 10]


def test_nothing_is_sent_beside_what_another_clone_sent_meanwhile_and_nobody_can_read(lab: FireLab) -> None:
    other = FireLab(lab.root.with_name("other"), lab.server, lab.account)
    other.root.mkdir()
    other.spec()
    other.rows(10)
    lab.rows(11)
    lab.account.fault(hold=0.5)

    def sends_unseen() -> None:
        other.apply("--no-wait", code=3)
        [job] = lab.account.jobs()
        name = job["inputDatasetId"].rpartition("/")[2]
        gateway.refused[f"GET /v1/accounts/{lab.account.name}/datasets/{name}:getDownloadEndpoint"] = 404

    with before(lab.server.url) as gateway:
        gateway.before[f"POST /v1/accounts/{lab.account.name}/datasets"] = sends_unseen
        done = lab.apply(code=5, FIREWORKS_BASE_URL=gateway.url)
    assert "what is left is planned again" in done.stderr
    assert "is ours, and the remote does not show what it holds yet" in done.stderr
    assert len(lab.account.jobs()) == 1
