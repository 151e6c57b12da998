"""Anything at all into the loader, the parser of results and the server: typed errors, and nobody falls over."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import string
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.compile.compiled import RowView
from runner.errors import StateError
from runner.job.observed import Phase
from runner.job.packed import KEY_BYTES
from runner.job.wireid import coded
from runner.results.index import build_index
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import merge
from tests.hardening.fuzz import run
from tests.hardening.fuzz_loader import Loader
from tests.hardening.fuzz_worker import fuzzed
from tests.journeys.lab import KEY, Server, serving, until
from tests.results import made

# -- specs


def test_any_spec_ends_in_words() -> None:
    report = fuzzed(Loader, 800, seed=11)
    assert report.failures == []
    assert report.done == 800
    assert report.ended["valid"] + report.ended["valid with jobs"] and report.ended["SpecError"]
    assert len(report.messages) > 200  # they get beyond the first check


@pytest.mark.sweep
@pytest.mark.timeout(3600)
def test_any_of_many_specs_ends_in_words() -> None:
    report = run(Loader, 100_000, seed=12, processes=1)
    assert report.failures == []
    assert report.peak_bytes < 2 * Loader.memory_bytes  # this process has run other tests before


# -- results

ROWS = 4
DIGESTS = [bytes([n]) * 32 for n in range(ROWS)]
KEYS = b"".join(digest[:KEY_BYTES] for digest in DIGESTS)
IDS = [f"r{n}-{coded(digest[:KEY_BYTES])}" for n, digest in enumerate(DIGESTS)]


def answer(number: int) -> bytes:
    body = {"choices": [{"message": {"content": f"answer {number}"}}], "usage": {"prompt_tokens": 3}}
    line = {"custom_id": IDS[number], "response": {"status_code": 200, "body": body}, "error": None}
    return json.dumps(line).encode()


ODD = st.sampled_from(
    [
        b"", b"{}", b"[]", b"null", b'"', b"{", b"NaN", b"\xff\xfe", b"\x00", b"\xef\xbb\xbf", b"1e999", b"\r",
        b'{"custom_id": null}', b'{"custom_id": 7, "response": []}', b'{"custom_id": "x", "response": {"body": null}}',
        b'{"custom_id": "' + IDS[0].encode() + b'", "response": {"status_code": "200", "body": 7}}',
        b'{"custom_id": "' + IDS[1].encode() + b'", "error": "no"}',
        b'{"custom_id": "' + IDS[1].encode() + b'", "error": {"code": {}, "message": [1], "status": "x"}}',
        b'{"custom_id": "' + IDS[2].encode() + b'", "response": {"status_code": 429, "body": {"error": {}}}}',
        b'{"custom_id": "' + IDS[2].encode() + b'", "custom_id": "' + IDS[3].encode() + b'"}',
        b'{"custom_id": "' + IDS[3].encode() + b'", "method": "POST", "url": "/v1/x", "body": {}}',
        b'{"a":' * 5000, b"[" * 100_000, b'{"custom_id": "\\ud800"}', b'"' + b"x" * 70_000 + b'"',
    ]
)  # fmt: skip


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Result lines, some of them changed, in any order, any number of times."""
    made = []
    for _ in range(draw(st.integers(0, 8))):
        data = draw(ODD | st.sampled_from([answer(n) for n in range(ROWS)]))
        if data and draw(st.booleans()):
            at = draw(st.integers(0, len(data) - 1))
            how = draw(st.sampled_from(["flip", "cut", "drop", "insert"]))
            if how == "flip":
                data = data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
            elif how == "cut":
                data = data[:at]
            elif how == "drop":
                data = data[:at] + data[at + draw(st.integers(1, 30)) :]
            else:
                data = data[:at] + draw(st.binary(max_size=8)) + data[at:]
        made.append(data)
    return b"\n".join(made) + draw(st.sampled_from([b"", b"\n", b"\r\n", b"\n\n"]))


def rows_of(count: int) -> list[RowView]:
    return [RowView(f"r{n}", b'{"n":%d}' % n, DIGESTS[n]) for n in range(count)]


def check_results(folder: Path, files: list[bytes], ended: Phase) -> None:
    """Every row has one outcome, and none has another's answer."""
    paths = []
    for number, data in enumerate(files):
        paths.append(folder / f"{number}.jsonl")
        paths[-1].write_bytes(data)
    report = build_index(paths, KEYS, ended=ended)
    assert report.ok + report.final + report.retry + report.lost + report.rejected == ROWS
    assert report.lines <= sum(data.count(b"\n") + 1 for data in files)
    for example in (*report.foreign_examples, *report.unreadable_examples):
        assert example.isprintable()
    source = OutcomeSource(
        index=report.index,
        generation=0,
        batch="batch-1",
        origin="o",
        files=tuple(paths),
        fallback_error=None,
        is_read_back=False,
    )
    output = folder / "out.jsonl"
    with made.writer(output, folder) as writer:
        accounting = merge(rows_of(ROWS), locate(KEYS, [source]), [source], writer)
    assert accounting.ok + accounting.error + accounting.missing == ROWS
    shown = [json.loads(line) for line in output.read_bytes().split(b"\n") if line]
    assert [row["custom_id"] for row in shown] == [f"r{n}" for n in range(ROWS)]
    whole = b"\n".join(files)
    for number, row in enumerate(shown):
        if row["error"] is None and row["answer"] is not None:
            # only lines that name this request may have answered it
            assert IDS[number][-22:].encode() in whole


@settings(max_examples=150)
@given(st.lists(lines(), min_size=1, max_size=3), st.sampled_from([Phase.COMPLETED, Phase.EXPIRED, Phase.FAILED]))
def test_any_lines_give_every_row_one_outcome(
    tmp_path_factory: pytest.TempPathFactory, files: list[bytes], ended: Phase
) -> None:
    folder = tmp_path_factory.getbasetemp() / "results"
    folder.mkdir(exist_ok=True)
    check_results(folder, files, ended)


@pytest.mark.sweep
@pytest.mark.timeout(3600)
def test_any_of_many_lines_give_every_row_one_outcome(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "many-results"
    folder.mkdir(exist_ok=True)

    @settings(max_examples=20_000, deadline=None)
    @given(st.lists(lines(), min_size=1, max_size=3), st.sampled_from([Phase.COMPLETED, Phase.CANCELLED]))
    def check(files: list[bytes], ended: Phase) -> None:
        check_results(folder, files, ended)

    check()


def test_an_index_over_other_lines_shows_none_of_them(tmp_path: Path) -> None:
    """The files changed after they were indexed, at the same size."""
    path = tmp_path / "0.jsonl"
    path.write_bytes(b"\n".join(answer(n) for n in range(ROWS)) + b"\n")
    report = build_index([path], KEYS, ended=Phase.COMPLETED)
    path.write_bytes(b"\n".join(answer(n) for n in reversed(range(ROWS))) + b"\n")
    source = OutcomeSource(
        index=report.index,
        generation=0,
        batch="b",
        origin="o",
        files=(path,),
        fallback_error=None,
        is_read_back=False,
    )
    with pytest.raises(StateError, match="damaged"), made.writer(tmp_path / "out.jsonl", tmp_path) as writer:
        merge(rows_of(ROWS), locate(KEYS, [source]), [source], writer)
    assert not (tmp_path / "out.jsonl").exists()


# -- the server

ROUTES = [
    "/", "/v1/files", "/v1/files/{id}", "/v1/files/{id}/content", "/v1/batches", "/v1/batches/{id}",
    "/v1/batches/{id}/cancel", "/v1/models", "/v1/chat/completions", "/_faults", "/_log",
    "/v1/accounts/acme/datasets", "/v1/accounts/acme/datasets/{id}", "/v1/accounts/acme/datasets/{id}:upload",
    "/v1/accounts/acme/datasets/{id}:getUploadEndpoint", "/v1/accounts/acme/datasets/{id}:getDownloadEndpoint",
    "/v1/accounts/acme/datasets/{id}:validateUpload", "/v1/accounts/acme/batchInferenceJobs",
    "/v1/accounts/acme/batchInferenceJobs/{id}", "/v1/accounts/acme/batchInferenceJobs/{id}:cancel",
    "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/accounts/acme/batch_job/{id}",
    "/storage/{id}", "/storage/a/b?signature={id}&expires=1",
]  # fmt: skip
NAMES = ["x", "..", "%2e%2e%2fetc%2fpasswd", "%00", "a" * 3000, "file-1", "batch_1", "%ff", "a%0d%0aX-Y:%20z", "-", "é"]
FIELDS = [
    "purpose", "input_file_id", "endpoint", "completion_window", "metadata", "datasetId", "dataset", "exampleCount",
    "userUploaded", "model", "inputDatasetId", "outputDatasetId", "inferenceParameters", "filenameToSize", "format",
    "continuedFromJobName", "displayName", "limit", "after", "pageSize", "pageToken", "filter", "custom_id",
]  # fmt: skip


def random_value(rng: random.Random, depth: int = 0) -> Any:
    choices = [
        None,
        True,
        -1,
        0,
        10**30,
        1e308,
        "",
        "24h",
        "batch",
        "../x",
        "\ud800",
        "x" * 5000,
        "\0",
        "/v1/responses",
    ]
    if depth > 3 or rng.random() < 0.6:
        return rng.choice(choices)
    if rng.random() < 0.5:
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(FIELDS): random_value(rng, depth + 1) for _ in range(rng.randrange(5))}


def random_body(rng: random.Random) -> tuple[bytes, str]:
    """A body and what it says it is."""
    match rng.randrange(6):
        case 0:
            return rng.randbytes(rng.randrange(300)), rng.choice(["application/json", "text/plain", "", "multipart/x"])
        case 1 | 2:
            return json.dumps(random_value(rng)).encode(), "application/json"
        case 3:
            return b'{"a":' * rng.choice((10, 100_000)), "application/json"
        case 4:
            return b"[" * rng.choice((10, 200_000)), rng.choice(["application/json", "application/json; charset=utf-7"])
        case _:
            name = rng.choice([*FIELDS, "file", "file", "\0", "a" * 2000])
            data = rng.choice([b"", b"\n", b"{}\n", b"\xff" * 50, b"RIFF\0\0\0\0WAVEfmt ", b'{"custom_id": 1}\n' * 3])
            head = f'--B\r\nContent-Disposition: form-data; name="{name}"; filename="{rng.choice(NAMES)}"\r\n\r\n'
            body = head.encode() + data + rng.choice([b"\r\n--B--\r\n", b"\r\n--B", b"", b"\r\n--B\r\n" * 50])
            return body, f"multipart/form-data; boundary={rng.choice(['B', 'B', 'B', 'C', '', 'x' * 300])}"


def exchange(rng: random.Random, port: int) -> int:
    """One request of any shape; the status, 0 where the connection was closed without one."""
    body, kind = random_body(rng)
    path = rng.choice(ROUTES).replace("{id}", rng.choice(NAMES))
    if rng.random() < 0.3:
        path += "?" + "&".join(f"{rng.choice(FIELDS)}={rng.choice([*NAMES, '-1', '1e9', '99999999999'])}" for _ in "ab")
    headers = {
        "Host": "127.0.0.1",
        "Authorization": f"Bearer {KEY}",
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    if rng.random() < 0.3:
        odd = rng.choice(
            [
                ("Range", "bytes=9999999999999-1"), ("Range", "bytes=a-b"), ("Range", "bytes=0-0,1-1,2-2"),
                ("Authorization", "Basic x"), ("Authorization", KEY), ("Host", "evil.example"), ("Expect", "nothing"),
                ("Accept-Encoding", "gzip;q=9"), ("x-fireworks-gateway", "\xff"), ("Content-Length", "-1"),
                ("Transfer-Encoding", "chunked"), ("Content-Length", "5"), ("Cookie", "a" * 9000),
            ]
        )  # fmt: skip
        headers[odd[0]] = odd[1]
    method = rng.choice(["GET"] * 5 + ["POST"] * 7 + ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW"])
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(head.encode("utf-8", "surrogateescape") + body)
            connection.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(OSError):
            while len(received) < 1 << 20 and (piece := connection.recv(65_536)):
                received += piece
    first = received.split(b"\r\n", 1)[0].split(b" ")
    return int(first[1]) if len(first) > 1 and first[1].isdigit() else 0


def fell_over(log: Path) -> list[str]:
    """Errors that our own code did not foresee; the HTTP library says some of its own about broken requests."""
    traces = log.read_text().split("Traceback (most recent call last):")[1:]
    return [trace[-1500:] for trace in traces if "/runner/server/" in trace.rpartition("File ")[2]]


def check_server(server: Server, count: int, seed: int) -> Counter[int]:
    rng = random.Random(seed)
    port = int(server.url.rpartition(":")[2])
    statuses: Counter[int] = Counter()
    for number in range(count):
        started = time.monotonic()
        status = exchange(rng, port)
        assert status < 500 or status in (501, 505), f"request {number} of seed {seed}: {status}"
        assert time.monotonic() - started < 9, f"request {number} of seed {seed} hung"
        statuses[status] += 1
    assert server.process.poll() is None
    assert server.get("/v1/models")["data"]  # and it still works
    return statuses


def test_any_request_is_answered(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        statuses = check_server(server, 600, seed=21)
    assert fell_over(tmp_path / "server.log") == []
    assert statuses[200] and statuses[400] and statuses[404]
    assert statuses[0] < 150  # those whose length was a lie


@pytest.mark.sweep
@pytest.mark.timeout(3600)
def test_any_of_many_requests_is_answered(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        check_server(server, 30_000, seed=22)
    assert fell_over(tmp_path / "server.log") == []


DEEP = {
    "cut": b'{"a":' * 100_000,
    "whole": b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":%b1%b}'
    % (b'{"a":' * 100_000, b"}" * 100_000),
    "messages": b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"echo","tools":%b%b}}'
    % (b"[" * 5000, b"]" * 5000),
}


@pytest.mark.parametrize("name", DEEP)
def test_a_row_that_is_nested_deeply_ends_its_batch_and_no_other(server: Server, name: str) -> None:
    head = b'--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--B\r\n'
    head += b'Content-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "multipart/form-data; boundary=B"}
    body = head + DEEP[name] + b"\n\r\n--B--\r\n"
    with urllib.request.urlopen(urllib.request.Request(f"{server.url}/v1/files", body, headers), timeout=20) as reply:
        file = json.loads(reply.read())["id"]
    wanted = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = json.loads(server.raw("POST", "/v1/batches", wanted))["id"]
    until(lambda: server.get(f"/v1/batches/{batch}")["status"] in ("failed", "completed"))


def test_one_connection_that_says_nothing_holds_up_nobody(server: Server) -> None:
    port = int(server.url.rpartition(":")[2])
    with contextlib.ExitStack() as held:
        for letter in string.ascii_lowercase * 2:
            connection = held.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", port))))
            connection.sendall(f"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {letter}".encode())
        started = time.monotonic()
        assert server.get("/v1/models")["data"]
        assert time.monotonic() - started < 5
