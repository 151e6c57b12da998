"""Batch inference jobs: states, rows, windows, continuation, lineage, deletion."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.clock import FastClock
from runner.server.engines.base import EngineReply
from runner.server.fireworks_batch.dialect import FireworksDialect
from runner.server.records import BatchState, StoredBatch
from tests.server.conftest import Lab, begin, jsonl
from tests.server.fireworks_batch.conftest import MODEL, Fire, ids, row, rows

KEYS = {
    "name", "displayName", "createdBy", "createTime", "updateTime", "expireTime", "state", "status",
    "waitingOnCapacity", "model", "precision", "systemPrompt", "inputDatasetId", "outputDatasetId",
    "inferenceParameters", "continuedFromJobName", "maxJobDuration", "placement", "lifecycle", "jobProgress",
}  # fmt: skip


def test_a_job_from_create_to_its_results(fire: Fire) -> None:
    made = fire.submit("job", rows(5), displayName="nightly")
    assert set(made) == KEYS and len(made["createTime"]) == 30
    assert made["name"] == "accounts/acme/batchInferenceJobs/job" and made["state"] == "JOB_STATE_VALIDATING"
    assert made["inputDatasetId"] == "accounts/acme/datasets/job-in"
    assert [made[key] for key in ("jobProgress", "lifecycle", "placement", "maxJobDuration")] == [None] * 4
    assert made["inferenceParameters"]["extraBody"] == "{}" and made["precision"] == "BF16"
    job = fire.wait("job")
    assert job["state"] == "JOB_STATE_COMPLETED" and job["status"] == {"code": "OK", "message": ""}
    progress = job["jobProgress"]
    assert progress["percent"] == 100 and progress["inputTokens"] > 0 and progress["outputTokens"] > 0
    assert [progress[key] for key in ("totalInputRequests", "successfullyProcessedRequests", "outputRows")] == [5] * 3
    assert all(job["lifecycle"].values()) and job["model"] == MODEL
    found = fire.results("job-out")
    assert ids(found) == {f"row-{n}" for n in range(5)}
    assert [one["custom_id"] for one in found] != [f"row-{n}" for n in range(5)]
    for one in found:
        assert set(one) == {"custom_id", "response"} and one["response"]["model"] == MODEL
        number = one["custom_id"].removeprefix("row-")
        assert one["response"]["choices"][0]["message"]["content"] == f"echo: question {number}"
    assert fire.errors("job-out") == []
    output = fire.good("GET", "datasets/job-out")
    assert (output["state"], output["exampleCount"], output["sourceJobName"]) == ("READY", "5", made["name"])
    assert "userUploaded" not in output


def test_states_come_in_their_order(fire: Fire) -> None:
    fire.lab.faults(stuck_validating=True, stuck_pending=True, stuck_creating=True, hold=0)
    fire.submit("job", rows(2))
    for state, lets_go in (
        ("VALIDATING", "stuck_validating"),
        ("PENDING", "stuck_pending"),
        ("CREATING", "stuck_creating"),
    ):
        fire.wait("job", state)
        assert fire.call("GET", "datasets/job-out").status_code == 404
        fire.lab.faults(**{lets_go: None})
    fire.wait("job", "RUNNING")
    output = fire.good("GET", "datasets/job-out")
    assert output["state"] == "UPLOADING"
    assert fire.call("GET", "datasets/job-out:getDownloadEndpoint").json()["code"] == 9
    fire.lab.faults(hold=None)
    assert fire.wait("job")["state"] == "JOB_STATE_COMPLETED"


def test_failed_rows_are_in_the_error_file(fire: Fire) -> None:
    fire.lab.faults(row_error={"match": "bad", "status": 400})
    fire.submit("job", jsonl([row("good-1"), row("bad-1"), row("good-2")]))
    progress = fire.wait("job")["jobProgress"]
    assert (progress["failedRequests"], progress["successfullyProcessedRequests"]) == (1, 2)
    assert ids(fire.results("job-out")) == {"good-1", "good-2"}
    (one,) = fire.errors("job-out")
    assert one["custom_id"] == "bad-1" and one["error"]["code"] == 400 and "row_error" in one["error"]["message"]
    assert fire.good("GET", "datasets/job-out")["exampleCount"] == "2"


def test_all_rows_failed_leaves_an_empty_output(fire: Fire) -> None:
    fire.submit("job", rows(3), model="accounts/fireworks/models/nobody")
    job = fire.wait("job")
    assert job["state"] == "JOB_STATE_COMPLETED" and job["jobProgress"]["failedRequests"] == 3
    assert fire.results("job-out") == [] and {one["error"]["code"] for one in fire.errors("job-out")} == {404}


def test_other_models_are_answered_by_the_default_engine(tmp_path: Path) -> None:
    lab = begin(tmp_path, engine="echo")
    fire = Fire(lab)
    fire.submit("job", rows(1), model="accounts/acme/models/my-own")
    fire.wait("job")
    assert fire.results("job-out")[0]["response"]["model"] == "accounts/acme/models/my-own"
    fire.close()
    lab.stop()


BAD_ROWS: list[tuple[bytes, str]] = [
    (b'{"a":1}\n{not json}\n', "job-in.jsonl:1: custom_id"),
    (jsonl([row("a")]) + b"{not json}\n", "job-in.jsonl:2: the line is not valid JSON"),
    (jsonl([row("a")]) + b"\n", "job-in.jsonl:2: the line is not valid JSON"),
    (jsonl([row("a")]) + b"[]\n", "job-in.jsonl:2: the line is not a JSON object"),
    (jsonl([row("a"), row("a")]), "job-in.jsonl:2: duplicate custom_id a"),
    (jsonl([{"custom_id": 7, "body": {"messages": []}}]), "custom_id must be a string"),
    (jsonl([{"custom_id": "a"}]), "body must be an object"),
    (jsonl([{"custom_id": "a", "body": {}}]), "either messages or prompt_token_ids"),
    (jsonl([{"custom_id": "a", "body": {"messages": [], "prompt_token_ids": [1]}}]), "not both"),
    (jsonl([{"custom_id": "a", "body": {"messages": {}}}]), "messages must be a list"),
    (jsonl([{"custom_id": "a", "body": {"messages": [{"role": "robot"}]}}]), "invalid role robot in message 1"),
    (jsonl([row("a"), row("b", "bye")]).replace(b"bye", b"\xff"), "job-in.jsonl:2: the line is not valid JSON"),
]


@pytest.mark.parametrize(("content", "words"), BAD_ROWS)
def test_a_bad_row_fails_the_whole_job(fire: Fire, content: bytes, words: str) -> None:
    made = fire.submit("job", content)
    job = fire.wait("job")
    assert job["state"] == "JOB_STATE_FAILED" and job["status"]["code"] == "INVALID_ARGUMENT"
    assert words in job["status"]["message"], job["status"]
    assert job["jobProgress"] is None and job["lifecycle"]["endTime"]
    gone = fire.call("GET", f"datasets/{made['outputDatasetId'].rpartition('/')[2]}:getDownloadEndpoint")
    assert gone.json() == {"code": 5, "message": "resource not found", "details": []}
    fire.begun("again", "job-in", "job-out")


@pytest.mark.parametrize(
    ("change", "status", "code", "words"),
    [
        ({"model": None}, 400, 3, "model is required"),
        ({"model": "echo"}, 400, 3, "invalid model"),
        ({"model": "accounts/acme/deployedModels/x"}, 400, 3, "invalid model"),
        ({"inputDatasetId": None}, 400, 3, "input_dataset_id is required"),
        ({"inputDatasetId": "accounts/acme/datasets/nope"}, 404, 5, "not found"),
        ({"inputDatasetId": "accounts/other/datasets/in"}, 403, 7, "another account"),
        ({"inputDatasetId": "accounts/acme/models/in"}, 400, 3, "input_dataset_id"),
        ({"inputDatasetId": "empty"}, 400, 9, "not ready"),
        ({"outputDatasetId": "accounts/acme/datasets/in"}, 409, 6, "already exists"),
        ({"outputDatasetId": "Out"}, 400, 3, "output_dataset_id"),
        ({"continueFrom": "x"}, 400, 3, 'unknown field "continueFrom"'),
        ({"priority": 1}, 400, 3, 'unknown field "priority"'),
        ({"inferenceParameters": {"stop": ["x"]}}, 400, 3, 'unknown field "stop"'),
        ({"inferenceParameters": {"temperature": 3}}, 400, 3, "temperature"),
        ({"inferenceParameters": {"topP": "x"}}, 400, 3, "topP"),
        ({"inferenceParameters": {"n": 0}}, 400, 3, "must be from 1"),
        ({"inferenceParameters": {"extraBody": {"stop": []}}}, 400, 3, "extraBody"),
        ({"inferenceParameters": {"extraBody": "[]"}}, 400, 3, "extra_body"),
        ({"precision": "FP3"}, 400, 3, "enum"),
        ({"maxJobDuration": "24h"}, 400, 3, "max_job_duration"),
        ({"continuedFromJobName": "accounts/acme/batchInferenceJobs/nope"}, 404, 5, "not found"),
    ],
)
def test_what_a_create_refuses(fire: Fire, change: dict[str, Any], status: int, code: int, words: str) -> None:
    fire.fill("in", rows(1))
    fire.create("empty")
    answer = fire.job("job", "" if "inputDatasetId" in change else "in", **change)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert words in answer.json()["message"]
    assert fire.good("GET", "batchInferenceJobs") == {"batchInferenceJobs": [], "nextPageToken": "", "totalSize": 0}
    assert list((fire.lab.service.site.home.root / "work").iterdir()) == []
    assert list((fire.lab.service.site.home.root / "incoming").iterdir()) == []


def test_a_taken_id_is_a_conflict_whatever_is_asked(fire: Fire) -> None:
    fire.submit("job", rows(1))
    for answer in (
        fire.job("job", "job-in", "job-out"),
        fire.job("job", "nope"),
        fire.job("other", "job-in", "job-out"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, 6)
    assert fire.job("9job", "job-in").status_code == 400
    body = {"datasetId": "job-out", "dataset": {"userUploaded": {}, "exampleCount": "1"}}
    assert fire.call("POST", "datasets", json=body).status_code == 409
    assert fire.lab.log()["batches_created"] == 1


def test_two_creates_at_once_make_one_job(fire: Fire) -> None:
    fire.fill("in", rows(1))
    with ThreadPoolExecutor(6) as pool:
        codes = list(pool.map(lambda _: fire.job("job", "in", "out").status_code, range(6)))
    assert sorted(codes) == [200] + [409] * 5
    assert fire.wait("job")["state"] == "JOB_STATE_COMPLETED" and fire.lab.log()["rows_asked"] == 1


def test_names_are_allocated_and_bare_ids_are_echoed_in_full(fire: Fire) -> None:
    fire.fill("in", rows(1))
    made = fire.good("POST", "batchInferenceJobs", json={"model": MODEL, "input_dataset_id": "in"})
    assert made["inputDatasetId"] == "accounts/acme/datasets/in"
    assert re.fullmatch(r"accounts/acme/datasets/bij-[a-z0-9]{8}", made["outputDatasetId"])
    assert re.fullmatch(r"accounts/acme/batchInferenceJobs/[a-z][a-z0-9]+", made["name"])


def test_every_field_is_echoed(fire: Fire) -> None:
    params = {"maxTokens": 256, "temperature": 0.2, "topP": 0.9, "topK": 40, "n": 1, "extraBody": '{"stop":["##"]}'}
    more = {
        "displayName": "x",
        "systemPrompt": "Be brief",
        "precision": "FP8",
        "inferenceParameters": params,
        "placement": {"multiRegion": "EUROPE"},
        "maxJobDuration": "43200s",
    }
    made = fire.submit("job", rows(1), **more)
    assert {key: made[key] for key in more} == more


@pytest.mark.parametrize(
    ("sent", "echoed", "hours"),
    [(None, None, 24), ("43200s", "43200s", 12), ("172800s", "172800s", 48), ("259200s", "259200s", 72),
     ("60s", "43200s", 12), ("999999s", "259200s", 72)],
)  # fmt: skip
def test_windows_are_bounded(tmp_path: Path, sent: str | None, echoed: str | None, hours: int) -> None:
    clock = FastClock()
    lab = begin(tmp_path, clock)
    fire = Fire(lab)
    try:
        lab.faults(hold=0.5)
        made = fire.submit("job", rows(4), maxJobDuration=sent)
        assert made["maxJobDuration"] == echoed
        fire.wait_done("job", 2)
        clock.sleep(hours * 3600 - 1)
        lab.service.worker.wake()
        assert fire.wait("job", "RUNNING")["jobProgress"]["totalProcessedRequests"] == 2
        clock.sleep(1.5)
        job = fire.wait("job")
        assert job["state"] == "JOB_STATE_EXPIRED" and job["jobProgress"]["percent"] == 50
        assert len(fire.results("job-out")) == 2 and fire.errors("job-out") == []
        assert fire.good("GET", "datasets/job-out")["exampleCount"] == "2"
    finally:
        fire.close()
        lab.stop()


def test_a_job_can_expire_before_it_runs(tmp_path: Path) -> None:
    clock = FastClock()
    lab = begin(tmp_path, clock)
    fire = Fire(lab)
    lab.faults(stuck_creating=True)
    fire.submit("job", rows(2))
    fire.wait("job", "CREATING")
    clock.sleep(25 * 3600)
    lab.faults(stuck_creating=None)
    assert fire.wait("job")["state"] == "JOB_STATE_EXPIRED"
    assert fire.results("job-out") == fire.errors("job-out") == []
    fire.close()
    lab.stop()


# what an engine gets


def asked(spec: dict[str, Any], line: bytes) -> Any:
    full = {"model": MODEL, "defaults": {}, "system_prompt": "", **spec}
    batch = StoredBatch("b", "o", "fireworks", BatchState.IN_PROGRESS, 0, 0, "in", spec=full)
    request = FireworksDialect().request_of(batch, line)
    assert request.endpoint == "/v1/chat/completions" and request.model == MODEL
    return msgspec.json.decode(request.body)


def test_a_rows_own_values_win_over_the_jobs() -> None:
    line = jsonl([row("a", temperature=0, max_tokens=5)])
    body = asked({"defaults": {"temperature": 0.5, "top_k": 3}}, line)
    assert (body["temperature"], body["top_k"], body["max_tokens"], body["model"]) == (0, 3, 5, MODEL)


def test_the_system_prompt_comes_first_unless_the_row_has_its_own() -> None:
    spec = {"system_prompt": "Be brief"}
    body = asked(spec, jsonl([row("a")]))
    assert body["messages"] == [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "hello"}]
    own: dict[str, Any] = {"custom_id": "a", "body": {"messages": [{"role": "system", "content": "mine"}]}}
    assert asked(spec, jsonl([own]))["messages"] == own["body"]["messages"]
    assert asked(spec, b'{"custom_id":"a","body":{"prompt_token_ids":[1]}}') == {
        "prompt_token_ids": [1],
        "model": MODEL,
    }


@pytest.mark.parametrize("body", [b"{}", b"{ }", b'{"model":"mine"}', b' {"a" : 1}', b'{"a":"\\"model\\""}'])
def test_the_jobs_model_is_the_one(body: bytes) -> None:
    assert asked({}, b'{"custom_id":"a","body":%b}' % body)["model"] == MODEL


def test_parameters_reach_the_answers(fire: Fire) -> None:
    fire.submit("job", jsonl([row("a", "x" * 99), row("b", "x" * 99, max_tokens=3)]),
                inferenceParameters={"maxTokens": 2, "n": 2})  # fmt: skip
    fire.wait("job")
    said = {one["custom_id"]: one["response"]["choices"] for one in fire.results("job-out")}
    assert {name: [len(c["message"]["content"]) for c in choices] for name, choices in said.items()} == {
        "a": [8, 8],
        "b": [12, 12],
    }
    assert said["a"][0]["finish_reason"] == "length"


def test_error_rows_of_every_kind() -> None:
    batch = StoredBatch("b", "o", "fireworks", BatchState.IN_PROGRESS, 0, 0, "in")
    said = [
        FireworksDialect().result_line(batch, 0, "a", reply)
        for reply in (
            EngineReply(400, b'{"error":{"message":"no"}}'),
            EngineReply(500, b'{"error":"no"}'),
            EngineReply(502, b"[]"),
            EngineReply(0, b"", failure=("request_timeout", "late")),
        )
    ]
    assert said == [
        b'{"custom_id":"a","error":{"code":400,"message":"no"}}',
        b'{"custom_id":"a","error":{"code":500,"message":"no"}}',
        b'{"custom_id":"a","error":{"code":502,"message":"[]"}}',
        b'{"custom_id":"a","error":{"code":408,"message":"late"}}',
    ]


# lists and deletion


def test_lists_page_in_order_of_creation(fire: Fire) -> None:
    fire.fill("in", rows(1))
    for name in ("c", "a", "b"):
        fire.begun(name, "in", f"{name}-out")

    def names(**params: Any) -> str:
        found = fire.good("GET", "batchInferenceJobs", params=params)["batchInferenceJobs"]
        return "".join(one["name"][-1] for one in found)

    assert names() == "cab" and names(orderBy="name") == "abc" and names(orderBy="created_time desc") == "bac"
    page = fire.good("GET", "batchInferenceJobs", params={"pageSize": 2})
    assert page["totalSize"] == 3 and names(pageSize=2, pageToken=page["nextPageToken"]) == "b"
    for name in "abc":
        fire.wait(name)
    assert names(filter=f'state="JOB_STATE_COMPLETED" AND model="{MODEL}"') == "cab"
    assert names(filter="state=COMPLETED AND create_time<2000-01-01") == ""


def test_a_deleted_job_is_gone_and_its_datasets_stay(fire: Fire) -> None:
    fire.submit("job", rows(2))
    fire.wait("job")
    fire.lab.faults(stuck_deleting=True)
    assert fire.good("DELETE", "batchInferenceJobs/job") == {}
    assert fire.good("GET", "batchInferenceJobs/job")["state"] == "JOB_STATE_DELETING_CLEANING_UP"
    assert fire.job("job", "job-in").status_code == 409
    assert fire.good("DELETE", "batchInferenceJobs/job") == {}
    fire.lab.faults(stuck_deleting=None)
    fire.wait_gone("job")
    assert fire.call("DELETE", "batchInferenceJobs/job").status_code == 404
    assert len(fire.results("job-out")) == 2 and fire.good("GET", "datasets/job-in")["state"] == "READY"
    fire.begun("job", "job-in", "job-out-2")
    fire.wait("job")


def test_deleting_a_running_job_stops_it_and_saves_what_it_has(fire: Fire) -> None:
    fire.lab.faults(hold=0.5)
    fire.submit("job", rows(6))
    fire.wait_done("job", 3)
    fire.good("DELETE", "batchInferenceJobs/job")
    fire.wait_gone("job")
    assert len(fire.results("job-out")) == 3 and fire.lab.log()["rows_asked"] == 3
    assert list((fire.lab.service.site.home.root / "work").iterdir()) == []


@pytest.mark.parametrize("fault", ["stuck_validating", "stuck_pending", "stuck_creating"])
def test_deleting_a_job_before_it_runs_leaves_no_output(fire: Fire, fault: str) -> None:
    fire.lab.faults(**{fault: True})
    fire.submit("job", rows(1))
    fire.wait("job", fault.removeprefix("stuck_").upper())
    fire.good("DELETE", "batchInferenceJobs/job")
    fire.wait_gone("job")
    assert fire.call("GET", "datasets/job-out").status_code == 404
    assert list((fire.lab.service.site.home.root / "work").iterdir()) == []


# continuation and lineage


def expired(fire: Fire, at: float = 0.5) -> None:
    fire.lab.faults(expire_at=at)
    fire.submit("one", rows(8))
    assert fire.wait("one")["state"] == "JOB_STATE_EXPIRED"


def test_a_continuation_of_a_continuation(fire: Fire) -> None:
    expired(fire)
    fire.lab.faults(expire_at=0.25)
    answer = fire.resume("two", "one")
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made["continuedFromJobName"] == "accounts/acme/batchInferenceJobs/one"
    assert (made["model"], made["inputDatasetId"]) == (MODEL, "accounts/acme/datasets/one-in")
    two = fire.wait("two")
    assert two["state"] == "JOB_STATE_EXPIRED" and two["jobProgress"]["totalInputRequests"] == 4
    assert fire.resume("three", "two").status_code == 200
    assert fire.wait("three")["state"] == "JOB_STATE_COMPLETED"
    found = [fire.results(f"{name}-out") for name in ("one", "two", "three")]
    assert [len(one) for one in found] == [4, 1, 3] and len(ids([*found[0], *found[1], *found[2]])) == 8
    assert fire.lab.log()["rows_asked"] == 8
    lineage = fire.urls("three-out", downloadLineage="true")
    files = ("BIJOutputSet.jsonl", "error-data")
    assert set(lineage) == {f"dataset/{name}-out/{file}" for name in ("one", "two", "three") for file in files}
    assert sum(fire.plain.get(url).content.count(b"\n") for url in lineage.values()) == 8
    assert len(fire.urls("three-out")) == 2 and len(fire.urls("two-out", download_lineage="true")) == 4
    assert fire.call("GET", "datasets/two-out:getDownloadEndpoint?downloadLineage=x").status_code == 400
    fire.good("DELETE", "batchInferenceJobs/one")
    fire.wait_gone("one")
    assert len(fire.urls("three-out", downloadLineage="true")) == 4


@pytest.mark.parametrize("state", ["EARLY_STOPPED", "FAILED", "CANCELLED"])
def test_every_end_with_rows_left_can_be_continued(fire: Fire, state: str) -> None:
    fire.lab.faults(expire_at=0.5, ends_as={"value": 1, "state": state})
    fire.submit("one", rows(4))
    assert fire.wait("one")["state"] == f"JOB_STATE_{state}" and len(fire.results("one-out")) == 2
    assert fire.resume("two", "one").status_code == 200
    fire.wait("two")
    assert len(ids(fire.results("one-out") + fire.results("two-out"))) == 4


def test_failed_rows_are_asked_again(fire: Fire) -> None:
    fire.lab.faults(row_error={"match": "row-1 row-3", "status": 500})
    fire.submit("one", rows(5), inferenceParameters={"maxTokens": 1}, systemPrompt="Be brief", precision="FP8")
    fire.wait("one")
    fire.lab.faults(row_error=None)
    made = fire.resume("two", "one").json()
    assert (made["systemPrompt"], made["precision"]) == ("Be brief", "FP8")
    assert made["inferenceParameters"]["maxTokens"] == 1
    fire.wait("two")
    assert ids(fire.results("two-out")) == {"row-1", "row-3"}


def test_what_cannot_be_continued(fire: Fire) -> None:
    fire.lab.faults(hold=0)
    fire.submit("one", rows(2))
    assert fire.resume("two", "one").json()["code"] == 9
    fire.lab.faults(hold=None)
    fire.wait("one")
    assert fire.resume("two", "one").json()["code"] == 9
    assert fire.call("GET", "datasets/two-out").status_code == 404


def test_a_continuation_wants_its_parents_input_and_a_new_output(fire: Fire) -> None:
    expired(fire)
    fire.fill("other", rows(1))
    name = fire.name("batchInferenceJobs", "one")
    assert fire.job("two", "other", "two-out", continuedFromJobName=name).json()["code"] == 3
    assert fire.job("two", "one-in", "one-out", continuedFromJobName=name).json()["code"] == 6
    assert fire.job("two", "one-in", "two-out", continuedFromJobName="one").status_code == 200
    fire.wait("two")
    fire.good("DELETE", "datasets/one-in")
    assert fire.resume("three", "one").json()["code"] == 5


def test_a_whole_job_that_failed_can_be_continued_in_vain(fire: Fire) -> None:
    fire.submit("one", jsonl([row("a"), row("a")]))
    fire.wait("one")
    assert fire.resume("two", "one").status_code == 200
    assert fire.wait("two")["state"] == "JOB_STATE_FAILED"


# restart


def again(lab: Lab, fire: Fire, root: Path) -> tuple[Lab, Fire]:
    fire.close()
    lab.stop()
    lab = begin(root)
    return lab, Fire(lab)


def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    lab = begin(tmp_path)
    fire = Fire(lab)
    lab.faults(hold=0.5, dataset_uploading=0)
    made = fire.submit("one", rows(8))
    fire.wait_done("one", 4)
    fire.create("half", 1)
    lab, fire = again(lab, fire, tmp_path)
    try:
        job = fire.wait("one")
        assert job["jobProgress"]["totalProcessedRequests"] == 8
        assert job["createTime"][:-1] == made["createTime"][:-4]
        assert len(ids(fire.results("one-out"))) == 8 and fire.lab.log()["rows_asked"] == 4
        assert fire.upload("half", rows(1)).status_code == 200
        lab, fire = again(lab, fire, tmp_path)
        assert len(ids(fire.results("one-out"))) == 8 and fire.good("GET", "datasets/half")["state"] == "READY"
    finally:
        fire.close()
        lab.stop()


@pytest.mark.parametrize("fault", ["stuck_validating", "stuck_pending", "stuck_creating", "stuck_deleting"])
def test_a_restart_in_every_state(tmp_path: Path, fault: str) -> None:
    lab = begin(tmp_path)
    fire = Fire(lab)
    lab.faults(**{fault: True})
    fire.submit("one", rows(2))
    if fault == "stuck_deleting":
        fire.wait("one")
        fire.good("DELETE", "batchInferenceJobs/one")
    else:
        fire.wait("one", fault.removeprefix("stuck_").upper())
    lab, fire = again(lab, fire, tmp_path)
    try:
        if fault == "stuck_deleting":
            fire.wait_gone("one")
        else:
            fire.wait("one")
        assert len(fire.results("one-out")) == 2
    finally:
        fire.close()
        lab.stop()
