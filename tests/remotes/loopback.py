"""A socket server on a loopback port that answers byte for byte what a test wants, and counts what it was sent."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec


@dataclass
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    size: int
    body: bytes  # its first MiB
    connection: int


@dataclass
class Server:
    base_url: str
    requests: list[Request] = field(default_factory=list)
    connections: int = 0


# Answers one request on the socket; False closes the connection.
Answer = Callable[[socket.socket, Request], bool]


def reply(status: int = 200, body: object = None, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole HTTP/1.1 reply; what is not bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    lines = {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}
    head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{key}: {value}\r\n" for key, value in lines.items())
    return head.encode() + b"\r\n" + data


def send(data: bytes, keep: bool = True) -> Answer:
    def answer(sock: socket.socket, request: Request) -> bool:
        sock.sendall(data)
        return keep

    return answer


def reset(sock: socket.socket, request: Request) -> bool:
    """Close with RST, so that the client sees `connection reset`."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def hang_up(sock: socket.socket, request: Request) -> bool:
    return False


def in_turn(*answers: Answer) -> Answer:
    """Each request gets the next answer; the last one stays."""
    left = list(answers)

    def answer(sock: socket.socket, request: Request) -> bool:
        return (left.pop(0) if len(left) > 1 else left[0])(sock, request)

    return answer


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
    open_sockets: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            open_sockets.append(sock)
            server.connections += 1
            thread = threading.Thread(target=_talk, args=(sock, answer, server, server.connections), daemon=True)
            threads.append(thread)
            thread.start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)
        for sock in open_sockets:
            _stop(sock)
        for thread in threads:
            thread.join(5)


def _stop(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def _talk(sock: socket.socket, answer: Answer, server: Server, number: int) -> None:
    with sock, sock.makefile("rb") as stream:
        try:
            while True:
                request = _read(stream, number)
                if request is None:
                    return
                server.requests.append(request)
                if not answer(sock, request):
                    return
        except OSError:
            return


def _read(stream: Any, number: int) -> Request | None:
    first = stream.readline().decode("latin-1").split()
    if len(first) < 2:
        return None
    headers = {}
    while line := stream.readline().strip().decode("latin-1"):
        key, _, value = line.partition(":")
        headers[key.lower()] = value.strip()
    left, size, body = int(headers.get("content-length", 0)), 0, b""
    while left and (chunk := stream.read(min(left, 1 << 20))):
        left, size = left - len(chunk), size + len(chunk)
        body = body or chunk
    return Request(first[0], first[1], headers, size, body, number)
