"""`/v1/files` as the official SDK sees it."""

from __future__ import annotations

import httpx
import openai
import pytest

from tests.server.conftest import TOKENS, Lab, lines


def test_a_file_lives_from_upload_to_delete(lab: Lab) -> None:
    client = lab.client()
    made = client.files.create(
        file=("in.jsonl", b"anything"), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert made.id.startswith("file-") and len(made.id) == 29
    assert (made.bytes, made.filename, made.purpose, made.status) == (8, "in.jsonl", "batch", "processed")
    assert made.expires_at == made.created_at + 3600
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).content == b"anything"
    gone = client.files.delete(made.id)
    assert gone.deleted and gone.id == made.id
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        client.files.content(made.id)


def test_batch_files_expire_after_thirty_days_and_others_never(lab: Lab) -> None:
    client = lab.client()
    made = client.files.create(file=("a", b"x"), purpose="batch")
    assert made.expires_at == made.created_at + 30 * 86_400
    assert client.files.create(file=("a", b"x"), purpose="user_data").expires_at is None


def test_lists_page_by_themselves_newest_first(lab: Lab) -> None:
    client = lab.client()
    made = [client.files.create(file=(f"{n}.jsonl", b"x"), purpose="batch").id for n in range(7)]
    client.files.create(file=("other", b"x"), purpose="evals")
    assert [file.id for file in client.files.list(limit=3, purpose="batch")] == made[::-1]
    assert [file.id for file in client.files.list(limit=2, purpose="batch", order="asc")] == made
    page = client.files.list(limit=2, purpose="batch")
    assert page.has_more and [file.id for file in page.data] == made[:4:-1]


def test_an_envelope_has_all_its_keys_even_when_empty(lab: Lab) -> None:
    with lab.http() as http:
        for path in ("/v1/files", "/v1/batches"):
            empty = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
            assert http.get(path).json() == empty


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/files?after=file-nope", "after"),
        ("/v1/files?limit=0", "limit"),
        ("/v1/files?limit=10001", "limit"),
        ("/v1/files?limit=ten", "limit"),
        ("/v1/files?order=up", "order"),
        ("/v1/batches?after=batch_nope", "after"),
        ("/v1/batches?limit=101", "limit"),
    ],
)
def test_wrong_list_parameters_are_named(lab: Lab, path: str, param: str) -> None:
    with lab.http() as http:
        answer = http.get(path)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["param"], error["type"]) == (param, "invalid_request_error")


@pytest.mark.parametrize(
    ("fields", "files", "param"),
    [
        ({}, {"file": ("a", b"x")}, "purpose"),
        ({"purpose": "nonsense"}, {"file": ("a", b"x")}, "purpose"),
        ({"purpose": "batch_output"}, {"file": ("a", b"x")}, "purpose"),
        ({"purpose": "batch"}, {"other": ("a", b"x")}, "file"),
        (
            {"purpose": "batch", "expires_after[anchor]": "now", "expires_after[seconds]": "3600"},
            {"file": ("a", b"x")},
            "expires_after.anchor",
        ),
        (
            {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "60"},
            {"file": ("a", b"x")},
            "expires_after.seconds",
        ),
    ],
)
def test_uploads_that_lack_something_are_refused(
    lab: Lab, fields: dict[str, str], files: dict[str, tuple[str, bytes]], param: str
) -> None:
    with lab.http() as http:
        answer = http.post("/v1/files", data=fields, files=files)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["param"] == param
        assert http.get("/v1/files").json()["data"] == []
    assert not list((lab.service.site.home.root / "incoming").iterdir())


def test_a_body_that_is_no_form_is_refused(lab: Lab) -> None:
    with lab.http() as http:
        assert http.post("/v1/files", content=b"{}").status_code == 400
        cut = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nhalf'
        kind = {"content-type": "multipart/form-data; boundary=b"}
        assert http.post("/v1/files", content=cut, headers=kind).status_code == 400
    assert not list((lab.service.site.home.root / "incoming").iterdir())


def test_field_order_does_not_matter(lab: Lab) -> None:
    body = (
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\nx\r\ny\r\n'
        b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b--\r\n'
    )
    with lab.http() as http:
        answer = http.post("/v1/files", content=body, headers={"content-type": "multipart/form-data; boundary=b"})
        assert answer.status_code == 200
        assert http.get(f"/v1/files/{answer.json()['id']}/content").content == b"x\r\ny"


def test_parts_of_a_file_can_be_asked_for(lab: Lab) -> None:
    content = bytes(range(256)) * 2_000
    file_id = lab.upload(content)
    with lab.http() as http:
        whole = http.get(f"/v1/files/{file_id}/content")
        assert (whole.status_code, whole.content) == (200, content)
        assert whole.headers["content-length"] == str(len(content))
        assert whole.headers["content-type"] == "application/octet-stream"
        tail = http.get(f"/v1/files/{file_id}/content", headers={"range": "bytes=300000-"})
        assert (tail.status_code, tail.content) == (206, content[300_000:])
        assert tail.headers["content-range"] == f"bytes 300000-{len(content) - 1}/{len(content)}"
        beyond = http.get(f"/v1/files/{file_id}/content", headers={"range": f"bytes={len(content)}-"})
        assert beyond.status_code == 416


def test_each_key_sees_its_own_objects_only(lab: Lab) -> None:
    mine = lab.submit(lines(1))
    other = lab.client(TOKENS[1])
    assert list(other.files.list()) == [] and list(other.batches.list()) == []
    with pytest.raises(openai.NotFoundError):
        other.files.retrieve(mine.input_file_id)
    with pytest.raises(openai.NotFoundError):
        other.batches.retrieve(mine.id)
    with pytest.raises(openai.NotFoundError):
        other.batches.cancel(mine.id)
    theirs = other.batches.create(
        input_file_id=mine.input_file_id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    while theirs.status == "validating":
        theirs = other.batches.retrieve(theirs.id)
    assert theirs.errors and theirs.errors.data and theirs.errors.data[0].param == "file_id"


def test_without_a_known_key_nothing_is_answered(lab: Lab) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        lab.client("wrong").files.create(file=("a", b"x" * 3_000_000), purpose="batch")
    assert caught.value.code == "invalid_api_key"
    with httpx.Client(base_url=lab.url, trust_env=False) as http:
        bare = http.get("/v1/files")
        assert bare.status_code == 401 and set(bare.json()["error"]) == {"message", "type", "param", "code"}
        assert http.get("/_faults").status_code == 401
        assert http.get("/").json()["server"] == "runner"
    with lab.http(TOKENS[1]) as http:
        assert http.get("/_log").status_code == 401


def test_every_answer_has_a_request_id(lab: Lab) -> None:
    with lab.http() as http:
        seen = {http.get(path).headers["x-request-id"] for path in ("/", "/v1/files", "/nowhere", "/v1/files/x")}
        assert len(seen) == 4 and all(one.startswith("req_") and len(one) == 28 for one in seen)
        assert http.get("/nowhere").json()["error"]["code"] == "unknown_url"
        assert http.delete("/v1/batches").status_code == 405


def test_a_foreign_host_name_is_refused(lab: Lab) -> None:
    with lab.http() as http:
        assert http.get("/", headers={"host": "evil.example"}).status_code == 403
        assert http.get("/", headers={"host": "localhost:1"}).status_code == 200
