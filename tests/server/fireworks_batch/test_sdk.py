"""The official `fireworks-ai` SDK, pointed at this server: every call on datasets and jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import TOKENS
from tests.server.fireworks_batch.conftest import ACCOUNT, MODEL, Fire, parsed, rows

fireworks = pytest.importorskip("fireworks", exc_type=ImportError)


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
