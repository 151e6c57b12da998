"""A look-alike on a real socket, in the test's own process, whose batches live exactly as the test says.

It keeps what it was asked: every create with its rows, every poll. What it answers is the usual, unless a test puts
something else under a route.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from tests.journeys.lab import Lab
from tests.remotes.loopback import Request, reply, serving

Raw = dict[str, Any]
Life = Callable[[Raw, int], Mapping[str, Any]]  # a batch, and how often it was asked about: what is different now


def running(batch: Raw, polls: int) -> Mapping[str, Any]:
    """It goes on for ever."""
    return {"status": "in_progress"}


@dataclass
class LookAlike:
    """Its batches in the order of their creates; `life` says what each becomes, `on` what a route answers instead.

    skew: of its clock against ours, in its `Date`s and in all the times it tells.
    """

    url: str = ""
    life: Life = running
    skew: timedelta = timedelta()
    lists: bool = True  # what it has; else its list is empty
    hidden: set[str] = field(default_factory=set)  # batches that answer 404, and that no list shows
    files: dict[str, bytes] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)  # of them
    names: dict[str, str] = field(default_factory=dict)  # of the files
    created: dict[str, Raw] = field(default_factory=dict)
    polls: dict[str, int] = field(default_factory=dict)
    on: dict[str, Callable[[Request], bytes | None]] = field(default_factory=dict)  # `GET /batches/batch_1`
    asked: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    # -- what a test asks

    def now(self) -> int:
        return int((datetime.now(UTC) + self.skew).timestamp())

    @property
    def sent(self) -> list[list[str]]:
        """The user's ids of the rows of every batch, in the order of their creates."""
        return [self.rows_of(batch) for batch in self.created.values()]

    @property
    def kept(self) -> list[str]:
        """The files that a client can still have."""
        return [ref for ref in self.files if ref not in self.deleted]

    def rows_of(self, batch: Raw) -> list[str]:
        return [one[:-23] for one in self.ids_of(batch)]

    def ids_of(self, batch: Raw) -> list[str]:
        return [json.loads(line)["custom_id"] for line in self.files[batch["input_file_id"]].splitlines()]

    def answered(self, batch: Raw, *, only: int | None = None) -> str:
        """A file with an answer to each row of a batch, or to the first few; its id."""
        choice = {"message": {"role": "assistant", "content": f"from {batch['id']}"}, "finish_reason": "stop"}
        body = {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
        lines = [
            json.dumps({"custom_id": one, "response": {"status_code": 200, "body": body}, "error": None})
            for one in self.ids_of(batch)[:only]
        ]
        return self.file(f"{batch['id']}-output", lines)

    def failed(self, batch: Raw, code: str = "server_error", status: int = 500, skip: int = 0) -> str:
        """A file with an error for each row of a batch but the first few; its id."""
        body = {"error": {"code": code, "message": f"refused by {batch['id']}"}}
        lines = [
            json.dumps({"custom_id": one, "response": {"status_code": status, "body": body}, "error": None})
            for one in self.ids_of(batch)[skip:]
        ]
        return self.file(f"{batch['id']}-error", lines)

    def file(self, name: str, lines: list[str]) -> str:
        self.files[name] = b"".join(line.encode() + b"\n" for line in lines)
        return name

    def completed(self, batch: Raw, polls: int = 0) -> Mapping[str, Any]:
        """A life that is over, with an answer to every row."""
        rows = len(self.ids_of(batch))
        return {
            "status": "completed",
            "output_file_id": self.answered(batch),
            "completed_at": self.now(),
            "request_counts": {"total": rows, "completed": rows, "failed": 0},
        }

    # -- what a client asks

    def answer(self, sock: socket.socket, request: Request) -> bool:
        with self.lock:
            path, _, query = request.path.removeprefix("/v1").partition("?")
            route = f"{request.method} {path}"
            self.asked.append(route)
            data = self.on[route](request) if route in self.on else None
            sock.sendall(data or self._usual(request, path, query))
        return True

    def reply(self, status: int = 200, body: object = None, **headers: str) -> bytes:
        date = format_datetime(datetime.now(UTC) + self.skew, usegmt=True)
        return reply(status, body, {"date": date, **headers})

    def refuse(self, status: int, message: str = "no", **headers: str) -> Callable[[Request], bytes]:
        """For `on`: the same refusal every time."""
        return lambda request: self.reply(status, {"error": {"message": message}}, **headers)

    def _usual(self, request: Request, path: str, query: str) -> bytes:
        match request.method, path.split("/")[1:]:
            case "POST", ["files"]:
                return self._upload(request)
            case "GET", ["files"]:
                return self.reply(
                    200, {"object": "list", "data": [self._file(ref) for ref in self.kept], "has_more": False}
                )
            case "GET", ["files", ref] if ref in self.files.keys() - self.deleted:
                return self.reply(200, self._file(ref))
            case "DELETE", ["files", ref] if ref in self.files.keys() - self.deleted:
                self.deleted.add(ref)
                return self.reply(200, {"id": ref, "object": "file", "deleted": True})
            case "GET", ["files", ref, "content"] if ref in self.files.keys() - self.deleted:
                return self.reply(200, self.files[ref])
            case "POST", ["batches"]:
                return self._create(json.loads(request.body))
            case "GET", ["batches"]:
                there = [one for one in self.created.values() if one["id"] not in self.hidden] if self.lists else []
                shown = [self._shown(one) for one in reversed(there)]
                return self.reply(200, {"object": "list", "data": shown, "has_more": False})
            case "GET", ["batches", ref] if ref in self.created.keys() - self.hidden:
                self.polls[ref] += 1
                return self.reply(200, self._shown(self.created[ref]))
            case "POST", ["batches", ref, "cancel"] if ref in self.created:
                self.created[ref]["status"] = "cancelling"
                return self.reply(200, self.created[ref])
            case _:
                return self.reply(404, {"error": {"message": f"no {path}"}})

    def _shown(self, batch: Raw) -> Raw:
        return {**batch, **self.life(batch, self.polls[batch["id"]])}

    def _file(self, ref: str) -> Raw:
        size, name = len(self.files[ref]), self.names.get(ref, ref)
        return {"id": ref, "object": "file", "bytes": size, "created_at": self.now(), "filename": name,
                "purpose": "batch", "status": "processed"}  # fmt: skip

    def _upload(self, request: Request) -> bytes:
        _, _, rest = request.body.partition(b'filename="')
        name, _, rest = rest.partition(b'"')
        content = rest.partition(b"\r\n\r\n")[2]
        ref = f"file-{len(self.names) + 1}"
        self.files[ref] = content[: content.rindex(b"\r\n--")]
        self.names[ref] = name.decode()
        return self.reply(200, self._file(ref))

    def _create(self, body: Raw) -> bytes:
        name = f"batch_{len(self.created) + 1}"
        self.polls[name] = 0
        self.created[name] = {
            "id": name,
            "object": "batch",
            "status": "validating",
            "created_at": self.now(),
            "expires_at": self.now() + 86_400,
            "output_file_id": None,
            "error_file_id": None,
            "completed_at": None,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            **body,
        }
        return self.reply(200, self.created[name])


@contextmanager
def looking_alike(**how: Any) -> Iterator[LookAlike]:
    """A look-alike that answers on a loopback port."""
    remote = LookAlike(**how)
    with serving(remote.answer) as server:
        remote.url = server.base_url.removesuffix("/v1")
        yield remote


SPEC = """\
project: lab
models:
  m: {{provider: lab, name: m, params: {{max_tokens: 16}}}}
datasets:
  rows: {{files: data/rows.csv, id: id}}
prompts:
  ask: {{user: "Say {{{{ word }}}}"}}
jobs:
  answers: {{dataset: rows, prompt: ask, model: m, output: results/answers.jsonl}}
providers:
  lab:
    kind: openai
    base_url: {url}
    api_key_env: LAB_KEY
    overrides: {{settle_s: 0.1, min_poll_s: 0.05, max_poll_s: 0.1{more}}}
"""


def lab_at(folder: Path, remote: LookAlike, rows: int = 2, *, spec: str = SPEC, more: str = "") -> Lab:
    """A project of so many rows in `folder`, whose provider is the look-alike. more: overrides."""
    made = Lab(folder / "project", remote)  # type: ignore[arg-type]  # of a server a lab needs its URL alone
    made.spec(spec, more=more)
    made.rows(rows)
    return made


def record_of(root: Path) -> list[Raw]:
    """The batches on record in a project's folder, as documents, oldest first."""
    from runner.state.disk import DiskStore

    store = DiskStore(root / ".runner" / "state")
    try:
        return sorted((dict(document) for _, document in store.read().below("batch/")), key=lambda one: one["sequence"])
    finally:
        store.close()
