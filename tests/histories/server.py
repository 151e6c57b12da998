"""`python -m tests.histories.server FOLDER`: the remote, in a process of its own, on a loopback port.

FOLDER gets `port`, `ledger.jsonl`, `calls` (a byte for each request) and `log`. `POST /_manners` changes its ways.
"""

from __future__ import annotations

import json
import random
import re
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.histories.batches import Batch, File, Site
from tests.histories.ledger import Book
from tests.histories.manners import Manners

KEY = "canary-77d1c0"


class Refusal(Exception):
    def __init__(self, status: int, message: str = "no", code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class Lost(Exception):
    """The connection is to be dropped instead of an answer."""


class Remote(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.lock = threading.Lock()
        self.site = Site(Book(folder / "ledger.jsonl"), Manners(), random.Random(seed))
        self.rng = random.Random(seed + 1)
        self.calls = (folder / "calls").open("ab", buffering=0)
        self.words = (folder / "log").open("a", buffering=1)
        threading.Thread(target=self._tick, daemon=True).start()

    def _tick(self) -> None:
        while True:
            time.sleep(0.015)
            with self.lock:
                self.site.tick()

    def say(self, words: str) -> None:
        self.words.write(f"{time.time():.3f} {words}\n")

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that died is a normal day
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Remote
    routes: ClassVar[list[tuple[str, re.Pattern[str], str]]] = [
        ("POST", re.compile(r"/v1/files"), "upload"),
        ("GET", re.compile(r"/v1/files"), "files"),
        ("GET", re.compile(r"/v1/files/([^/]+)"), "file"),
        ("DELETE", re.compile(r"/v1/files/([^/]+)"), "remove"),
        ("GET", re.compile(r"/v1/files/([^/]+)/content"), "content"),
        ("POST", re.compile(r"/v1/batches"), "create"),
        ("GET", re.compile(r"/v1/batches"), "batches"),
        ("GET", re.compile(r"/v1/batches/([^/]+)"), "batch"),
        ("POST", re.compile(r"/v1/batches/([^/]+)/cancel"), "cancel"),
    ]

    def log_message(self, *words: Any) -> None:
        return None

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_DELETE = do_GET

    def _answer(self) -> None:
        self.url = urlsplit(self.path)
        self.asked = {name: values[-1] for name, values in parse_qs(self.url.query).items()}
        self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.url.path == "/_manners":
            with self.server.lock:
                self.server.site.manners = Manners(**json.loads(self.body))
            self._send(200, {})
            return
        self.server.calls.write(b".")
        try:
            status, reply = self._handled()
        except Refusal as refusal:
            self._said(str(refusal.status))
            error = {"message": refusal.message, "type": "x", "param": None, "code": refusal.code}
            self._send(refusal.status, {"error": error})
        except Lost as lost:
            self._said(f"dropped: {lost}")
            self._drop()
        else:
            self._said(f"{status} {_brief(reply)}")
            self._send(status, reply)

    def _handled(self) -> tuple[int, Any]:
        rng, manners = self.server.rng, self.server.site.manners
        if self.headers.get("authorization") != f"Bearer {KEY}":
            raise Refusal(401)
        if manners.slow:
            time.sleep(rng.uniform(0, manners.slow))
        if rng.random() < manners.lost_requests:
            raise Lost("not done")
        if rng.random() < manners.storms:
            raise Refusal(rng.choice((429, 500, 503)), "busy")
        for method, pattern, name in self.routes:
            found = pattern.fullmatch(self.url.path)
            if found and method == self.command:
                reply = getattr(self, f"do_{name}")(*found.groups())
                break
        else:
            raise Refusal(404, f"Unknown request URL: {self.command} {self.url.path}")
        if self.command == "POST" and rng.random() < manners.errors_after:
            raise Refusal(500, "it was done, and then this")
        if rng.random() < manners.lost_replies:
            raise Lost("done")
        return 200, reply

    # -- files

    def do_upload(self) -> Any:
        boundary = re.search(r'boundary="?([^";]+)', self.headers.get("content-type", ""))
        if boundary is None:
            raise Refusal(400, "no form")
        fields: dict[str, tuple[str, bytes]] = {}
        for part in self.body.split(b"--" + boundary[1].encode())[1:-1]:
            head, _, data = part[2:-2].partition(b"\r\n\r\n")
            name = re.search(rb'name="([^"]*)"', head)
            filename = re.search(rb'filename="([^"]*)"', head)
            assert name is not None
            fields[name[1].decode()] = (filename[1].decode() if filename else "", data)
        if fields.get("purpose", ("", b""))[1] != b"batch" or "file" not in fields:
            raise Refusal(400, "purpose and file are needed")
        with self.server.lock:
            return self.server.site.store(*fields["file"], "batch").shown()

    def do_files(self) -> Any:
        manners = self.server.site.manners
        if manners.files_status != 200:
            raise Refusal(manners.files_status, "there is no list of files here")
        with self.server.lock:
            found = [file.shown() for file in self.server.site.files.values()]
        if purpose := self.asked.get("purpose"):
            found = [file for file in found if file["purpose"] == purpose]
        return self._page(found[::-1], 10_000)

    def do_file(self, name: str) -> Any:
        return self._file(name).shown()

    def do_remove(self, name: str) -> Any:
        if not self.server.site.manners.deletes_files:
            raise Refusal(405, "files stay")
        self._file(name)
        with self.server.lock:
            del self.server.site.files[name]
        return {"id": name, "object": "file", "deleted": True}

    def do_content(self, name: str) -> Any:
        file = self._file(name)
        if time.monotonic() < file.missing_until:
            raise Refusal(404, "No content yet")
        return _Content(file)

    def _file(self, name: str) -> File:
        found = self.server.site.files.get(name)
        if found is None:
            raise Refusal(404, f"No such File object: {name}")
        return found

    # -- batches

    def do_create(self) -> Any:
        asked, site, rng = json.loads(self.body), self.server.site, self.server.rng
        if not isinstance(asked.get("input_file_id"), str) or "endpoint" not in asked:
            raise Refusal(400, "input_file_id and endpoint are needed")
        with self.server.lock:
            if rng.random() < site.manners.late:
                site.late.append((time.monotonic() + site.manners.late_seconds, asked))
                raise Lost(f"to be done in {site.manners.late_seconds:.2f} s")
            return site.shown(site.create(asked))

    def do_batches(self) -> Any:
        site, now = self.server.site, time.monotonic()
        if site.manners.list_status != 200:
            raise Refusal(site.manners.list_status, "there is no list here")
        if self.server.rng.random() < site.manners.list_errors:
            raise Refusal(self.server.rng.choice((405, 500)), "no list now")
        with self.server.lock:
            found = [
                site.shown(batch)
                for batch in site.batches.values()
                if not batch.is_hidden(now) and now - batch.made_at >= site.manners.list_lag
            ]
        return self._page(found[::-1], 20)

    def do_batch(self, name: str) -> Any:
        site, now = self.server.site, time.monotonic()
        batch = self._batch(name)
        if not batch.has_ended and self.server.rng.random() < site.manners.flaps:
            batch.hidden.append((now, now + self.server.rng.uniform(0.1, 0.8)))
        if batch.is_hidden(now):
            raise Refusal(404, f"No batch found with id '{name}'.")
        with self.server.lock:
            return site.shown(batch)

    def do_cancel(self, name: str) -> Any:
        batch = self._batch(name)
        if batch.is_hidden(time.monotonic()):
            raise Refusal(404, f"No batch found with id '{name}'.")
        with self.server.lock:
            if batch.status in ("completed", "failed", "expired"):
                raise Refusal(409, f"Cannot cancel a batch with status '{batch.status}'.")
            if batch.status not in ("cancelling", "cancelled"):
                self.server.site.cancel(batch)
            return self.server.site.shown(batch)

    def _batch(self, name: str) -> Batch:
        found = self.server.site.batches.get(name)
        if found is None:
            raise Refusal(404, f"No batch found with id '{name}'.")
        return found

    # -- the wire

    def _page(self, found: list[dict[str, Any]], default: int) -> Any:
        limit = min(int(self.asked.get("limit", default)), self.server.site.manners.page)
        begin = 0
        if after := self.asked.get("after"):
            begin = next((at + 1 for at, one in enumerate(found) if one["id"] == after), -1)
            if begin < 0:
                raise Refusal(400, "unknown `after`")
        page = found[begin : begin + limit]
        ids = [one["id"] for one in page] or [None]
        more = begin + limit < len(found)
        return {"object": "list", "data": page, "first_id": ids[0], "last_id": ids[-1], "has_more": more}

    def _send(self, status: int, reply: Any) -> None:
        if isinstance(reply, _Content):
            self._send_content(reply.file)
            return
        self._head(status, data := json.dumps(reply).encode(), "application/json")
        self.wfile.write(data)

    def _send_content(self, file: File) -> None:
        """A result file; the first few times it may be short, doubled, in another order, or cut on the wire."""
        rng = self.server.rng
        data, keeps = file.data, len(file.data)
        if file.cuts and file.purpose == "batch_output":
            file.cuts -= 1
            lines = data.splitlines(keepends=True)
            match rng.choice(("short", "doubled", "moved")):
                case "short":
                    data = b"".join(lines[: max(len(lines) - rng.choice((1, 1, 3)), 0)])
                    keeps = len(data)
                case "doubled":
                    data = b"".join([*lines[:-1], lines[0]])
                    keeps = len(data)
                case "moved":
                    rng.shuffle(lines)
                    data = b"".join(lines)
                    keeps = rng.randrange(len(data))
            self.server.say(f"     spoilt: {len(data)} of {len(file.data)} bytes, {keeps} sent")
        begin = 0
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", "")):
            begin = int(asked[1])
            if begin >= len(data):
                self._send(416, {})
                return
        more = [("content-range", f"bytes {begin}-{len(data) - 1}/{len(data)}")] if begin else []
        self._head(206 if begin else 200, data[begin:], "application/octet-stream", more)
        self.wfile.write(data[begin:keeps])
        if keeps < len(data):
            self._drop()

    def _head(self, status: int, data: bytes, kind: str, more: list[tuple[str, str]] | None = None) -> None:
        self.send_response_only(status)
        date = formatdate(time.time() + self.server.site.manners.clock, usegmt=True)
        for name, value in (("date", date), ("content-type", kind), ("content-length", str(len(data))), *(more or ())):
            self.send_header(name, value)
        self.end_headers()

    def _drop(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RDWR)

    def _said(self, words: str) -> None:
        self.server.say(f"{self.command} {self.path} {words}")


class _Content:
    def __init__(self, file: File) -> None:
        self.file = file


def _brief(reply: Any) -> str:
    if isinstance(reply, _Content):
        return f"{len(reply.file.data)} bytes"
    if reply.get("object") == "list":
        return f"{len(reply['data'])} of a list"
    return " ".join(str(reply[name]) for name in ("id", "status", "request_counts") if reply.get(name))


def main() -> None:
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    remote = Remote(folder, seed)
    port = folder / "port.new"
    port.write_text(str(remote.server_address[1]))
    port.rename(folder / "port")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    remote.serve_forever(poll_interval=0.05)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    import os

    os._exit(0)


if __name__ == "__main__":
    main()
