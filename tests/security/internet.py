"""An internet of our own on loopback ports: hosts by name, TLS with an authority that is made up, and the proxy to it.

A real CONNECT proxy on a socket leads every name to one TLS server, which shows the certificate of the name it was
asked for, writes down all it is sent, and lets each site answer.
"""

from __future__ import annotations

import http.client
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trustme


@dataclass
class Seen:
    """One request as it arrived."""

    host: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def holds(self, secret: str) -> bool:
        return any(secret in text for text in (self.path, *self.headers.values())) or secret.encode() in self.body


class Answer:
    def __init__(self, status: int = 200, body: bytes = b"{}", **headers: str) -> None:
        self.status, self.body = status, body
        self.headers = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}


Site = Callable[[Seen], Answer]


def nothing(seen: Seen) -> Answer:
    return Answer(404)


def forwarding(url: str, key: str) -> Site:
    """A site that is really the server at `url`, which knows another key."""

    def answer(seen: Seen) -> Answer:
        parts = urlsplit(url)
        assert parts.hostname is not None
        there = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        try:
            kept = {k: v for k, v in seen.headers.items() if k in ("content-type", "range", "if-range")}
            there.request(seen.method, seen.path, seen.body or None, {**kept, "Authorization": f"Bearer {key}"})
            reply = there.getresponse()
            body = reply.read()
            passed = {
                k.lower(): v for k, v in reply.getheaders() if k.lower() in ("content-type", "etag", "retry-after")
            }
            return Answer(reply.status, body, **{k.replace("-", "_"): v for k, v in passed.items()})
        finally:
            there.close()

    return answer


@dataclass
class Internet:
    proxy: str
    authority: Path  # a PEM file
    sites: dict[str, Site] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    connects: list[str] = field(default_factory=list)  # `host:port`, as the proxy was asked for them
    proxy_answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n"

    def environ(self) -> dict[str, str]:
        return {"HTTPS_PROXY": self.proxy, "SSL_CERT_FILE": str(self.authority)}

    def hosts_that_saw(self, secret: str) -> set[str]:
        return {seen.host for seen in self.seen if seen.holds(secret)}

    def at(self, host: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.host == host]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is none of our business."""


@contextmanager
def internet(folder: Path) -> Iterator[Internet]:
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    with _listening(_site_handler) as sites, _listening(_proxy_handler) as proxy:
        about = Internet(f"http://127.0.0.1:{proxy.server_address[1]}", folder / "authority.pem")
        sites.about = proxy.about = about  # type: ignore[attr-defined]
        sites.tls = _by_name(authority)  # type: ignore[attr-defined]
        proxy.upstream = sites.server_address  # type: ignore[attr-defined]
        yield about


@contextmanager
def _listening(handler: Any) -> Iterator[_Server]:
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _by_name(authority: Any) -> ssl.SSLContext:
    known: dict[str, ssl.SSLContext] = {}

    def choose(sock: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext) -> None:
        if name not in known:
            known[name or ""] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(name or "unnamed.example").configure_cert(known[name or ""])
        sock.context = known[name or ""]

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("unnamed.example").configure_cert(context)
    context.sni_callback = choose  # type: ignore[assignment]
    return context


@dataclass
class Seeing:
    """One site over plain http."""

    port: int
    seen: list[Seen] = field(default_factory=list)


@contextmanager
def listening(site: Site) -> Iterator[Seeing]:
    """A site at a port of 127.0.0.1, without TLS."""

    class Handler(_site_handler):
        def setup(self) -> None:
            socketserver.StreamRequestHandler.setup(self)

        def site(self, seen: Seen) -> Site:
            about.seen.append(seen)
            return site

    with _listening(Handler) as server:
        about = Seeing(server.server_address[1])
        yield about


class _proxy_handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        first = self.rfile.readline().decode("latin-1").split()
        while self.rfile.readline().strip():
            pass
        about: Internet = self.server.about  # type: ignore[attr-defined]
        about.connects.append(first[1] if first[:1] == ["CONNECT"] else " ".join(first))
        self.wfile.write(about.proxy_answer)
        self.wfile.flush()
        if b" 200 " not in about.proxy_answer:
            return
        with socket.create_connection(self.server.upstream) as there:  # type: ignore[attr-defined]
            back = threading.Thread(target=_pipe, args=(there, self.connection), daemon=True)
            back.start()
            _pipe(self.connection, there)
            back.join(5)


def _pipe(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data)
    with suppress(OSError):
        to.shutdown(socket.SHUT_WR)


class _site_handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        self.request.settimeout(30)
        try:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)  # type: ignore[attr-defined]
        except OSError:
            self.request.close()
            raise
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def site(self, seen: Seen) -> Site:
        about: Internet = self.server.about  # type: ignore[attr-defined]
        about.seen.append(seen)
        return about.sites.get(seen.host, nothing)

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        seen = Seen(headers.get("host", ""), self.command, self.path, headers, body)
        answer = self.site(seen)(seen)
        self.send_response(answer.status)
        for name, value in {**answer.headers, "content-length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer

    def log_message(self, *words: Any) -> None:
        pass
