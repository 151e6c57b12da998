"""Files over a real socket: whole or not at all, resumed where it can be, and never all in memory."""

from __future__ import annotations

import gzip
import random
import re
import resource
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.clock import FastClock
from runner.errors import AuthFailed, NotFound, OutcomeUnknown, Refused, RemoteError
from runner.remotes.transport.content import MultipartForm
from runner.remotes.transport.downloads import STEP
from tests.remotes.loopback import Answer, Request, in_turn, reply, send, serving
from tests.remotes.making import KEY, START, http_at

CONTENT = random.Random(3).randbytes(900_000)
BINARY = {"content-type": "application/octet-stream"}


def store(
    *cuts: int,
    content: bytes = CONTENT,
    ranges: bool = True,
    etag: Callable[[int], str] = lambda request: '"v1"',
) -> Answer:
    """A file store that cuts its first replies after so many bytes, and then serves in full."""
    left = list(cuts)
    served = 0

    def answer(sock: socket.socket, request: Request) -> bool:
        nonlocal served
        served += 1
        headers = {**BINARY, "etag": etag(served)}
        asked = re.match(r"bytes=(\d+)-", request.headers.get("range", ""))
        fresh = request.headers.get("if-range", headers["etag"]) == headers["etag"]
        start = int(asked[1]) if asked and ranges and fresh else 0
        body = content[start:]
        if start:
            headers["content-range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        whole = reply(206 if start else 200, body, headers)
        if not left:
            sock.sendall(whole)
            return True
        head = len(whole) - len(body)
        sock.sendall(whole[: head + left.pop(0)])
        return False

    return answer


def fetched(answer: Answer, to: Path, **more: object) -> tuple[int, list[Request]]:
    with serving(answer) as server, http_at(server.base_url) as http:
        return http.download("/files/f/content", to, **more), server.requests  # type: ignore[arg-type]


def test_a_file_arrives(tmp_path: Path) -> None:
    to = tmp_path / "out.jsonl"
    size, requests = fetched(store(), to)
    assert (size, to.read_bytes()) == (len(CONTENT), CONTENT)
    assert requests[0].headers["accept-encoding"] == "identity"
    assert requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_an_empty_file_arrives(tmp_path: Path) -> None:
    assert fetched(store(content=b""), tmp_path / "out")[0] == 0


def test_a_cut_download_is_resumed(tmp_path: Path) -> None:
    to = tmp_path / "out"
    size, requests = fetched(store(200_000, 300_000), to)
    assert (size, to.read_bytes()) == (len(CONTENT), CONTENT)
    assert [r.headers.get("range") for r in requests] == [None, "bytes=200000-", "bytes=500000-"]
    assert requests[1].headers["if-range"] == '"v1"'


@pytest.mark.parametrize(
    "headers",
    [
        {"content-range": f"bytes {'9' * 5000}-9/10"},
        {"content-range": f"bytes 200000-{'9' * 5000}/{'9' * 5000}"},
        {"content-range": "bytes */900000"},
        {"content-range": "rows 200000-899999/900000"},
        {},
        {"content-range": f"bytes 200000-{len(CONTENT) - 1}/{len(CONTENT)}", "content-encoding": "gzip"},
    ],
)
def test_a_part_that_does_not_say_where_it_belongs_is_not_taken(headers: dict[str, str], tmp_path: Path) -> None:
    part = send(reply(206, gzip.compress(CONTENT[200_000:]), {**BINARY, **headers}))
    size, requests = fetched(in_turn(store(200_000), part, store()), tmp_path / "out")
    assert (size, (tmp_path / "out").read_bytes()) == (len(CONTENT), CONTENT)
    assert [r.headers.get("range") for r in requests] == [None, "bytes=200000-", None]


def test_many_cuts_are_no_failure_while_it_goes_on(tmp_path: Path) -> None:
    to = tmp_path / "out"
    size, requests = fetched(store(*[STEP] * 12), to)
    assert (size, to.read_bytes(), len(requests)) == (len(CONTENT), CONTENT, 13)


def test_a_cut_download_begins_again_without_ranges(tmp_path: Path) -> None:
    to = tmp_path / "out"
    fetched(store(200_000, 100_000, ranges=False), to)
    assert to.read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_begins_again(tmp_path: Path) -> None:
    to = tmp_path / "out"
    fetched(store(200_000, etag=lambda n: f'"v{n}"'), to)
    assert to.read_bytes() == CONTENT


def test_ranges_can_be_switched_off(tmp_path: Path) -> None:
    to = tmp_path / "out"
    _, requests = fetched(store(200_000), to, can_resume=False)
    assert to.read_bytes() == CONTENT
    assert all("range" not in r.headers for r in requests)


def test_a_continuation_at_another_place_is_refused(tmp_path: Path) -> None:
    to = tmp_path / "out"
    wrong = reply(206, b"x" * 50, {**BINARY, "content-range": f"bytes 7-56/{len(CONTENT)}"})
    fetched(in_turn(store(200_000), send(wrong), store()), to)
    assert to.read_bytes() == CONTENT


def test_416_begins_again(tmp_path: Path) -> None:
    to = tmp_path / "out"
    _, requests = fetched(in_turn(store(200_000), send(reply(416, {})), store()), to)
    assert to.read_bytes() == CONTENT
    assert "range" not in requests[2].headers


def test_a_download_that_stays_cut_never_looks_complete(tmp_path: Path) -> None:
    with pytest.raises(OutcomeUnknown):
        fetched(store(*[1000] * 50, ranges=False), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("status", "kind"), [(404, NotFound), (401, AuthFailed), (500, OutcomeUnknown)])
def test_refused_downloads(status: int, kind: type[RemoteError], tmp_path: Path) -> None:
    with pytest.raises(kind):
        fetched(send(reply(status, {"error": {"message": "no"}})), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_file_survives_a_failed_download(tmp_path: Path) -> None:
    to = tmp_path / "out"
    to.write_bytes(b"before")
    with pytest.raises(NotFound):
        fetched(send(reply(404, {})), to)
    assert to.read_bytes() == b"before"


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_bytes(b"keep")
    (tmp_path / "out.part").symlink_to(target)
    fetched(store(), tmp_path / "out")
    assert target.read_bytes() == b"keep"


def test_chunked_bodies(tmp_path: Path) -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nrow\n\r\n0\r\n\r\n"
    assert fetched(send(chunked), tmp_path / "out")[0] == 4


def test_gzip_that_nobody_asked_for_is_decoded(tmp_path: Path) -> None:
    to = tmp_path / "out"
    fetched(send(reply(200, gzip.compress(CONTENT), {**BINARY, "content-encoding": "gzip"})), to)
    assert to.read_bytes() == CONTENT


def test_a_gzip_bomb_is_stopped(tmp_path: Path) -> None:
    bomb = gzip.compress(b"\0" * 200_000_000, 9)
    with pytest.raises(RemoteError, match="was stopped"):
        fetched(send(reply(200, bomb, {**BINARY, "content-encoding": "gzip"})), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="`br`"):
        fetched(send(reply(200, b"x", {**BINARY, "content-encoding": "br"})), tmp_path / "out")


def test_a_byte_cap(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="was stopped"):
        fetched(store(), tmp_path / "out", cap_bytes=100_000)
    assert list(tmp_path.iterdir()) == []


def test_a_stalled_download_ends(tmp_path: Path) -> None:
    import httpx

    clock = FastClock(START)

    class Drip(httpx.SyncByteStream):
        def __iter__(self):  # type: ignore[no-untyped-def]
            while True:
                clock.sleep(50)
                yield b"."

    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Drip()))
    with http_at(transport=transport, clock=clock) as http, pytest.raises(OutcomeUnknown, match="too slowly"):
        http.download("/files/f/content", tmp_path / "out")


# -- uploads


def form_of(source: Path) -> MultipartForm:
    return MultipartForm(source, "in.jsonl", "application/jsonl", {"purpose": "batch"})


def test_an_upload_is_streamed_with_its_length(tmp_path: Path) -> None:
    """300 MB from a sparse file and back, in a few MB of memory."""
    size = 300_000_000
    source = tmp_path / "in.jsonl"
    with source.open("wb") as file:
        file.truncate(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with serving(send(reply(200, {"id": "file-1"}))) as server, http_at(server.base_url) as http:
        assert http.upload("/files", form_of(source)) == {"id": "file-1"}
        request = server.requests[0]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert size < request.size == int(request.headers["content-length"]) < size + 1000
    assert "transfer-encoding" not in request.headers
    assert grown < 60_000  # KiB
    source.unlink()


def test_a_download_is_streamed(tmp_path: Path) -> None:
    size = 200_000_000

    def answer(sock: socket.socket, request: Request) -> bool:
        sock.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n".encode())
        block = b"\0" * 1_000_000
        for _ in range(200):
            sock.sendall(block)
        return True

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert fetched(answer, tmp_path / "out")[0] == size
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KiB
    (tmp_path / "out").unlink()


def test_the_text_fields_stand_before_the_file(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(b'{"custom_id":"r"}\n')
    with serving(send(reply(200, {"id": "file-1"}))) as server, http_at(server.base_url) as http:
        http.upload("/files", form_of(source))
        body = server.requests[0].body
    assert body.index(b'name="purpose"') < body.index(b'name="file"; filename="in.jsonl"')
    assert b"Content-Type: application/jsonl" in body
    assert b'{"custom_id":"r"}\n' in body


def test_an_upload_is_sent_again_only_when_it_had_no_effect(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"{}\n")
    busy, fine = send(reply(429, {}, {"retry-after": "1"})), send(reply(200, {"id": "file-1"}))
    with serving(in_turn(busy, fine)) as server, http_at(server.base_url) as http:
        http.upload("/files", form_of(source))
        assert [b"{}\n" in r.body for r in server.requests] == [True, True]
    with serving(send(reply(500, {}))) as server, http_at(server.base_url) as http:
        with pytest.raises(OutcomeUnknown):
            http.upload("/files", form_of(source))
        assert len(server.requests) == 1


def test_a_server_that_refuses_before_it_read_all(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"x" * 5_000_000)
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, http_at(f"http://127.0.0.1:{listener.getsockname()[1]}/v1") as http:
        import threading

        def refuse() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(1000)
                sock.sendall(reply(413, {"error": {"message": "too large"}}, {"connection": "close"}))
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(1 << 20):
                    pass

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(Refused, match="too large"):
            http.upload("/files", form_of(source))
        thread.join()
