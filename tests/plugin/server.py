"""A pigeonhole on a real socket of this machine, with what goes wrong on the way to one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hole:
    name: str
    slips: list[dict[str, Any]]
    made: datetime
    state: str = "filling"

    def shown(self) -> dict[str, Any]:
        answered = len(self.slips) if self.state == "full" else 0
        made = self.made.isoformat()
        return {"hole": self.name, "state": self.state, "slips": len(self.slips), "answered": answered, "made": made}

    def lines(self) -> bytes:
        """Every slip, the last one first: they come in no order."""
        return b"".join(json.dumps(_answered(slip)).encode() + b"\n" for slip in reversed(self.slips))


def _answered(slip: dict[str, Any]) -> dict[str, Any]:
    asked = slip["ask"]["messages"][-1]["content"]
    if "bad" in asked:
        return {"slip": slip["slip"], "fault": ["invalid_ask", "the pigeon cannot read it", 400]}
    return {"slip": slip["slip"], "said": {"words": asked.upper(), "why": "done", "spent": [3, 2]}}


@dataclass
class Pigeonhole:
    """What it holds, newest first.

    next_creates: `lose reply` (it takes effect), `hang up` (it has none), `busy`; then as usual.
    """

    url: str = ""
    holes: list[Hole] = field(default_factory=list)
    next_creates: list[str] = field(default_factory=list)
    creates: int = 0  # that arrived
    unheard: list[list[dict[str, Any]]] = field(default_factory=list)  # the slips of creates that hung up
    stops: list[str] = field(default_factory=list)
    fills: bool = True  # a hole is full once it was seen
    cuts: int = 0  # so many times, all that comes of the lines is the beginning of the first

    def put(self, slips: list[dict[str, Any]]) -> Hole:
        hole = Hole(f"h{len(self.holes) + 1}", slips, datetime.now(UTC))
        self.holes.insert(0, hole)
        return hole

    def asked(self) -> list[str]:
        """The ids of all slips, of all holes."""
        return [slip["slip"] for hole in self.holes for slip in hole.slips]

    def create(self, body: bytes) -> tuple[int, Any] | None:
        """Status and answer; None where nobody is to hear anything."""
        self.creates += 1
        how = self.next_creates.pop(0) if self.next_creates else ""
        if how == "hang up":
            self.unheard.append(json.loads(body)["slips"])
            return None
        if how == "busy":
            return 429, {"error": {"message": "no hole is free", "code": "busy"}}
        hole = self.put(json.loads(body)["slips"])
        return None if how == "lose reply" else (200, hole.shown())

    def _fill(self, holes: list[Hole]) -> None:
        for hole in holes:
            if self.fills and hole.state == "filling":
                hole.state = "full"

    def get(self, path: str) -> tuple[int, Any]:
        if path == "/holes":
            shown = [hole.shown() for hole in self.holes]
            self._fill(self.holes)
            return 200, shown
        name, _, rest = path.removeprefix("/holes/").partition("/")
        hole = next((hole for hole in self.holes if hole.name == name), None)
        if hole is None:
            return 404, {"error": "there is no such hole"}
        self._fill([hole])
        if rest != "slips":
            return 200, hole.shown()
        self.cuts -= 1
        return 200, hole.lines() if self.cuts < 0 else hole.lines()[: 12 + self.cuts]


@contextmanager
def serving() -> Iterator[Pigeonhole]:
    remote = Pigeonhole()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.path == "/holes":
                self._say(remote.create(body))
            else:
                name = self.path.split("/")[2]
                remote.stops.append(name)
                hole = next(hole for hole in remote.holes if hole.name == name)
                hole.state = "stopped"
                self._say((200, hole.shown()))

        def do_GET(self) -> None:
            self._say(remote.get(self.path))

        def _say(self, answer: tuple[int, Any] | None) -> None:
            self.close_connection = answer is None
            if answer is None:
                return
            status, body = answer
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words: Any) -> None:
            """It is quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    remote.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield remote
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
