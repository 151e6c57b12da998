"""Connections of one client, over a network backend of ours: where bytes arrive, a deadline is kept.

httpx makes its own pools and passes no backend on. So this is a transport of httpx, by its public class, over a pool
of httpcore, by its public arguments.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpcore
import httpx

KEEPALIVE_SECONDS = 5.0
MOST_CONNECTIONS = 4


def opened(
    tls: ssl.SSLContext, proxy: httpx.Proxy | None, backend: httpcore.NetworkBackend, *, keeps: int
) -> httpx.BaseTransport:
    """A transport, through a proxy where one is given. keeps: connections that are kept for the next request."""
    if proxy is None:
        return _Pool(
            httpcore.ConnectionPool(
                ssl_context=tls,
                max_connections=MOST_CONNECTIONS,
                max_keepalive_connections=keeps,
                keepalive_expiry=KEEPALIVE_SECONDS,
                network_backend=backend,
            )
        )
    url = _url_of(proxy.url)
    if proxy.url.scheme.startswith("socks"):
        return _Pool(
            httpcore.SOCKSProxy(
                url,
                proxy_auth=proxy.raw_auth,
                ssl_context=tls,
                max_connections=MOST_CONNECTIONS,
                max_keepalive_connections=keeps,
                keepalive_expiry=KEEPALIVE_SECONDS,
                network_backend=backend,
            )
        )
    return _Pool(
        httpcore.HTTPProxy(
            url,
            proxy_auth=proxy.raw_auth,
            proxy_headers=proxy.headers.raw,
            ssl_context=tls,
            proxy_ssl_context=proxy.ssl_context,
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
