"""Datasets: what is shown, what is refused, and how rows get in and out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from runner.clock import FastClock
from runner.server.endpoint import ApiCall
from runner.server.fireworks_batch.listing import page
from tests.server.conftest import TOKENS, begin
from tests.server.fireworks_batch.conftest import Fire, rows

SHAPE = {
    "name": "accounts/acme/datasets/in",
    "displayName": "",
    "createdBy": "dev@runner.invalid",
    "state": "UPLOADING",
    "status": {"code": "OK", "message": ""},
    "format": "FORMAT_UNSPECIFIED",
    "exampleCount": "2",
    "estimatedTokenCount": "0",
    "averageTurnCount": 0,
    "externalUrl": "",
    "sourceJobName": "",
    "encryptionState": "ENCRYPTION_STATE_PLAINTEXT",
    "userUploaded": {},
}


def test_unset_fields_are_printed_and_instants_have_nine_then_six_digits(fire: Fire) -> None:
    made = fire.create("in", 2)
    created, updated = made.pop("createTime"), made.pop("updateTime")
    assert made == SHAPE and len(created) == len(updated) == 30
    seen = fire.good("GET", "datasets/in")
    assert len(seen["createTime"]) == 27 and seen["createTime"][:-1] == created[:-4]
    assert datetime.fromisoformat(seen["createTime"]) == datetime.fromisoformat(created)


def test_a_small_upload_makes_a_dataset_ready(fire: Fire) -> None:
    fire.create("in", 2)
    content = rows(2)
    answer = fire.upload("in", content).json()
    assert answer.pop("created_at") > 1_000_000_000
    assert answer == {
        "id": "accounts/acme/datasets/in",
        "object": "file",
        "bytes": len(content),
        "filename": "in.jsonl",
        "purpose": "dataset",
    }
    assert fire.good("GET", "datasets/in")["state"] == "READY"
    (url,) = fire.urls("in").values()
    assert fire.plain.get(url).content == content
    again = fire.upload("in", content)
    assert again.status_code == 400 and again.json()["code"] == 9


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"datasetId": "in", "dataset": {"userUploaded": {}}}, 400, "example_count is required for uploaded datasets"),
        ({"datasetId": "in", "dataset": {"userUploaded": {}, "exampleCount": "0"}}, 400, "example_count is required"),
        ({"datasetId": "in", "dataset": {"userUploaded": {}, "exampleCount": "two"}}, 400, "exampleCount"),
        ({"datasetId": "in", "dataset": {"exampleCount": "1"}}, 400, "exactly one source"),
        ({"datasetId": "in", "dataset": {"userUploaded": {}, "splitted": {}, "exampleCount": 1}}, 400, "exactly one"),
        ({"datasetId": "in", "dataset": {"splitted": {}, "exampleCount": 1}}, 501, "not served"),
        ({"datasetId": "9in", "dataset": {"userUploaded": {}, "exampleCount": "1"}}, 400, "dataset_id"),
        ({"datasetId": "In", "dataset": {"userUploaded": {}, "exampleCount": "1"}}, 400, "dataset_id"),
        ({"datasetId": "in-", "dataset": {"userUploaded": {}, "exampleCount": "1"}}, 400, "dataset_id"),
        ({"datasetId": "a" * 64, "dataset": {"userUploaded": {}, "exampleCount": "1"}}, 400, "dataset_id"),
        ({"dataset": {"userUploaded": {}, "exampleCount": "1"}}, 400, "dataset_id"),
        ({"datasetId": "in", "nope": 1}, 400, 'unknown field "nope"'),
        ({"datasetId": "in", "dataset": {"userUploaded": {}, "parentDatasetId": "x"}}, 400, '"parentDatasetId"'),
        ({"datasetId": "in", "dataset": {"format": "XML"}}, 400, "enum"),
        ({"datasetId": "in", "dataset": "x"}, 400, "dataset"),
        ({"datasetId": "in", "dataset_id": "in"}, 400, "duplicate field"),
    ],
)
def test_what_a_create_refuses(fire: Fire, body: Any, status: int, words: str) -> None:
    answer = fire.call("POST", "datasets", json=body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"code", "message", "details"} and words in answer.json()["message"]
    assert answer.json()["code"] == (12 if status == 501 else 3)
    assert fire.good("GET", "datasets")["totalSize"] == 0


def test_snake_case_numbers_and_the_longest_id_are_accepted(fire: Fire) -> None:
    name = "a" + "-" * 61 + "9"
    dataset = {"user_uploaded": {}, "example_count": 3, "display_name": "x", "state": "READY", "format": None}
    made = fire.good("POST", "datasets", json={"dataset_id": name, "dataset": dataset})
    assert (made["exampleCount"], made["displayName"], made["state"]) == ("3", "x", "UPLOADING")


def test_an_existing_id_is_a_conflict_until_it_is_deleted(fire: Fire) -> None:
    fire.fill("in", rows(1))
    body = {"datasetId": "in", "dataset": {"userUploaded": {}, "exampleCount": "1"}}
    taken = fire.call("POST", "datasets", json=body)
    assert (taken.status_code, taken.json()["code"]) == (409, 6) and "already exists" in taken.json()["message"]
    assert fire.good("DELETE", "datasets/in") == {}
    gone = fire.call("GET", "datasets/in")
    assert (gone.status_code, gone.json()) == (404, {"code": 5, "message": "resource not found", "details": []})
    for method, path in (("DELETE", ""), ("PATCH", ""), ("POST", ":upload"), ("GET", ":getDownloadEndpoint")):
        assert fire.call(method, f"datasets/in{path}").status_code == 404
    assert fire.good("POST", "datasets", json=body)["state"] == "UPLOADING"


def test_accounts_and_keys_are_namespaces(fire: Fire) -> None:
    fire.create("in")
    assert fire.http.get("/v1/accounts/other/datasets/in").status_code == 404
    with fire.lab.http(TOKENS[1]) as other:
        assert other.get(fire.path("datasets/in")).status_code == 404
        assert other.get(fire.path("datasets")).json() == {"datasets": [], "nextPageToken": "", "totalSize": 0}


def test_keys_are_asked_for_before_anything_else(fire: Fire) -> None:
    for path in ("datasets", "datasets/nope", "nowhere"):
        url = fire.lab.url + fire.path(path)
        missing, wrong = fire.plain.get(url), fire.plain.get(url, headers={"authorization": "Bearer nope"})
        assert (missing.status_code, wrong.status_code) == (401, 403)
        for answer in (missing, wrong):
            assert set(answer.json()) == {"error", "request_id"}
            assert set(answer.json()["error"]) == {"message", "param", "code", "type"}
    assert wrong.json()["error"]["message"] == "The API key you provided is invalid."


def test_unknown_paths_and_methods(fire: Fire) -> None:
    fire.fill("in", rows(1))
    for path in ("nowhere", "datasets/in/files", "batchInferenceJobs/x:cancel"):
        assert fire.call("GET", path).json() == {"code": 5, "message": "resource not found", "details": []}
    for method, path in (("POST", "datasets/in:getDownloadEndpoint"), ("PUT", "datasets"), ("PATCH", "datasets")):
        assert fire.call(method, path, json={}).status_code == 405


def test_a_get_with_a_body_is_refused(fire: Fire) -> None:
    fire.fill("in", rows(1))
    for path in ("datasets/in:getDownloadEndpoint", "datasets/in", "datasets", "batchInferenceJobs"):
        answer = fire.call("GET", path, content=b"{}")
        assert answer.status_code == 400 and "error" in answer.json()


def test_lists_page_order_filter_and_mask(fire: Fire) -> None:
    for name in ("b", "a", "d", "c", "e"):
        fire.create(name, {"a": 10, "b": 9}.get(name, 1))
    seen: list[str] = []
    token = ""
    while True:
        found = fire.good("GET", "datasets", params={"pageSize": 2, "pageToken": token})
        seen += [one["name"].rpartition("/")[2] for one in found["datasets"]]
        assert found["totalSize"] == 5
        token = found["nextPageToken"]
        if not token:
            break
    assert seen == ["a", "b", "c", "d", "e"]

    def names(**params: Any) -> str:
        return "".join(one["name"][-1] for one in fire.good("GET", "datasets", params=params)["datasets"])

    assert names(orderBy="name desc") == "edcba"
    assert names(order_by="exampleCount desc,name") == "abcde"
    assert names(orderBy="create_time") == "badce"
    assert names(filter='state = "UPLOADING" AND display_name=""') == "abcde"
    assert names(filter="state=READY") == ""
    assert names(pageSize=100_000) == "abcde"
    masked = fire.good("GET", "datasets", params={"readMask": "name,exampleCount", "pageSize": 1})
    assert masked["datasets"] == [{"name": "accounts/acme/datasets/a", "exampleCount": "10"}]
    assert fire.good("GET", "datasets/a", params={"read_mask": "state"}) == {"state": "UPLOADING"}
    token = fire.good("GET", "datasets", params={"pageSize": 1})["nextPageToken"]
    for bad in (
        {"pageSize": -1},
        {"pageToken": "nonsense"},
        {"pageToken": token, "orderBy": "name desc"},
        {"orderBy": "colour"},
        {"filter": "colour=red"},
        {"filter": "state ~ x"},
        {"readMask": "colour"},
    ):
        assert fire.call("GET", "datasets", params=bad).status_code == 400, bad


def test_a_page_goes_on_behind_the_last_one_shown(fire: Fire) -> None:
    for name in ("b", "d", "f"):
        fire.create(name)
    token = fire.good("GET", "datasets", params={"pageSize": 2})["nextPageToken"]
    fire.create("a")
    found = fire.good("GET", "datasets", params={"pageSize": 2, "pageToken": token})
    assert [one["name"][-1] for one in found["datasets"]] == ["f"]


def test_at_most_two_hundred_are_on_a_page() -> None:
    shapes = [{"name": f"d{number:03d}"} for number in range(300)]
    for query, size in ((b"", 50), (b"pageSize=0", 50), (b"page_size=7", 7), (b"pageSize=1000", 200)):
        call = ApiCall({"type": "http", "query_string": query, "headers": []})
        shown = page(call, shapes, "datasets", "name")
        assert shown["datasets"] == shapes[:size] and shown["totalSize"] == 300


def test_patch_changes_what_was_said(fire: Fire) -> None:
    fire.create("in", 2)
    seen = fire.good("PATCH", "datasets/in", json={"displayName": "mine", "example_count": "7", "state": "READY"})
    assert (seen["displayName"], seen["exampleCount"], seen["state"]) == ("mine", "7", "UPLOADING")
    assert fire.call("PATCH", "datasets/in", json={"colour": 1}).status_code == 400
    assert fire.call("PATCH", "datasets/in", json={"exampleCount": "0"}).status_code == 400
    assert fire.good("GET", "datasets/in")["displayName"] == "mine"


def test_what_an_upload_refuses(fire: Fire) -> None:
    fire.create("in")
    assert fire.upload("in", rows(1), "in.txt").status_code == 400
    assert fire.call("POST", "datasets/in:upload", files={"data": ("in.jsonl", b"x")}).status_code == 400
    assert fire.call("POST", "datasets/in:upload", content=b"x").status_code == 400
    assert fire.good("GET", "datasets/in")["state"] == "UPLOADING"


def test_an_upload_takes_up_to_150_megabytes(fire: Fire) -> None:
    fire.create("in")

    def form() -> Iterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n{}\n'
        for _ in range(151):
            yield bytes(1 << 20)
        yield b"\r\n--x--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = fire.call("POST", "datasets/in:upload", content=form(), headers=headers)
    assert answer.status_code == 413 and "error" in answer.json()
    assert list((fire.lab.service.site.home.root / "incoming").iterdir()) == []


def test_a_bad_file_leaves_its_reason_and_can_be_sent_again(fire: Fire) -> None:
    fire.create("in")
    for content in (b"", b"not json\n", b"[1]\n", b'{"a":"\xff"}\n'):
        assert fire.upload("in", content).status_code == 200
        seen = fire.good("GET", "datasets/in")
        assert (seen["state"], seen["status"]["code"]) == ("UPLOADING", "INVALID_ARGUMENT")
    assert fire.job("job", "in").json()["code"] == 9
    assert fire.upload("in", rows(1)).status_code == 200
    assert fire.good("GET", "datasets/in")["status"] == {"code": "OK", "message": ""}


# signed parts


def announced(fire: Fire, dataset: str, **sizes: Any) -> dict[str, str]:
    names = {name.replace("_", "-") + ".jsonl": size for name, size in sizes.items()}
    found = fire.good("POST", f"datasets/{dataset}:getUploadEndpoint", json={"filenameToSize": names})
    urls: dict[str, str] = found["filenameToSignedUrls"]
    assert set(urls) == set(names)
    return urls


def put(fire: Fire, url: str, content: bytes, **headers: str) -> httpx.Response:
    size = len(content)
    signed = {"Content-Type": "application/octet-stream", "X-Goog-Content-Length-Range": f"{size},{size}"}
    return fire.plain.put(url, content=content, headers={**signed, **headers})


def test_parts_are_put_and_the_whole_is_ready(fire: Fire) -> None:
    fire.create("in", 5)
    one, two = rows(3), b'{"custom_id":"x","body":{"messages":[]}}\n{"custom_id":"y","body":{"messages":[]}}'
    urls = announced(fire, "in", part_000=str(len(one)), part_001=len(two))
    assert put(fire, urls["part-001.jsonl"], two).status_code == 200
    early = fire.call("POST", "datasets/in:validateUpload", json={})
    assert early.json()["code"] == 9 and "part-000.jsonl" in early.json()["message"]
    assert put(fire, urls["part-000.jsonl"], one).status_code == 200
    assert fire.good("GET", "datasets/in")["state"] == "UPLOADING"
    assert fire.good("POST", "datasets/in:validateUpload", json={}) == {}
    assert fire.good("POST", "datasets/in:validateUpload", json={}) == {}
    assert fire.good("GET", "datasets/in")["state"] == "READY"
    found = fire.urls("in")
    assert [fire.plain.get(found[f"dataset/in/part-00{n}.jsonl"]).content for n in (0, 1)] == [one, two]
    assert put(fire, urls["part-000.jsonl"], one).status_code == 403
    fire.begun("job", "in", "out")
    assert fire.wait("job")["jobProgress"]["totalProcessedRequests"] == 5


def test_a_signed_upload_is_what_was_signed(fire: Fire) -> None:
    fire.create("in")
    content = rows(1)
    url = announced(fire, "in", a=len(content))["a.jsonl"]
    assert put(fire, url, content, **{"Content-Type": "text/plain"}).status_code == 403
    assert put(fire, url, content, **{"X-Goog-Content-Length-Range": "0,99"}).status_code == 403
    assert fire.plain.put(url, content=content).status_code == 403
    assert put(fire, url, content, authorization=f"Bearer {TOKENS[0]}").status_code == 403
    assert put(fire, url.replace("a.jsonl", "b.jsonl"), content).status_code == 403
    size = str(len(content))
    shorter = put(fire, url, content[:-1], **{"X-Goog-Content-Length-Range": f"{size},{size}"})
    assert shorter.status_code == 400 and "<Error>" in shorter.text
    assert fire.plain.get(url).status_code == 405
    assert put(fire, url, content).status_code == 200


def test_announcing_again_replaces_but_keeps_what_is_there(fire: Fire) -> None:
    fire.create("in")
    content = rows(1)
    urls = announced(fire, "in", a=len(content), b=9)
    put(fire, urls["a.jsonl"], content)
    urls = announced(fire, "in", a=len(content), c=len(content))
    put(fire, urls["c.jsonl"], content)
    assert fire.good("POST", "datasets/in:validateUpload", json={}) == {}
    assert set(fire.urls("in")) == {"dataset/in/a.jsonl", "dataset/in/c.jsonl"}


@pytest.mark.parametrize(
    "sizes", [{}, {"a.jsonl": 0}, {"a.txt": 1}, {"x/a.jsonl": 1}, {"../a.jsonl": 1}, {"a.JSONL": 1}, {"a.jsonl": "x"}]
)
def test_what_may_not_be_announced(fire: Fire, sizes: dict[str, Any]) -> None:
    fire.create("in")
    answer = fire.call("POST", "datasets/in:getUploadEndpoint", json={"filenameToSize": sizes})
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert fire.call("POST", "datasets/in:validateUpload", json={}).status_code == 400


def test_signed_urls_live_so_long(tmp_path: Any) -> None:
    clock = FastClock()
    lab = begin(tmp_path, clock)
    fire = Fire(lab)
    fire.fill("in", rows(1))
    fire.create("parts")
    content = rows(1)
    try:
        (url,) = fire.urls("in").values()
        upload = announced(fire, "parts", a=len(content))["a.jsonl"]
        assert parse_qs(urlsplit(url).query)["X-Goog-Expires"] == ["599"]
        clock.sleep(598)
        assert fire.plain.get(url).status_code == 200
        clock.sleep(2)
        stale = fire.plain.get(url)
        assert stale.status_code == 400 and "ExpiredToken" in stale.text
        assert put(fire, upload, content).status_code == 200
        clock.sleep(3_000)
        assert put(fire, upload, content).status_code == 400
        lab.faults(signed_url_seconds=5)
        (url,) = fire.urls("in").values()
        clock.sleep(6)
        assert fire.plain.get(url).status_code == 400
    finally:
        fire.close()
        lab.stop()


def test_a_signed_download_refuses_our_key_and_other_paths(fire: Fire) -> None:
    fire.fill("in", rows(1))
    fire.fill("other", rows(2))
    (url,) = fire.urls("in").values()
    (other,) = fire.urls("other").values()
    assert fire.http.get(url).status_code == 403
    mixed = other.partition("?")[0] + "?" + url.partition("?")[2]
    assert fire.plain.get(mixed).status_code == 403
    assert fire.plain.get(url.partition("?")[0]).status_code == 403
    assert fire.plain.get(url[:-4] + "é").status_code == 403
    assert fire.plain.put(url).status_code == 405
    part = fire.plain.get(url, headers={"range": "bytes=0-9"})
    assert part.status_code == 206 and part.content == rows(1)[:10]
    fire.good("DELETE", "datasets/in")
    assert fire.plain.get(url).status_code == 404


def test_a_dataset_in_use_stays(fire: Fire) -> None:
    fire.lab.faults(hold=0)
    fire.submit("job", rows(1))
    fire.wait("job", "RUNNING")
    for name in ("job-in", "job-out"):
        answer = fire.call("DELETE", f"datasets/{name}")
        assert (answer.status_code, answer.json()["code"]) == (400, 9)
    fire.lab.faults(hold=None)
    fire.wait("job")
    for name in ("job-in", "job-out"):
        assert fire.good("DELETE", f"datasets/{name}") == {}


def test_the_other_api_does_not_list_these_files(fire: Fire) -> None:
    fire.submit("job", rows(1))
    fire.wait("job")
    assert fire.http.get("/v1/files").json()["data"] == [] == fire.http.get("/v1/batches").json()["data"]


def test_rows_keep_their_bytes(fire: Fire) -> None:
    content = b'{"custom_id":"a\xe2\x80\xa8b" , "body":{"messages":[{"role":"user","content":"\xc2\x85"}]}}\r\n' + rows(
        1
    )
    fire.fill("in", content)
    assert fire.plain.get(next(iter(fire.urls("in").values()))).content == content
