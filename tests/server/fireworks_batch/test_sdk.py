"""The official `fireworks-ai` SDK, pointed at this server: every call on datasets and jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fireworks
import pytest

from runner.server.faults.switches import FaultSwitches
from runner.server.fireworks_batch.faults import endpoints
from tests.server.conftest import TOKENS
from tests.server.fireworks_batch.conftest import ACCOUNT, MODEL, Fire, parsed, rows


@pytest.fixture
def sdk(fire: Fire) -> Iterator[Any]:
    client = fireworks.Fireworks(
        base_url=fire.lab.url, api_key=TOKENS[0], account_id=ACCOUNT, max_retries=0, timeout=30
    )
    yield client
    client.close()


def filled(sdk: Any, name: str, count: int = 3) -> None:
    sdk.datasets.create(dataset_id=name, dataset={"user_uploaded": {}, "example_count": str(count)})
    sdk.datasets.upload(name, file=("in.jsonl", rows(count)))


def test_datasets_from_create_to_delete(sdk: Any) -> None:
    made = sdk.datasets.create(dataset_id="in", dataset={"user_uploaded": {}, "example_count": "3", "format": "CHAT"})
    assert (made.name, made.state, made.example_count) == (f"accounts/{ACCOUNT}/datasets/in", "UPLOADING", "3")
    sent = sdk.datasets.upload("in", file=("in.jsonl", rows(3)))
    assert sent.filename == "in.jsonl" and sent.bytes == len(rows(3))
    seen = sdk.datasets.get("in")
    assert seen.state == "READY" and seen.status.code == "OK" and seen.create_time == made.create_time
    assert sdk.datasets.get("in", read_mask="name").state is None
    changed = sdk.datasets.update("in", display_name="mine")
    assert changed.display_name == "mine"
    found = sdk.datasets.get_download_endpoint("in", download_lineage=False).filename_to_signed_urls
    assert list(found) == ["dataset/in/in.jsonl"]
    sdk.datasets.delete("in")
    with pytest.raises(fireworks.NotFoundError):
        sdk.datasets.get("in")


ROUTES = {  # what the SDK can say about datasets and jobs, and the two kinds of bytes behind signed URLs
    "POST /v1/accounts/{account}/datasets",
    "GET /v1/accounts/{account}/datasets",
    "GET /v1/accounts/{account}/datasets/{dataset}",
    "PATCH /v1/accounts/{account}/datasets/{dataset}",
    "DELETE /v1/accounts/{account}/datasets/{dataset}",
    "POST /v1/accounts/{account}/datasets/{dataset}:upload",
    "POST /v1/accounts/{account}/datasets/{dataset}:getUploadEndpoint",
    "POST /v1/accounts/{account}/datasets/{dataset}:validateUpload",
    "GET /v1/accounts/{account}/datasets/{dataset}:getDownloadEndpoint",
    "POST /v1/accounts/{account}/batchInferenceJobs",
    "GET /v1/accounts/{account}/batchInferenceJobs",
    "GET /v1/accounts/{account}/batchInferenceJobs/{job}",
    "DELETE /v1/accounts/{account}/batchInferenceJobs/{job}",
    "PUT /storage/upload/{owner}/{account}/{dataset}/{name}",
    "GET /storage/download/{owner}/{file}/{key:path}",
}


def test_one_life_through_the_sdk_calls_every_route_there_is(sdk: Any, fire: Fire) -> None:
    content, size = rows(4), str(len(rows(4)))
    sdk.datasets.create(dataset_id="in", dataset={"user_uploaded": {}, "example_count": "4"})
    put = sdk.datasets.get_upload_endpoint("in", filename_to_size={"a.jsonl": size}).filename_to_signed_urls["a.jsonl"]
    headers = {"Content-Type": "application/octet-stream", "X-Goog-Content-Length-Range": f"{size},{size}"}
    assert fire.plain.put(put, content=content, headers=headers).status_code == 200
    sdk.datasets.validate_upload("in", body={})
    filled(sdk, "spare", 1)
    sdk.datasets.update("spare", display_name="spare")
    sdk.batch_inference_jobs.create(
        batch_inference_job_id="job", model=MODEL, input_dataset_id="in", output_dataset_id="out"
    )
    fire.wait("job")
    sdk.batch_inference_jobs.get("job")
    assert len(list(sdk.batch_inference_jobs.list())) == 1 and len(list(sdk.datasets.list())) == 3
    found = sdk.datasets.get_download_endpoint("out").filename_to_signed_urls
    assert len(parsed(fire.plain.get(found["dataset/out/BIJOutputSet.jsonl"]).content)) == 4
    sdk.batch_inference_jobs.delete("job")
    sdk.datasets.delete("spare")
    sdk.datasets.get("in")
    assert {route for route in fire.lab.log()["requests"] if "/_" not in route} == ROUTES
    assert {endpoint.name for endpoint in endpoints(fire.lab.service.site, FaultSwitches())} == ROUTES


def test_every_object_is_of_the_sdks_types(sdk: Any, fire: Fire) -> None:
    """The SDK builds its objects without a check; pydantic, asked, finds no wrong type or unknown word in them."""
    from fireworks.types import BatchInferenceJob, Dataset

    fire.lab.faults(expire_at=0.5)
    filled(sdk, "in", 4)
    fire.begun("one", "in", "one-out", maxJobDuration="43200s", placement={"multiRegion": "US"}, systemPrompt="Be kind")
    fire.wait("one")
    fire.resume("two", "one")
    fire.wait("two")
    fire.fill("bad", b'{"custom_id":"x"}\n')
    fire.begun("three", "bad", "three-out")
    fire.wait("three")
    jobs, datasets = fire.good("GET", "batchInferenceJobs"), fire.good("GET", "datasets")
    read = [BatchInferenceJob.model_validate(raw) for raw in jobs["batchInferenceJobs"]]
    assert [job.state.removeprefix("JOB_STATE_") for job in read] == ["EXPIRED", "COMPLETED", "FAILED"]
    assert [job.status.code for job in read] == ["OK", "OK", "INVALID_ARGUMENT"]
    assert read[1].continued_from_job_name == read[0].name
    kept = {one.name.rpartition("/")[2]: one for one in map(Dataset.model_validate, datasets["datasets"])}
    assert list(kept) == ["bad", "in", "one-out", "two-out"]
    assert kept["two-out"].source_job_name == read[1].name and kept["in"].user_uploaded is not None


def test_the_sdk_tries_again_what_was_refused_for_now(fire: Fire) -> None:
    fire.lab.faults(rate_limit={"value": 1, "retry_after": 0.05}, fail_before={"value": 1, "status": 503})
    with fireworks.Fireworks(base_url=fire.lab.url, api_key=TOKENS[0], account_id=ACCOUNT) as client:
        assert client.datasets.create(dataset_id="in", dataset={"user_uploaded": {}, "example_count": "1"}).name
    assert fire.lab.log()["datasets_created"] == 1


def test_refusals_come_in_the_sdks_words(sdk: Any, fire: Fire) -> None:
    with pytest.raises(fireworks.BadRequestError, match="example_count is required"):
        sdk.datasets.create(dataset_id="in", dataset={"user_uploaded": {}})
    with pytest.raises(fireworks.BadRequestError, match="unknown field"):
        sdk.batch_inference_jobs.create(model=MODEL, input_dataset_id="in", extra_body={"continueFrom": "x"})
    with pytest.raises(fireworks.NotFoundError):
        sdk.batch_inference_jobs.create(model=MODEL, input_dataset_id="in")
    with pytest.raises(fireworks.NotFoundError):
        sdk.datasets.get_download_endpoint("in")
    filled(sdk, "in", 1)
    with pytest.raises(fireworks.ConflictError):
        sdk.datasets.create(dataset_id="in", dataset={"user_uploaded": {}, "example_count": "1"})
    with pytest.raises(fireworks.BadRequestError, match="precision"):
        sdk.batch_inference_jobs.create(model=MODEL, input_dataset_id="in", precision="FP3")
    sdk.batch_inference_jobs.create(batch_inference_job_id="job", model=MODEL, input_dataset_id="in")
    named = fire.name("batchInferenceJobs", "job")
    fire.wait("job")
    with pytest.raises(fireworks.BadRequestError, match="no unfinished or failed"):
        sdk.batch_inference_jobs.create(continued_from_job_name=named)


def test_signed_parts(sdk: Any, fire: Fire) -> None:
    sdk.datasets.create(dataset_id="in", dataset={"user_uploaded": {}, "example_count": "2"})
    content = rows(2)
    size = str(len(content))
    found = sdk.datasets.get_upload_endpoint("in", filename_to_size={"a.jsonl": size}).filename_to_signed_urls
    headers = {"Content-Type": "application/octet-stream", "X-Goog-Content-Length-Range": f"{size},{size}"}
    assert fire.plain.put(found["a.jsonl"], content=content, headers=headers).status_code == 200
    sdk.datasets.validate_upload("in", body={})
    assert sdk.datasets.get("in").state == "READY"


def test_the_sdks_own_uploader_gets_as_far_as_https(sdk: Any, tmp_path: Path) -> None:
    from fireworks.lib.dataset_upload import DatasetUploadError, upload_dataset_shards

    (tmp_path / "a.jsonl").write_bytes(rows(1))
    sdk.datasets.create(dataset_id="in", dataset={"user_uploaded": {}, "example_count": "1"})
    with pytest.raises(DatasetUploadError, match="non-https"):
        upload_dataset_shards(sdk, "in", str(tmp_path / "a.jsonl"))


def test_lists_page_by_themselves(sdk: Any, fire: Fire) -> None:
    for number in range(5):
        fire.create(f"d{number}")
    assert [one.name[-2:] for one in sdk.datasets.list(page_size=2)] == ["d0", "d1", "d2", "d3", "d4"]
    filled(sdk, "in", 1)
    for number in range(3):
        fire.begun(f"j{number}", "in", f"o{number}")
    assert [one.name[-2:] for one in sdk.batch_inference_jobs.list(page_size=2)] == ["j0", "j1", "j2"]
    listed = sdk.batch_inference_jobs.list(order_by="name desc", filter='model != "x"', page_size=2)
    assert [one.name[-2:] for one in listed] == ["j2", "j1", "j0"]


def test_jobs_from_create_to_delete(sdk: Any, fire: Fire) -> None:
    filled(sdk, "in")
    made = sdk.batch_inference_jobs.create(
        batch_inference_job_id="job",
        model=MODEL,
        input_dataset_id=fire.name("datasets", "in"),
        output_dataset_id=fire.name("datasets", "out"),
        display_name="nightly",
        inference_parameters={"max_tokens": 9, "temperature": 0.5, "top_p": 1, "top_k": 4, "n": 1, "extra_body": "{}"},
        precision="FP8",
        extra_body={"maxJobDuration": "43200s", "systemPrompt": "Be brief"},
    )
    assert made.state == "JOB_STATE_VALIDATING" and made.display_name == "nightly"
    assert made.inference_parameters.max_tokens == 9 and made.precision == "FP8"
    fire.wait("job")
    done = sdk.batch_inference_jobs.get("job")
    assert done.state == "JOB_STATE_COMPLETED" and done.job_progress.successfully_processed_requests == 3
    found = sdk.datasets.get_download_endpoint("out", download_lineage=True).filename_to_signed_urls
    assert len(parsed(fire.plain.get(found["dataset/out/BIJOutputSet.jsonl"]).content)) == 3
    with pytest.raises(fireworks.ConflictError):
        sdk.batch_inference_jobs.create(batch_inference_job_id="job", model=MODEL, input_dataset_id="in")
    sdk.batch_inference_jobs.delete("job")
    fire.wait_gone("job")
    with pytest.raises(fireworks.NotFoundError):
        sdk.batch_inference_jobs.get("job")


def test_a_continuation(sdk: Any, fire: Fire) -> None:
    fire.lab.faults(expire_at=0.5)
    filled(sdk, "in", 4)
    fire.begun("one", "in", "one-out")
    assert fire.wait("one")["state"] == "JOB_STATE_EXPIRED"
    made = sdk.batch_inference_jobs.create(
        batch_inference_job_id="two",
        continued_from_job_name=fire.name("batchInferenceJobs", "one"),
        output_dataset_id="two-out",
    )
    assert made.continued_from_job_name == fire.name("batchInferenceJobs", "one")
    fire.wait("two")
    found = sdk.datasets.get_download_endpoint("two-out", download_lineage=True).filename_to_signed_urls
    assert len(found) == 4


def test_wrong_keys_are_permission_errors(fire: Fire) -> None:
    with (
        fireworks.Fireworks(base_url=fire.lab.url, api_key="nope", account_id=ACCOUNT, max_retries=0) as client,
        pytest.raises(fireworks.PermissionDeniedError, match="invalid"),
    ):
        client.datasets.get("in")
