"""Two gigabytes of pictures through a client that stays small, to a remote that only counts what it is sent."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.data import pictures
from tests.journeys.lab import RUNNER, Lab, Server
from tests.journeys.test_pictures import LOOK, album

MOST_MB = 150  # of the client, whatever there is to send
MOST_ONLINE_MB = 205  # with eight connections: of each a line and its body
MORE_MB = 16  # what ten times as many pictures may take more


class Counting(ThreadingHTTPServer):
    """A look-alike that forgets what it takes: files are read from the socket and counted, batches never end."""

    daemon_threads = True
    received = 0
    created: list[dict[str, Any]]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.created = []


class _Answering(BaseHTTPRequestHandler):
    server: Counting
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        kept = b""
        while left and (piece := self.rfile.read1(min(left, 1 << 20))):
            left -= len(piece)
            kept = kept or piece
            self.server.received += len(piece)
        if self.path.endswith("/files"):
            self._reply({"id": f"file-{time.monotonic_ns()}", "object": "file", "bytes": 1, "status": "processed"})
            return
        if self.path.endswith("/chat/completions"):
            said = {"index": 0, "message": {"role": "assistant", "content": "a cat"}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
            self._reply({"id": "x", "object": "chat.completion", "model": "echo", "choices": [said], "usage": usage})
            return
        asked = json.loads(kept)
        number = len(self.server.created)
        batch = {
            **asked,
            "id": f"batch_{number}",
            "object": "batch",
            "status": "in_progress",
            "created_at": time.time(),
        }
        self.server.created.append({**batch, "request_counts": {"total": 1, "completed": 0, "failed": 0}})
        self._reply(self.server.created[-1])

    def do_GET(self) -> None:
        self._reply({"object": "list", "data": self.server.created[::-1], "has_more": False})

    def _reply(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def remote() -> Iterator[Counting]:
    with Counting() as remote:
        thread = threading.Thread(target=remote.serve_forever, daemon=True)
        thread.start()
        yield remote
        remote.shutdown()


def peak_mb(
    remote: Counting,
    root: Path,
    number: int,
    size_bytes: int,
    *,
    spec: str = LOOK,
    ends: Sequence[str] = ("--no-wait",),
) -> float:
    """The most memory that a client has while it sends so many pictures of this size."""
    root.mkdir()
    lab = Lab(root, Server(f"http://127.0.0.1:{remote.server_port}", root, None))  # type: ignore[arg-type]
    lab.spec(spec)
    (root / "pictures").mkdir()
    names = [f"pictures/{n}.png" for n in range(number)]
    for n, name in enumerate(names):
        with open(root / name, "wb") as file:
            file.write(pictures.png(8, 8, seed=n))
            file.truncate(size_bytes)
    album(lab, names)
    remote.received = 0
    command = [sys.executable, "-c", _MEASURE, *RUNNER, "apply", "specs/", "-y", *ends]
    done = subprocess.run(command, cwd=root, env=lab.environ(), capture_output=True, text=True, check=False)
    assert done.returncode == (3 if ends else 0), done.stderr
    assert remote.received > number * (size_bytes // 3 * 4), "every picture was sent, as base64"
    return int(done.stdout.splitlines()[-1]) / 1024


# A process of its own, which is small: what a child took counts the memory of the one that it was forked from.
_MEASURE = """
import os, resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def test_memory_is_flat_in_the_number_of_pictures(remote: Counting, tmp_path: Path) -> None:
    """Three seconds: it reads, encodes and sends some megabytes, twice."""
    few = peak_mb(remote, tmp_path / "few", 1, 5_000_000)
    many = peak_mb(remote, tmp_path / "many", 12, 5_000_000)
    print(f"\npeak of 5 MB of pictures {few:.0f} MiB, of 60 MB {many:.0f} MiB")
    assert many < few + MORE_MB
    assert many < MOST_MB


def test_one_by_one_a_connection_holds_its_own_picture(remote: Counting, tmp_path: Path) -> None:
    """Two seconds: eight connections, each with 7 MB of base64 on its way."""
    online = LOOK.replace("    output:", "    transport: online\n    output:")
    found = peak_mb(remote, tmp_path / "online", 16, 5_000_000, spec=online, ends=())
    print(f"\npeak of 80 MB of pictures, one by one {found:.0f} MiB")
    assert found < MOST_ONLINE_MB


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_two_gigabytes_of_pictures(remote: Counting, tmp_path: Path) -> None:
    found = peak_mb(remote, tmp_path / "p", 200, 10_000_000)
    print(f"\n2 GB of pictures: peak {found:.0f} MiB, {remote.received:,} bytes in {len(remote.created)} batches")
    assert found < MOST_MB
