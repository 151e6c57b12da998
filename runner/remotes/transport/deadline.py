"""A time limit for a whole reply. httpx gives each read one of its own, so a remote that drips its bytes meets none.

It is kept where the bytes arrive, below the library: a head can be dripped as well as a body, and so can any number of
interim replies before it.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Iterable
from typing import Any

import httpcore
import httpx


class Deadline:
    """How long we wait in all for the reply to what was sent last. One for each client, which has one call at a time.

    seconds: None while there is no limit, as for the body of a large file.
    Only waiting counts, and no read for more than its own timeout: a process that was stopped and goes on finds its
    reply.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.seconds: float | None = None
        self._monotonic = monotonic
        self._waited = 0.0

    def begin(self) -> None:
        """Something was sent: its reply has all its time."""
        self._waited = 0.0

    def wait(self, read: Callable[[float | None], bytes], timeout: float | None) -> bytes:
        """What `read` gives within `timeout`, and within what is left. Raises httpcore.ReadTimeout."""
        if self.seconds is not None:
            left = self.seconds - self._waited
            if left <= 0:
                raise httpcore.ReadTimeout(f"the reply is not whole after {self.seconds:.0f} s")
            timeout = left if timeout is None else min(left, timeout)
        since = self._monotonic()
        try:
            return read(timeout)
        finally:
            waited = self._monotonic() - since
            self._waited += waited if timeout is None else min(waited, timeout)


def keep(client: httpx.Client, deadline: Deadline) -> None:
    """Have every connection of a client keep to the deadline, those through proxies as well.

    httpcore takes a network backend for this and httpx does not pass one on, so it is put in afterwards
    (source: httpx 0.28.1 `_transports/default.py`, httpcore 1.0.9 `_sync/connection_pool.py`, read 2026-11-22).
    """
    for transport in (client._transport, *client._mounts.values()):
        pool = getattr(transport, "_pool", None)
        if isinstance(pool, httpcore.ConnectionPool):
            pool._network_backend = _Backend(pool._network_backend, deadline)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(stream, self._deadline)

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._deadline.wait(functools.partial(self._inner.read, max_bytes), timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._deadline.begin()
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
