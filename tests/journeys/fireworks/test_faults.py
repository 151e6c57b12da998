"""Replies get lost, creates collide, two apply at once: one dataset, one job, whole results, nothing paid twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import warm
from tests.journeys.fireworks.lab import DATASETS, JOBS, SPEC, UPLOAD, FireLab
from tests.journeys.lab import until


@pytest.mark.parametrize("route", [DATASETS, UPLOAD, JOBS], ids=["dataset", "upload", "job"])
@pytest.mark.parametrize(
    "fault",
    [
        {"lose_create_reply": {}},
        {"fail_after": {"status": 500}},
        {"fail_before": {"status": 503}},
        {"drop": {}},
        {"rate_limit": {"value": 2, "retry_after": 0.05}},
    ],
    ids=lambda fault: next(iter(fault)),
)
def test_an_unanswered_request_makes_one_of_everything(fault: dict[str, dict], route: str, lab: FireLab) -> None:
    ((name, options),) = fault.items()
    if name == "lose_create_reply" and route == UPLOAD:
        name = "lose_upload_reply"
    lab.account.fault(**{name: {"value": 1, **options, "route": route}})
    lab.knobs("ready_s: 1")  # an upload in doubt is looked for so long, and then sent again
    lab.apply()
    lab.whole()
    assert len(lab.account.jobs()) == 1
    assert lab.account.sent() == [[f"r{n}" for n in range(10)]]
    assert lab.account.rows_asked() == 10


def test_every_reply_is_lost_once(lab: FireLab) -> None:
    lab.account.fault(lose_create_reply=2, lose_upload_reply=1, expire_at=0.5)
    lab.apply()
    lab.account.fault(lose_create_reply=None)
    lab.whole()
    assert lab.account.asked_of_jobs() == [10, 5]
    assert len(lab.account.uploads()) == 1
    lab.done()


def test_the_lost_reply_of_a_continuation_makes_one_continuation(lab: FireLab) -> None:
    lab.account.fault(expire_at=0.5)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.account.states() == ["EXPIRED"])
    lab.account.fault(lose_create_reply={"value": 1, "route": JOBS})
    lab.apply()
    lab.whole()
    assert lab.account.asked_of_jobs() == [10, 5]
    assert lab.account.rows_asked() == 10
    lab.done()


def test_a_remote_that_cannot_be_reached_after_a_create_is_settled_by_the_next_apply(lab: FireLab) -> None:
    look = "GET /v1/accounts/{account}/batchInferenceJobs/{job}"
    lab.account.fault(
        lose_create_reply={"value": 1, "route": JOBS}, fail_before={"value": 1000, "status": 403, "route": look}
    )
    for _ in range(2):
        assert "not known whether" in lab.apply(code=1).stderr
    lab.account.fault(fail_before=None)
    assert len(lab.account.jobs()) == 1
    lab.apply()
    lab.whole()
    assert len(lab.account.jobs()) == 1
    assert lab.account.rows_asked() == 10


def copies(lab: FireLab, count: int) -> list[FireLab]:
    """Clones of the project, as two people or two CI runs have them: the same folder, each without a state."""
    made = []
    for number in range(count):
        root = lab.root.parent / f"clone{number}" / "project"
        shutil.copytree(lab.root, root)
        made.append(FireLab(root, lab.server, lab.account))
    return made


def finished(process: warm.Started) -> None:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err


@pytest.mark.parametrize("fault", [{}, {"expire_at": {"value": 0.5, "count": 2}}], ids=["plain", "expiring"])
def test_two_who_apply_at_once_make_one_dataset_and_one_job(fault: dict[str, object], lab: FireLab) -> None:
    lab.rows(200)
    lab.account.fault(**fault, slow=0.02)
    clones = copies(lab, 2)
    processes = [clone.start("apply", "specs/", "-y") for clone in clones]
    for process in processes:
        finished(process)
    for clone in clones:
        clone.whole(200)
    assert len(lab.account.uploads()) == 1
    assert len(lab.account.jobs()) == (3 if fault else 1)
    assert lab.account.rows_asked() == 200
    lab.account.fault(slow=None)
    for clone in clones:
        clone.done()


# -- other work under a name of ours


def names_of(lab: FireLab, tmp_path: Path) -> tuple[str, str]:
    """The dataset and the job that the project will make, seen by making them in an account of another name."""
    root = tmp_path / "scout" / "project"
    shutil.copytree(lab.root, root)
    scout = FireLab(root, lab.server, type(lab.account)(lab.server, f"{lab.account.name}-scout"))
    scout.apply()
    (job,), (dataset,) = scout.account.jobs(), scout.account.uploads()
    return dataset, job["name"].rpartition("/")[2]


TWO = SPEC.replace(
    "jobs:\n",
    "jobs:\n  other: {{dataset: more, prompt: ask, model: echo, output: results/other.jsonl}}\n",
).replace("datasets:\n", "datasets:\n  more: {{files: data/more.csv, id: id}}\n")


def test_a_dataset_of_ours_with_other_content_blocks_its_job_alone(lab: FireLab, tmp_path: Path) -> None:
    dataset, _ = names_of(lab, tmp_path)
    lab.account.call("POST", "datasets", {"datasetId": dataset, "dataset": {"userUploaded": {}, "exampleCount": "3"}})
    lab.spec(TWO)
    lab.rows({"x": "elsewhere"}, "data/more.csv")
    done = lab.apply(code=5)
    assert dataset in done.stderr
    assert "wanted exampleCount `10`" in done.stderr and "the remote has exampleCount `3`" in done.stderr
    assert lab.results("results/other.jsonl")[0]["answer"] == "echo: Say elsewhere"
    assert lab.account.rows_asked() == 11  # the scout's ten and the other job's one
    assert lab.apply(code=5).stderr.rpartition("error: ")[2] == done.stderr.rpartition("error: ")[2]
    lab.account.delete(f"datasets/{dataset}")
    lab.apply()
    lab.whole()


def test_a_job_of_ours_with_other_content_blocks_its_job_alone(lab: FireLab, tmp_path: Path) -> None:
    _, job = names_of(lab, tmp_path)
    strange = {"model": "accounts/fireworks/models/other", "inputDatasetId": "theirs", "outputDatasetId": "their-out"}
    lab.account.fill("theirs", b'{"custom_id":"t","body":{"messages":[{"role":"user","content":"t"}]}}\n')
    lab.account.call("POST", f"batchInferenceJobs?batchInferenceJobId={job}", strange)
    lab.spec(TWO)
    lab.rows({"x": "elsewhere"}, "data/more.csv")
    done = lab.apply(code=5)
    assert job in done.stderr
    assert "wanted model `accounts/fireworks/models/echo`" in done.stderr
    assert "the remote has model `accounts/fireworks/models/other`" in done.stderr
    assert lab.results("results/other.jsonl")[0]["answer"] == "echo: Say elsewhere"
    assert lab.apply(code=5).stderr.rpartition("error: ")[2] == done.stderr.rpartition("error: ")[2]
    assert len(lab.account.jobs()) == 2
    lab.account.delete(f"batchInferenceJobs/{job}")
    until(lambda: not lab.account.is_there(f"batchInferenceJobs/{job}"))
    lab.apply()
    lab.whole()


# -- collecting


@pytest.mark.parametrize(
    "fault",
    [
        {"truncate_download": 2},
        {"late_output_id": 2},
        {"dataset_uploading": 2},
        {"no_error_file": True},
        {"unknown_status": {"value": 3, "word": "re_balancing"}},
        {"duplicate_lines": 3},
        {"rate_limit": {"value": 3, "retry_after": 0.05, "route": "GET *"}},
        {"fail_before": {"value": 3, "route": "GET *"}},
        {"fail_before": {"value": 2, "status": 403, "route": "GET /storage/*"}},
        {"list_lag": 60},
    ],
    ids=lambda fault: "-".join(fault),
)
def test_a_troubled_collection_is_whole_in_the_end(lab: FireLab, fault: dict[str, object]) -> None:
    lab.account.fault(**fault)
    lab.apply()
    lab.whole()
    assert lab.account.sent() == [[f"r{n}" for n in range(10)]]
    assert lab.account.rows_asked() == 10


def test_what_stands_still_is_said(lab: FireLab) -> None:
    lab.account.fault(waiting_on_capacity=True)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.account.states() == ["RUNNING"])
    told = lab.apply("--no-wait", code=3)
    assert "waiting on capacity" in told.stderr + lab.run("status").stdout
    lab.account.fault(waiting_on_capacity=None)
    lab.apply()
    lab.whole()
