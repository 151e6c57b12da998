"""What goes out for one recording is what the documents' own examples send, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.remotes.audio import Receipt
from tests.remotes.fireworks_audio.made import SOUND, SUBMITTED, provider_at, recording, spec_of
from tests.remotes.loopback import Request, reply, send, serving
from tests.remotes.making import KEY

# The three examples as their programs put them on the wire (requests 2.34.2 and curl 7.88.1, captured 2026-11-22).
DOCS_PYTHON = (
    b'--BOUND\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-v3\r\n'
    b'--BOUND\r\nContent-Disposition: form-data; name="response_format"\r\n\r\njson\r\n'
    b'--BOUND\r\nContent-Disposition: form-data; name="file"; filename="audio.flac"\r\n'
    b"Content-Type: audio/flac\r\n\r\nfLaC-sound\r\n--BOUND--\r\n"
)
NOTEBOOK = (
    b'--BOUND\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-v3\r\n'
    b'--BOUND\r\nContent-Disposition: form-data; name="response_format"\r\n\r\nverbose_json\r\n'
    b'--BOUND\r\nContent-Disposition: form-data; name="timestamp_granularities"\r\n\r\nword\r\n'
    b'--BOUND\r\nContent-Disposition: form-data; name="diarize"\r\n\r\ntrue\r\n'
    b'--BOUND\r\nContent-Disposition: form-data; name="file"; filename="audio.flac"\r\n\r\nfLaC-sound\r\n--BOUND--\r\n'
)
DOCS_CURL = (
    b'--BOUND\r\nContent-Disposition: form-data; name="file"; filename="audio.flac"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\nfLaC-sound\r\n--BOUND--\r\n"
)
NOTEBOOK_FIELDS = {
    "model": "whisper-v3",
    "response_format": "verbose_json",
    "timestamp_granularities": "word",
    "diarize": "true",
}


def sent(folder: Path, fields: Mapping[str, str] | None = None, spec: Any = None, **provider: Any) -> Request:
    with serving(send(reply(200, SUBMITTED))) as server, provider_at(server.base_url, spec, **provider) as remote:
        assert remote.submit(recording(folder, fields=fields)) == Receipt("b-7c1d", "acme")
    (request,) = server.requests
    return request


def with_plain_boundary(request: Request) -> bytes:
    boundary = request.headers["content-type"].partition("multipart/form-data; boundary=")[2]
    assert boundary
    assert boundary.encode() not in SOUND
    return request.body.replace(boundary.encode(), b"BOUND")


def without_type_of_file(body: bytes) -> bytes:
    """The notebook names no type for the file, and curl knows none for FLAC: the one thing the examples differ in."""
    for line in (b"\r\nContent-Type: audio/flac", b"\r\nContent-Type: application/octet-stream"):
        body = body.replace(line, b"")
    return body


def test_equals_the_python_example_byte_for_byte(tmp_path: Path) -> None:
    assert with_plain_boundary(sent(tmp_path)) == DOCS_PYTHON


@pytest.mark.parametrize(("fields", "example"), [(NOTEBOOK_FIELDS, NOTEBOOK), ({}, DOCS_CURL)])
def test_equals_the_other_examples_but_for_the_type_of_the_file(
    tmp_path: Path, fields: dict[str, str], example: bytes
) -> None:
    body = with_plain_boundary(sent(tmp_path, fields))
    assert without_type_of_file(body) == without_type_of_file(example)


def test_address_and_headers(tmp_path: Path) -> None:
    request = sent(tmp_path)
    assert (request.method, request.path) == ("POST", "/v1/audio/transcriptions?endpoint_id=audio-prod")
    assert request.headers["authorization"] == KEY
    assert int(request.headers["content-length"]) == len(request.body)
    assert "transfer-encoding" not in request.headers
    assert "content-encoding" not in request.headers


def test_one_slash_joins_address_and_path(tmp_path: Path) -> None:
    with serving(send(reply(200, SUBMITTED))) as server:
        base_url = server.base_url.removesuffix("v1")
        assert base_url.endswith("/")
        with provider_at(base_url) as remote:
            for path in ("v1/audio/translations", "/v1/audio/translations"):
                remote.submit(msgspec.structs.replace(recording(tmp_path), path=path, endpoint_id=""))
    assert [request.path for request in server.requests] == ["/v1/audio/translations"] * 2


def test_the_key_may_be_sent_as_bearer(tmp_path: Path) -> None:
    assert sent(tmp_path, spec=spec_of(overrides={"auth_scheme": "bearer"})).headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("filename", "kind", "written"),
    [
        ("a.MP3", "audio/mpeg", b'filename="a.MP3"'),
        ("call", "application/octet-stream", b'filename="call"'),
        ("gr\u00fc\u00dfe 1.wav", "audio/wav", 'filename="gr\u00fc\u00dfe 1.wav"'.encode()),
        ('a"\r\nX: y.ogg', "audio/ogg", b'filename="a%22%0D%0AX: y.ogg"'),
    ],
)
def test_names_of_files(tmp_path: Path, filename: str, kind: str, written: bytes) -> None:
    with serving(send(reply(200, SUBMITTED))) as server, provider_at(server.base_url) as remote:
        remote.submit(msgspec.structs.replace(recording(tmp_path), filename=filename))
    body = server.requests[0].body
    assert b'name="file"; ' + written + b"\r\nContent-Type: " + kind.encode() + b"\r\n\r\n" in body
