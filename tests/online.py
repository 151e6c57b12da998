"""A server like vLLM on a loopback port: chat completions and nothing else, with faults at will; it counts all it sees.

It speaks HTTP/1.1 by itself, with kept connections, so that what it counts is what was on the wire.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Reply = tuple[int, Mapping[str, str], bytes]  # status, headers, body
LOST = (0, {}, b"")  # it works, and its reply never comes
Fault = Callable[["OnlineServer", str, int], Reply | None]  # of a prompt, asked for the n-th time; None: an answer


@dataclass
class Seen:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    at: float  # monotonic

    @property
    def prompt(self) -> str:
        return str(self.body["messages"][-1]["content"])


@dataclass
class OnlineServer:
    url: str = ""
    fault: Fault = lambda server, prompt, times: None
    seconds: float = 0.0  # that an answer takes
    seen: list[Seen] = field(default_factory=list)
    times: Counter[str] = field(default_factory=Counter)  # how often each prompt was asked
    answered: Counter[str] = field(default_factory=Counter)  # how often it was worked at, heard or not
    connections: int = 0
    open_now: int = 0
    most_open: int = 0  # connections at once
    busy: int = 0
    most_busy: int = 0  # requests at once
    lock: threading.Lock = field(default_factory=threading.Lock)

    def paths(self) -> set[str]:
        return {one.path for one in self.seen}

    def reply_to(self, one: Seen) -> Reply:
        with self.lock:
            self.seen.append(one)
            self.times[one.prompt] += 1
            times = self.times[one.prompt]
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        try:
            if self.seconds:
                time.sleep(self.seconds)
            if not one.path.endswith("/chat/completions"):
                return 404, {}, b'{"error":{"message":"Not Found","code":404}}'
            fault = self.fault(self, one.prompt, times)
            if fault is not None and fault is not LOST:
                return fault
            with self.lock:
                self.answered[one.prompt] += 1
            return fault or (200, {}, answer_to(one))
        finally:
            with self.lock:
                self.busy -= 1


def answer_to(one: Seen) -> bytes:
    text = f"You said: {one.prompt}"
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    about = {"id": "chatcmpl-1", "object": "chat.completion", "model": one.body.get("model")}
    return json.dumps({**about, "choices": [choice], "usage": usage}).encode()


def error(status: int, message: str, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, json.dumps({"error": {"message": message, "code": None}}).encode()


@contextmanager
def serving(port: int = 0, **how: Any) -> Iterator[OnlineServer]:
    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    server = OnlineServer(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", **how)
    open_sockets: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            open_sockets.append(sock)
            threading.Thread(target=_talk, args=(sock, server), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for sock in open_sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def _talk(sock: socket.socket, server: OnlineServer) -> None:
    with server.lock:
        server.connections += 1
        server.open_now += 1
        server.most_open = max(server.most_open, server.open_now)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        with sock, sock.makefile("rb") as stream, suppress(OSError, ValueError):
            while (one := _read(stream)) is not None:
                status, headers, body = server.reply_to(one)
                if not status:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                lines = {"content-type": "application/json", "content-length": str(len(body)), **headers}
                head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
                sock.sendall(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body)
    finally:
        with server.lock:
            server.open_now -= 1


def _read(stream: Any) -> Seen | None:
    first = stream.readline()
    if not first:
        return None
    headers: dict[str, str] = {}
    while (line := stream.readline().decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    size = int(headers.get("content-length", 0))
    body = stream.read(size)
    if not size or len(body) < size:  # whoever sent it was killed
        return None
    return Seen(first.split()[1].decode(), headers, json.loads(body), time.monotonic())


def main() -> None:
    """A server in a process of its own: prints its address, and serves until its input ends."""
    with serving(seconds=float(sys.argv[1])) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
