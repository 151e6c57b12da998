"""What every test of the Fireworks API does: a dataset, a job, a wait, its files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.server.conftest import Lab, begin, jsonl

ACCOUNT = "acme"
MODEL = "accounts/fireworks/models/echo"
ENDED = ("COMPLETED", "FAILED", "EXPIRED", "EARLY_STOPPED", "CANCELLED")


def row(custom_id: str, text: str = "hello", **body: Any) -> dict[str, Any]:
    """One input row."""
    return {"custom_id": custom_id, "body": {"messages": [{"role": "user", "content": text}], **body}}


def rows(count: int, **body: Any) -> bytes:
    return jsonl([row(f"row-{n}", f"question {n}", **body) for n in range(count)])


def parsed(content: bytes) -> list[dict[str, Any]]:
    assert content == b"" or content.endswith(b"\n")
    return [msgspec.json.decode(line) for line in content.split(b"\n")[:-1]]


@dataclass
class Fire:
    """A running server and a plain client of one account of it."""

    lab: Lab
    account: str = ACCOUNT

    def __post_init__(self) -> None:
        self.http = self.lab.http()
        self.plain = httpx.Client(trust_env=False)  # what asks storage: it has no key

    def close(self) -> None:
        self.http.close()
        self.plain.close()

    def path(self, rest: str) -> str:
        return f"/v1/accounts/{self.account}/{rest}"

    def name(self, collection: str, resource_id: str) -> str:
        return f"accounts/{self.account}/{collection}/{resource_id}"

    def call(self, method: str, rest: str, **options: Any) -> httpx.Response:
        return self.http.request(method, self.path(rest), **options)

    def good(self, method: str, rest: str, **options: Any) -> Any:
        answer = self.call(method, rest, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def create(self, dataset_id: str, count: int = 1) -> Any:
        dataset = {"userUploaded": {}, "exampleCount": str(count)}
        return self.good("POST", "datasets", json={"datasetId": dataset_id, "dataset": dataset})

    def upload(self, dataset_id: str, content: bytes, filename: str = "in.jsonl") -> httpx.Response:
        files = {"file": (filename, content, "application/jsonl")}
        return self.call("POST", f"datasets/{dataset_id}:upload", files=files)

    def fill(self, dataset_id: str, content: bytes) -> str:
        self.create(dataset_id, max(content.count(b"\n"), 1))
        answer = self.upload(dataset_id, content)
        assert answer.status_code == 200, answer.text
        return dataset_id

    def job(self, job_id: str, source: str = "", output: str = "", **more: Any) -> httpx.Response:
        body = {"model": MODEL, **more}
        if source:
            body["inputDatasetId"] = self.name("datasets", source)
        if output:
            body["outputDatasetId"] = self.name("datasets", output)
        body = {key: value for key, value in body.items() if value is not None}
        return self.call("POST", "batchInferenceJobs", params={"batchInferenceJobId": job_id}, json=body)

    def submit(self, job_id: str, content: bytes, **more: Any) -> Any:
        """Dataset `<job>-in`, job, output dataset `<job>-out`."""
        self.fill(f"{job_id}-in", content)
        return self.begun(job_id, f"{job_id}-in", f"{job_id}-out", **more)

    def begun(self, *words: str, **more: Any) -> Any:
        answer = self.job(*words, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def resume(self, job_id: str, parent: str, **more: Any) -> httpx.Response:
        named = self.name("batchInferenceJobs", parent)
        return self.job(job_id, output=f"{job_id}-out", continuedFromJobName=named, model=None, **more)

    def wait(self, job_id: str, *states: str, seconds: float = 20) -> Any:
        until = time.monotonic() + seconds
        while True:
            job = self.good("GET", f"batchInferenceJobs/{job_id}")
            if job["state"].removeprefix("JOB_STATE_") in (states or ENDED):
                return job
            assert time.monotonic() < until, job
            time.sleep(0.02)

    def wait_done(self, job_id: str, count: int) -> Any:
        until = time.monotonic() + 20
        while True:
            job = self.good("GET", f"batchInferenceJobs/{job_id}")
            if job["jobProgress"] and job["jobProgress"]["totalProcessedRequests"] == count:
                return job
            assert time.monotonic() < until, job
            time.sleep(0.02)

    def wait_gone(self, job_id: str) -> None:
        until = time.monotonic() + 20
        while self.call("GET", f"batchInferenceJobs/{job_id}").status_code != 404:
            assert time.monotonic() < until
            time.sleep(0.02)

    def urls(self, dataset_id: str, **params: Any) -> dict[str, str]:
        found = self.good("GET", f"datasets/{dataset_id}:getDownloadEndpoint", params=params)
        urls: dict[str, str] = found["filenameToSignedUrls"]
        return urls

    def file(self, dataset_id: str, name: str) -> list[dict[str, Any]]:
        answer = self.plain.get(self.urls(dataset_id)[f"dataset/{dataset_id}/{name}"])
        assert answer.status_code == 200, answer.text
        return parsed(answer.content)

    def results(self, dataset_id: str) -> list[dict[str, Any]]:
        return self.file(dataset_id, "BIJOutputSet.jsonl")

    def errors(self, dataset_id: str) -> list[dict[str, Any]]:
        return self.file(dataset_id, "error-data")


def ids(found: list[dict[str, Any]]) -> set[str]:
    names = [one["custom_id"] for one in found]
    assert len(set(names)) == len(names)
    return set(names)


@pytest.fixture
def fire(tmp_path: Path) -> Iterator[Fire]:
    lab = begin(tmp_path / "home")
    fire = Fire(lab)
    yield fire
    fire.close()
    lab.stop()
