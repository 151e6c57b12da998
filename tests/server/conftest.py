"""A real server on a real loopback port, in a thread; and the official SDK as its client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest

from runner.clock import Clock
from runner.server.serve import Options, Service

TOKENS = ("token-a", "token-b")
ENDED = ("completed", "failed", "expired", "cancelled")


def line(custom_id: str, text: str = "hello", *, model: str = "echo", **body: Any) -> dict[str, Any]:
    """One request line."""
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": model, "messages": [{"role": "user", "content": text}], **body},
    }


def jsonl(lines: list[Any]) -> bytes:
    return b"".join(msgspec.json.encode(one) + b"\n" for one in lines)


def lines(count: int, **body: Any) -> bytes:
    return jsonl([line(f"row-{n}", f"question {n}", **body) for n in range(count)])


@dataclass
class Lab:
    """One running server, its clients, and the few things every test does."""

    service: Service
    thread: threading.Thread
    clients: dict[str, openai.OpenAI] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.service.url

    @property
    def base(self) -> str:
        return self.service.url + "/v1"

    def http(self, token: str = TOKENS[0]) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {token}"}, trust_env=False)

    def client(self, token: str = TOKENS[0]) -> openai.OpenAI:
        if token not in self.clients:
            self.clients[token] = openai.OpenAI(base_url=self.base, api_key=token, max_retries=0, timeout=30)
        return self.clients[token]

    def faults(self, **wanted: Any) -> None:
        with self.http() as http:
            http.put("/_faults", json=wanted).raise_for_status()

    def log(self) -> dict[str, Any]:
        with self.http() as http:
            return http.get("/_log").json()

    def upload(self, content: bytes, token: str = TOKENS[0]) -> str:
        return self.client(token).files.create(file=("in.jsonl", content), purpose="batch").id

    def submit(self, content: bytes, endpoint: str = "/v1/chat/completions", **more: Any) -> Any:
        return self.client().batches.create(
            input_file_id=self.upload(content), endpoint=endpoint, completion_window="24h", **more
        )

    def wait(self, batch_id: str, *states: str, seconds: float = 60) -> Any:
        until = time.monotonic() + seconds
        while True:
            batch = self.client().batches.retrieve(batch_id)
            if batch.status in (states or ENDED):
                return batch
            assert time.monotonic() < until, batch
            time.sleep(0.02)

    def wait_for(self, batch_id: str, is_so: Callable[[Any], bool], seconds: float = 60) -> Any:
        until = time.monotonic() + seconds
        while not is_so(batch := self.client().batches.retrieve(batch_id)):
            assert time.monotonic() < until, batch
            time.sleep(0.02)
        return batch

    def rows(self, file_id: str | None) -> list[dict[str, Any]]:
        if not file_id:
            return []
        content = self.client().files.content(file_id).content
        assert content.endswith(b"\n")
        return [msgspec.json.decode(one) for one in content[:-1].split(b"\n")]

    def stop(self) -> None:
        for client in self.clients.values():
            client.close()
        self.service.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


def begin(root: Path, clock: Clock | None = None, **options: Any) -> Lab:
    options = {"models": root / "models", **options}
    service = Service(Options(root=root, tokens=TOKENS, **options), clock)
    ready = threading.Event()
    thread = threading.Thread(target=service.run, args=(ready.set,), daemon=True)
    thread.start()
    assert ready.wait(10)
    return Lab(service, thread)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = begin(tmp_path / "home")
    yield lab
    lab.stop()
