"""The fault lab, seen through the Fireworks API."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from tests.server.conftest import jsonl
from tests.server.fireworks_batch.conftest import Fire, row, rows

DATASETS = "POST /v1/accounts/{account}/datasets"
JOBS = "POST /v1/accounts/{account}/batchInferenceJobs"
BODY = {"datasetId": "in", "dataset": {"userUploaded": {}, "exampleCount": "1"}}


def test_a_lost_reply_to_a_dataset_create(fire: Fire) -> None:
    fire.lab.faults(lose_create_reply={"value": 1, "route": DATASETS})
    with pytest.raises(httpx.TransportError):
        fire.call("POST", "datasets", json=BODY)
    assert fire.call("POST", "datasets", json=BODY).status_code == 409
    assert fire.good("GET", "datasets/in")["exampleCount"] == "1" and fire.lab.log()["datasets_created"] == 1


def test_a_lost_reply_to_a_job_create(fire: Fire) -> None:
    fire.lab.faults(lose_create_reply={"value": 1, "route": JOBS})
    fire.fill("in", rows(1))
    with pytest.raises(httpx.TransportError):
        fire.job("job", "in", "out")
    assert fire.job("job", "in", "out").status_code == 409
    assert fire.wait("job")["state"] == "JOB_STATE_COMPLETED" and fire.lab.log()["batches_created"] == 1


def test_a_lost_reply_to_an_upload(fire: Fire) -> None:
    fire.create("in")
    fire.lab.faults(lose_upload_reply=1)
    with pytest.raises(httpx.TransportError):
        fire.upload("in", rows(1))
    assert fire.good("GET", "datasets/in")["state"] == "READY"


def test_a_lost_reply_to_a_signed_upload(fire: Fire) -> None:
    fire.create("in")
    content = rows(1)
    size = len(content)
    wanted = {"filenameToSize": {"a.jsonl": size}}
    url = fire.good("POST", "datasets/in:getUploadEndpoint", json=wanted)["filenameToSignedUrls"]["a.jsonl"]
    headers = {"content-type": "application/octet-stream", "x-goog-content-length-range": f"{size},{size}"}
    fire.lab.faults(lose_upload_reply={"value": 1, "route": "PUT /storage/*"})
    with pytest.raises(httpx.TransportError):
        fire.plain.put(url, content=content, headers=headers)
    assert fire.good("POST", "datasets/in:validateUpload", json={}) == {}
    assert fire.good("GET", "datasets/in")["state"] == "READY"


def test_failing_before_and_after_the_effect(fire: Fire) -> None:
    fire.lab.faults(fail_before={"value": 1, "route": DATASETS, "status": 503})
    early = fire.call("POST", "datasets", json=BODY)
    assert (early.status_code, early.json()["code"]) == (503, 14)
    assert fire.call("GET", "datasets/in").status_code == 404
    fire.lab.faults(fail_after={"value": 1, "route": DATASETS})
    late = fire.call("POST", "datasets", json=BODY)
    assert (late.status_code, late.json()["code"]) == (500, 13)
    assert fire.call("GET", "datasets/in").status_code == 200


def test_drops_and_rate_limits(fire: Fire) -> None:
    fire.lab.faults(drop={"value": 1, "route": DATASETS})
    with pytest.raises(httpx.TransportError):
        fire.call("POST", "datasets", json=BODY)
    assert fire.lab.log()["datasets_created"] == 0
    fire.lab.faults(rate_limit={"value": 1, "retry_after": 0.25, "route": DATASETS})
    answer = fire.call("POST", "datasets", json=BODY)
    assert (answer.status_code, answer.json()["code"]) == (429, 8)
    assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("1", "250")
    assert fire.call("POST", "datasets", json=BODY).status_code == 200


def test_a_cut_download(fire: Fire) -> None:
    fire.fill("in", rows(1_000))
    (url,) = fire.urls("in").values()
    fire.lab.faults(truncate_download=1)
    with pytest.raises(httpx.TransportError):
        fire.plain.get(url)
    assert fire.plain.get(url).content == rows(1_000)


def test_a_dataset_stays_uploading_for_some_looks(fire: Fire) -> None:
    fire.lab.faults(dataset_uploading=2)
    fire.fill("in", rows(1))
    assert fire.job("job", "in").json()["code"] == 9
    seen = [fire.good("GET", "datasets/in")["state"] for _ in range(2)]
    assert [*seen, fire.good("GET", "datasets/in")["state"]] == ["UPLOADING", "UPLOADING", "READY"]
    fire.begun("job", "in")


def test_an_output_can_come_late(fire: Fire) -> None:
    fire.lab.faults(late_output_id=2)
    fire.submit("job", rows(1))
    fire.wait("job")
    assert fire.call("GET", "datasets/job-out:getDownloadEndpoint").status_code == 400  # a look as well
    assert [fire.good("GET", "datasets/job-out")["state"] for _ in range(2)] == ["UPLOADING", "READY"]


def test_running_jobs_can_wait_for_capacity(fire: Fire) -> None:
    fire.lab.faults(waiting_on_capacity=True)
    fire.submit("job", rows(2))
    fire.wait("job", "RUNNING")
    time.sleep(0.3)
    job = fire.good("GET", "batchInferenceJobs/job")
    assert job["waitingOnCapacity"] is True and job["jobProgress"]["totalProcessedRequests"] == 0
    fire.lab.faults(waiting_on_capacity=None)
    assert fire.wait("job")["waitingOnCapacity"] is False


def test_unknown_states_are_shown_for_some_looks(fire: Fire) -> None:
    fire.submit("job", rows(1))
    fire.wait("job")
    fire.lab.faults(unknown_status={"value": 1, "word": "re_queueing"})
    seen = [fire.good("GET", "batchInferenceJobs/job")["state"] for _ in range(2)]
    assert seen == ["JOB_STATE_RE_QUEUEING", "JOB_STATE_COMPLETED"]


def test_a_new_job_can_be_missing_from_the_list(fire: Fire) -> None:
    fire.lab.faults(list_lag=60)
    fire.submit("job", rows(1))
    assert fire.good("GET", "batchInferenceJobs")["totalSize"] == 0
    fire.wait("job")


def test_a_server_that_does_not_know_windows(fire: Fire) -> None:
    fire.lab.faults(no_max_job_duration=True)
    fire.fill("in", rows(1))
    refused = fire.job("job", "in", maxJobDuration="86400s")
    assert refused.status_code == 400 and refused.json()["message"] == 'unknown field "maxJobDuration"'
    fire.begun("job", "in")


def test_a_server_that_does_not_ask_for_counts(fire: Fire) -> None:
    fire.lab.faults(lenient_example_count=True)
    made = fire.good("POST", "datasets", json={"datasetId": "in", "dataset": {"userUploaded": {}}})
    assert made["exampleCount"] == "0"


def test_lineage_can_be_ignored_and_the_error_file_absent(fire: Fire) -> None:
    fire.lab.faults(expire_at=0.5)
    fire.submit("one", rows(4))
    fire.wait("one")
    assert fire.resume("two", "one").status_code == 200
    fire.wait("two")
    assert len(fire.urls("two-out", downloadLineage="true")) == 4
    fire.lab.faults(ignore_lineage=True, no_error_file=True)
    assert list(fire.urls("two-out", downloadLineage="true")) == ["dataset/two-out/BIJOutputSet.jsonl"]


def test_a_file_can_be_invisible(fire: Fire) -> None:
    fire.lab.faults(file_invisible=1)
    fire.submit("job", rows(1))
    job = fire.wait("job")
    assert job["state"] == "JOB_STATE_FAILED" and "cannot be read" in job["status"]["message"]


def test_lines_can_be_doubled_missing_or_odd(fire: Fire) -> None:
    fire.lab.faults(duplicate_lines=2, missing_lines=1, unicode=True)
    fire.submit("job", jsonl([row(f"row-{n}") for n in range(6)]))
    fire.wait("job")
    found = fire.results("job-out")
    assert len(found) == 7 and len({one["custom_id"] for one in found}) == 5
    assert found[0]["response"]["choices"][0]["message"]["content"].startswith("\u2028\u2029\u0085\x0c")


# hostile storage


def urls_with(fire: Fire, **hostile: Any) -> dict[str, str]:
    fire.fill("in", rows(1))
    fire.lab.faults(hostile_urls={"value": 1, **hostile})
    return fire.urls("in")


def test_hostile_names(fire: Fire) -> None:
    ((name, url),) = urls_with(fire).items()
    assert name == "dataset/in/../../../../in.jsonl" and fire.plain.get(url).content == rows(1)


def test_hostile_hosts(fire: Fire) -> None:
    (url,) = urls_with(fire, kind="host", host="storage.other.invalid").values()
    assert url.startswith("https://storage.other.invalid/storage/download/")
    fire.create("parts")
    wanted = {"filenameToSize": {"a.jsonl": 1}}
    found = fire.good("POST", "datasets/parts:getUploadEndpoint", json=wanted)["filenameToSignedUrls"]
    assert found["a.jsonl"].startswith("https://storage.other.invalid/storage/upload/")


def test_hostile_answers(fire: Fire) -> None:
    (url,) = urls_with(fire, kind="redirect", to="http://127.0.0.1:1/").values()
    answer = fire.plain.get(url)
    assert (answer.status_code, answer.headers["location"]) == (302, "http://127.0.0.1:1/")
    fire.lab.faults(hostile_urls={"value": 1, "kind": "challenge"})
    answer = fire.plain.get(url)
    assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Bearer")
    fire.lab.faults(hostile_urls={"value": 1, "kind": "gzip"})
    with fire.plain.stream("GET", url) as bomb:
        packed = sum(map(len, bomb.iter_raw()))
        assert bomb.headers["content-encoding"] == "gzip" and packed < 1_000_000
