"""A proxy on a loopback port that does to HTTP what networks and gateways do: byte for byte, at a chosen moment.

It stands between a real client and a real server. A `Fault` is armed for a route and the nth requests to it; whatever
no fault wants is passed on as it is. Raw sockets, because the faults lie below what an HTTP library would let us say.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse

PIECE = 1 << 16
PATIENCE = 60.0  # seconds a socket of ours waits; a client that hangs longer is dropped

Header = tuple[str, str]


class Gone(Exception):
    """The client hung up."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply of the server, decoded from whatever framing it had."""

    status: int
    reason: str
    headers: tuple[Header, ...]  # without those that say how the body is framed
    body: bytes

    def head(self, *more: Header, version: str = "HTTP/1.1") -> bytes:
        lines = [f"{version} {self.status} {self.reason}", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in more), "", ""]).encode("latin-1")

    def sized(self) -> bytes:
        """As it is usually sent."""
        return self.head(("content-length", str(len(self.body)))) + self.body


@dataclass(slots=True)
class Exchange:
    """One request that arrived up to the end of its head, and the means to answer it."""

    sock: socket.socket
    upstream: tuple[str, int]
    elsewhere: str  # an address that nobody may be sent to
    method: str
    target: str
    headers: tuple[Header, ...]
    number: int  # of the request on its connection, from 1
    early: bytes  # of the body, read along with the head
    tick: float  # real seconds that are one second to the client
    body: bytes = b""
    _is_read: bool = False

    @property
    def size(self) -> int:
        return int(self.header("content-length") or 0)

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    def read(self, fraction: float = 1.0) -> bytes:
        """The body, or its beginning."""
        wanted = int(self.size * fraction)
        pieces = [self.early]
        left = wanted - len(self.early)
        while left > 0:
            piece = self.sock.recv(min(left, PIECE))
            if not piece:
                raise Gone
            pieces.append(piece)
            left -= len(piece)
        if fraction == 1.0:
            self.body, self._is_read = b"".join(pieces), True
        return b"".join(pieces)

    def forward(self) -> Reply:
        """Let the request have its effect; the server's reply, which is still ours to send."""
        if not self._is_read:
            self.read()
        kept = [(name, value) for name, value in self.headers if name.lower() not in ("connection", "expect")]
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in kept)]
        head = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")
        with socket.create_connection(self.upstream, timeout=PATIENCE) as server:
            server.sendall(head + self.body)
            reply = HTTPResponse(server, method=self.method)
            reply.begin()
            body = reply.read()
            framing = ("content-length", "transfer-encoding", "connection")
            headers = tuple((name, value) for name, value in reply.getheaders() if name.lower() not in framing)
            return Reply(reply.status, reply.reason, headers, body)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reset(self) -> None:
        """Close so that the client sees `connection reset`."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Close in order, after taking in what the client still sends: unread bytes would turn it into a reset."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
            self.sock.settimeout(0.2)
            while self.sock.recv(PIECE):
                pass
        self.sock.close()


# Does something to one exchange; whether the connection stays open.
Strike = Callable[[Exchange], bool]


@dataclass(slots=True)
class Rule:
    """A strike on the requests to a route, after `skip` of them, `times` times (None: for ever)."""

    route: re.Pattern[str]
    strike: Strike
    times: int | None
    skip: int
    struck: int = 0

    def wants(self, request: str) -> bool:
        if not self.route.search(request) or (self.times is not None and self.struck >= self.times):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.struck += 1
        return True


@dataclass
class Proxy:
    """`asked` lists every request as `METHOD target`, in order of arrival; `strayed` counts who went elsewhere."""

    upstream: tuple[str, int]
    tick: float
    url: str = ""
    elsewhere: str = ""
    asked: list[str] = field(default_factory=list)
    strayed: int = 0
    _rules: list[Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, route: str, strike: Strike, *, times: int | None = 1, skip: int = 0) -> Rule:
        """route: a regular expression over `METHOD target`."""
        rule = Rule(re.compile(route), strike, times, skip)
        with self._lock:
            self._rules.append(rule)
        return rule

    def disarm(self) -> None:
        with self._lock:
            self._rules.clear()

    def count(self, route: str) -> int:
        """Requests to a route so far."""
        with self._lock:
            return sum(bool(re.search(route, request)) for request in self.asked)

    def strike_for(self, request: str) -> Strike | None:
        with self._lock:
            self.asked.append(request)
            return next((rule.strike for rule in self._rules if rule.wants(request)), None)

    def talk(self, sock: socket.socket) -> None:
        """One connection of a client, request by request."""
        rest, number = b"", 0
        with sock, suppress(OSError, Gone, HTTPException):
            sock.settimeout(PATIENCE)
            while head := _head(sock, rest):
                number += 1
                exchange, rest = self._exchange(sock, head, number), b""
                strike = self.strike_for(f"{exchange.method} {exchange.target}")
                if not (strike or _pass_on)(exchange):
                    return
                if exchange.header("connection").lower() == "close":
                    exchange.close()
                    return

    def _exchange(self, sock: socket.socket, head: tuple[bytes, bytes], number: int) -> Exchange:
        first, *lines = head[0].decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        return Exchange(sock, self.upstream, self.elsewhere, method, target, headers, number, head[1], self.tick)


def _pass_on(exchange: Exchange) -> bool:
    exchange.send(exchange.forward().sized())
    return True


def _head(sock: socket.socket, rest: bytes) -> tuple[bytes, bytes] | None:
    """The head of a request without its empty line, and what came of the body along with it."""
    data = rest
    while b"\r\n\r\n" not in data:
        piece = sock.recv(PIECE)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body


@contextmanager
def between(upstream: tuple[str, int], *, tick: float = 1.0) -> Iterator[Proxy]:
    """A proxy before `upstream`. tick: real seconds that are one second to the client."""
    proxy = Proxy(upstream, tick)

    def stray(sock: socket.socket) -> None:
        proxy.strayed += 1
        sock.close()

    with _listening(proxy.talk) as port, _listening(stray) as trap:
        proxy.url, proxy.elsewhere = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{trap}"
        yield proxy


@contextmanager
def _listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port whose connections are each served on a thread; all of them closed at the end."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    open_sockets: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            open_sockets[:] = [*(one for one in open_sockets if one.fileno() >= 0), sock]
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)
        _shut(open_sockets)


def _shut(open_sockets: Sequence[socket.socket]) -> None:
    for sock in open_sockets:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
