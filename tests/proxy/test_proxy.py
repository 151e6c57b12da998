"""The proxy itself: it changes nothing where no fault is armed, and strikes the request it was told to."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from tests.proxy.faults import FAULTS
from tests.proxy.proxy import Proxy, between


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append(body)  # type: ignore[attr-defined]  # ours
        self.send_response(201, "Made")
        self.send_header("x-host", self.headers["host"])
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with _echo() as server, between(("127.0.0.1", server.server_port), tick=0.001) as made:
        made.seen = server.seen  # type: ignore[attr-defined]  # what reached the server
        yield made


@contextmanager
def _echo() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.seen = []  # type: ignore[attr-defined]  # ours
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def post(proxy: Proxy, *bodies: bytes, path: str = "/things") -> list[tuple[int, str, bytes]]:
    """One request after the other on one connection."""
    connection = http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=5)
    found = []
    try:
        for body in bodies:
            connection.request("POST", path, body)
            reply = connection.getresponse()
            found.append((reply.status, reply.headers.get("x-host", ""), reply.read()))
    finally:
        connection.close()
    return found


def test_what_no_fault_wants_passes_as_it_is(proxy: Proxy) -> None:
    host = urlsplit(proxy.url).netloc
    bodies = [b"", b"one", bytes(range(256)) * 4000]
    assert post(proxy, *bodies) == [(201, host, body) for body in bodies]
    assert proxy.asked == ["POST /things"] * 3
    assert proxy.strayed == 0


def test_a_rule_strikes_its_route_from_the_nth_request_on(proxy: Proxy) -> None:
    rule = proxy.arm(r"^POST /things$", FAULTS["503 before"].strike, times=2, skip=1)
    assert [status for status, _, _ in post(proxy, *[b"x"] * 5)] == [201, 503, 503, 201, 201]
    assert rule.struck == 2
    assert [status for status, _, _ in post(proxy, b"x", path="/others")] == [201]
    assert proxy.count(r"^POST /things$") == 5


@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("reset at head", False),
        ("close at body", False),
        ("reset at unforwarded", False),
        ("close at forwarded", True),
        ("reset at status line", True),
        ("close at reply", True),
        ("garbage", True),
        ("broken chunk", True),
        ("chunk cut", True),
        ("header bomb, one", True),
    ],
)
def test_a_cut_lets_the_effect_happen_or_not(name: str, reached: bool, proxy: Proxy) -> None:
    proxy.arm("things", FAULTS[name].strike)
    with pytest.raises((OSError, http.client.HTTPException)):
        post(proxy, b"x" * 1000)
    assert proxy.seen == ([b"x" * 1000] if reached else [])  # type: ignore[attr-defined]  # set by the fixture


@pytest.mark.parametrize(
    ("name", "reached"),
    [("500 before", False), ("500 after", True), ("html 200 before", False), ("html 200 after", True)],
)
def test_another_answer_comes_before_or_after_the_effect(name: str, reached: bool, proxy: Proxy) -> None:
    proxy.arm("things", FAULTS[name].strike)
    ((status, _, body),) = post(proxy, b"x")
    assert status == int(name.split()[-2] if name.startswith("html") else name.split()[0])
    assert body != b"x"
    assert bool(proxy.seen) is reached  # type: ignore[attr-defined]  # set by the fixture


def test_a_connection_goes_stale_only_when_it_is_used_again(proxy: Proxy) -> None:
    proxy.arm("things", FAULTS["stale keep-alive"].strike, times=None)
    assert [body for _, _, body in post(proxy, b"fresh")] == [b"fresh"]
    with pytest.raises(OSError):
        post(proxy, b"fresh", b"used again")


@pytest.mark.parametrize(
    "name",
    ["until close", "HTTP/1.0", "chunked", "two lengths, equal", "100 continue", "299", "slow head", "reply twice"],
)
def test_harmless_faults_are_whole_to_another_client_as_well(name: str, proxy: Proxy) -> None:
    proxy.arm("things", FAULTS[name].strike)
    ((status, _, body),) = post(proxy, b"whole")
    assert (status < 300, body) == (True, b"whole")
