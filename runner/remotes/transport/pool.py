"""The connections of a remote's client, each thread's its own, over a network backend that keeps a deadline.

httpx makes its own pools and passes no backend on. So this is a transport of httpx, by its public class, over a pool
of httpcore, by its public arguments.
"""

from __future__ import annotations

import functools
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpcore
import httpx
import msgspec

from runner import __version__
from runner.clock import Clock
from runner.remotes.transport.deadline import Deadline, backend
from runner.remotes.transport.network import Network, Proxy, private_address_of

KEEPALIVE_SECONDS = 5.0
MOST_CONNECTIONS = 4


class Client(msgspec.Struct, frozen=True):
    """Connections of one thread, which has one call at a time, and how long a reply may take."""

    httpx: httpx.Client
    deadline: Deadline


class Connections:
    """The clients of every thread. transport: given in place of a network."""

    def __init__(self, network: Network, clock: Clock, transport: httpx.BaseTransport | None = None) -> None:
        self._network = network
        self._clock = clock
        self._transport = transport
        self._local = threading.local()
        self._clients: list[Client] = []
        self._lock = threading.Lock()

    def client(self, url: str, proxy: Proxy | None, *, alone: bool) -> Client:
        """This thread's client for such an address; with `alone` one that opens a connection for each request.

        Raises Refused for proxies and certificates that are badly named.
        """
        # A deadline belongs to one call, and the backend that keeps it to one client: so no two threads share a client.
        # What goes out alone gets a connection of its own because of how kept ones end. The remote may close one while
        # a request is on its way into it, and the error that follows does not say whether the request was read. For a
        # look that is a second try; a create would have to be taken for unknown, and be searched for.
        kind = (alone, not url.startswith("http://"), proxy)
        clients: dict[object, Client] = self._local.__dict__.setdefault("clients", {})
        if kind not in clients:
            clients[kind] = self._open(*kind)
            with self._lock:
                self._clients.append(clients[kind])
        return clients[kind]

    def close(self) -> None:
        with self._lock:
            clients, self._clients = self._clients, []
            self._local = threading.local()
        for client in clients:
            client.httpx.close()

    def _open(self, alone: bool, secure: bool, proxy: Proxy | None) -> Client:
        limit = Deadline(self._clock)
        over = backend(limit) if secure else backend(limit, private_address_of)
        tls = self._network.tls() if secure else _no_tls()
        client = httpx.Client(
            transport=self._transport or _opened(tls, self._network.opened(proxy), over, keeps=0 if alone else 2),
            trust_env=False,
            follow_redirects=False,
            event_hooks={"response": [_hide_location]},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # nothing here needs one
            headers={
                "accept": "application/json",
                "accept-encoding": "identity",
                "user-agent": f"runner/{__version__}",
            },
        )
        return Client(client, limit)


LOCATION = "runner_location"


def _hide_location(response: httpx.Response) -> None:
    """The library follows no redirect, but reads the address all the same, and stumbles over some that are none."""
    response.extensions[LOCATION] = response.headers.pop("location", "")


@functools.cache
def _no_tls() -> ssl.SSLContext:
    """For plain http: trusts nobody, costs nothing."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _opened(
    tls: ssl.SSLContext, proxy: httpx.Proxy | None, backend: httpcore.NetworkBackend, *, keeps: int
) -> httpx.BaseTransport:
    """A transport, through a proxy where one is given. keeps: connections that are kept for the next request."""
    through = None
    if proxy is not None:
        through = httpcore.Proxy(_url_of(proxy.url), proxy.raw_auth, proxy.headers.raw, proxy.ssl_context)
    return _Pool(
        httpcore.ConnectionPool(
            ssl_context=tls,
            proxy=through,
            max_connections=MOST_CONNECTIONS,
            max_keepalive_connections=keeps,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=backend,
        )
    )


def _url_of(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


@contextmanager
def _as_of_httpx() -> Iterator[None]:
    """Its errors have the same names there."""
    try:
        yield
    except Exception as error:
        same = getattr(httpx, type(error).__name__, None)
        if type(error).__module__.partition(".")[0] != "httpcore" or same is None:
            raise
        raise same(str(error)) from error


class _Pool(httpx.BaseTransport):
    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream), "nothing here is asynchronous"
        asked = httpcore.Request(
            request.method,
            _url_of(request.url),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_of_httpx():
            reply = self._pool.handle_request(asked)
        return httpx.Response(reply.status, headers=reply.headers, stream=_Body(reply), extensions=reply.extensions)

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, reply: httpcore.Response) -> None:
        self._reply = reply

    def __iter__(self) -> Iterator[bytes]:
        with _as_of_httpx():
            yield from self._reply.iter_stream()

    def close(self) -> None:
        with _as_of_httpx():
            self._reply.close()
