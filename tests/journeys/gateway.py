"""A gateway before the server, on a socket of its own: it shows less than the server knows, or something else."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Edit = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class Gateway:
    """What it does to what passes. Everything may be changed while it runs.

    batch, file: how a batch and a file of an answer are shown. refused: status of calls that are not passed on, by
    `METHOD /path`, `*` for any id. lost: such calls that are passed on, and whose answer is not.
    """

    url: str = ""
    batch: Edit = lambda raw: raw
    file: Edit = lambda raw: raw
    refused: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)  # how many more
    kept: set[str] = field(default_factory=set)  # such calls are kept back unanswered, until `deliver`
    before: dict[str, Callable[[], None]] = field(default_factory=dict)  # what happens just before such a call
    calls: list[str] = field(default_factory=list)
    waiting: list[Callable[[], object]] = field(default_factory=list)

    def deliver(self) -> None:
        """Let what was kept back arrive at the server, long after anybody waits for an answer."""
        self.kept.clear()
        while self.waiting:
            self.waiting.pop(0)()


def dropped(*names: str) -> Edit:
    """Shows objects without these fields."""
    return lambda raw: {name: value for name, value in raw.items() if name not in names}


@contextlib.contextmanager
def before(server_url: str) -> Iterator[Gateway]:
    """A gateway before the server at that address; it adds nothing until it is told to."""
    gateway = Gateway()
    host = urlsplit(server_url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            call = _call_of(self.command, self.path)
            gateway.calls.append(call)
            if (event := gateway.before.pop(call, None)) is not None:
                event()
            if call in gateway.refused:
                self._answer(gateway.refused[call], b'{"error": {"message": "not here"}}', "application/json")
                return
            if call in gateway.kept:
                headers = dict(self.headers)
                gateway.waiting.append(lambda: _ask(host, self.command, self.path, body, headers))
                self.close_connection = True
                return
            status, data, kind = _ask(host, self.command, self.path, body, dict(self.headers))
            if gateway.lost.get(call, 0):
                gateway.lost[call] -= 1
                self.close_connection = True
                return
            self._answer(status, _edited(gateway, data) if kind.startswith("application/json") else data, kind)

        def _answer(self, status: int, data: bytes, kind: str) -> None:
            self.send_response(status)
            if status >= 500:
                self.send_header("retry-after-ms", "20")  # as in life, but sooner: it is asked as often
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _pass  # as `http.server` wants them

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    gateway.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield gateway
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _call_of(method: str, path: str) -> str:
    parts = path.partition("?")[0].split("/")
    return f"{method} " + "/".join("*" if part.startswith(("file-", "batch_")) else part for part in parts)


def _ask(host: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
    connection = http.client.HTTPConnection(host, timeout=20)
    try:
        kept = {name: value for name, value in headers.items() if name.lower() not in ("host", "accept-encoding")}
        connection.request(method, path, body or None, kept)
        reply = connection.getresponse()
        return reply.status, reply.read(), reply.headers.get("content-type", "")
    finally:
        connection.close()


def _edited(gateway: Gateway, data: bytes) -> bytes:
    answer = json.loads(data)
    if isinstance(answer, dict) and isinstance(answer.get("data"), list):
        answer["data"] = [_shown(gateway, raw) for raw in answer["data"]]
    elif isinstance(answer, dict):
        answer = _shown(gateway, answer)
    return json.dumps(answer).encode()


def _shown(gateway: Gateway, raw: dict[str, Any]) -> dict[str, Any]:
    match raw.get("object"):
        case "batch":
            return gateway.batch(raw)
        case "file":
            return gateway.file(raw)
        case _:
            return raw
