"""A remote that never ends: a body, a drip, a list. The command does, says why, and gives the lock back."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.journeys.lab import Lab
from tests.journeys.lab import Server as Embedded
from tests.remotes.loopback import Answer, Request, reply, serving

WAIT_SECONDS = 2
GRACE_SECONDS = 5 + 8  # as `deadline` has it, and a busy machine
BATCH = {
    "id": "batch_1",
    "object": "batch",
    "endpoint": "/v1/chat/completions",
    "input_file_id": "file-1",
    "completion_window": "24h",
    "created_at": int(time.time()),
}
DONE = {
    "status": "completed",
    "output_file_id": "file-out",
    "completed_at": int(time.time()),
    "request_counts": {"total": 3, "completed": 3, "failed": 0},
}
LIST = {"object": "list", "has_more": False}


class Stranger:
    """A batch API with one batch; `hostile` answers what it wants to, by the path."""

    def __init__(self, hostile: dict[str, Answer]) -> None:
        self.hostile = hostile
        self.metadata: object = None

    def __call__(self, sock: socket.socket, request: Request) -> bool:
        path = request.path.partition("?")[0].removeprefix("/v1")
        if f"{request.method} {path}" in self.hostile and self.metadata:
            return self.hostile[f"{request.method} {path}"](sock, request)
        sock.sendall(reply(body=self._ordinary(request, path)))
        return True

    def _ordinary(self, request: Request, path: str) -> object:
        match request.method, path:
            case "POST", "/files":
                return {"id": "file-1", "object": "file", "filename": "x.jsonl", "purpose": "batch", "bytes": 1}
            case "POST", "/batches":
                import json

                self.metadata = json.loads(request.body)["metadata"]
                return {**BATCH, "status": "validating", "metadata": self.metadata}
            case "GET", "/batches":
                return {**LIST, "data": [{**BATCH, **DONE, "metadata": self.metadata}] if self.metadata else []}
            case "GET", "/batches/batch_1":
                return {**BATCH, **DONE, "metadata": self.metadata}
        return {**LIST, "data": []}


@contextmanager
def project(root: Path, hostile: dict[str, Answer]) -> Iterator[Lab]:
    with serving(Stranger(hostile)) as server:
        lab = Lab(root, Embedded(server.base_url.removesuffix("/v1"), root, None))  # type: ignore[arg-type]
        lab.spec()
        lab.rows(3)
        yield lab


def endless(sock: socket.socket, request: Request) -> bool:
    sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n\r\n")
    line = b'{"custom_id": "%s", "response": null}\n' % (b"x" * 900)
    while True:
        sock.sendall(line * 1000)


def dripping(head: bytes, drops: Iterator[bytes]) -> Answer:
    def answer(sock: socket.socket, request: Request) -> bool:
        sock.sendall(head)
        for drop in drops:
            sock.sendall(drop)
            time.sleep(0.05)
        return False

    return answer


def a_file_that_drips() -> dict[str, Answer]:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: 9999\r\n\r\n"
    return {"GET /files/file-out/content": dripping(head, iter(lambda: b"x", b""))}


def an_answer_that_drips() -> dict[str, Answer]:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n"
    slow = dripping(head, iter(lambda: b" ", b""))
    return {"GET /batches": slow, "GET /batches/batch_1": slow}


def new_pages_for_ever() -> dict[str, Answer]:
    numbers = count(2)

    def answer(sock: socket.socket, request: Request) -> bool:
        name = f"batch_{next(numbers)}"
        time.sleep(0.002)
        sock.sendall(reply(body={"object": "list", "data": [{**BATCH, "id": name}], "last_id": name, "has_more": True}))
        return True

    return {"GET /batches": answer}


@pytest.mark.parametrize("hostile", [a_file_that_drips, an_answer_that_drips, new_pages_for_ever])
def test_what_never_ends_ends_with_wait_and_gives_the_lock_back(
    tmp_path: Path, hostile: Callable[[], dict[str, Answer]]
) -> None:
    with project(tmp_path, hostile()) as lab:
        assert lab.run("apply", "specs/", "-y", "--no-wait", code=None).returncode == 3
        began = time.monotonic()
        done = lab.run("apply", "specs/", "-y", "--poll", "0.05", "--wait", f"{WAIT_SECONDS}s", code=None)
        took = time.monotonic() - began
        assert done.returncode in (1, 3), done.stderr
        assert WAIT_SECONDS <= took < WAIT_SECONDS + GRACE_SECONDS
        assert "the time of this command is over" in done.stderr + done.stdout
        assert lab.run("retry", "answers").returncode == 0  # it takes the lock


def test_a_body_without_end_is_stopped_at_what_the_rows_can_take(tmp_path: Path) -> None:
    with project(tmp_path, {"GET /files/file-out/content": endless}) as lab:
        lab.run("apply", "specs/", "-y", "--no-wait", code=None)
        done = lab.run("apply", "specs/", "-y", "--poll", "0.05", code=1)
        assert "and was stopped" in done.stderr
        size = int(done.stderr.split("grew to ")[1].split(" bytes")[0].replace(",", ""))
        assert 16_000_000 < size < 24_000_000
        assert not list((tmp_path / ".runner").rglob("*.part"))
