"""A time limit for a whole reply. httpx gives each read one of its own, so a remote that drips its bytes meets none.

It is kept where the bytes arrive, below the library: a head can be dripped as well as a body, and so can any number of
interim replies before it.
"""

from __future__ import annotations

import functools
import math
import ssl
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import httpcore

from runner.clock import Clock
from runner.remotes.transport.waits import Call

T = TypeVar("T")

TIME_IS_OVER = "the time of this command is over"


class Deadline:
    """How long we wait in all for the reply to what was sent last. One for each client, which has one call at a time.

    seconds: None while there is no limit, as for the body of a large file. extra_seconds: how long a call goes on once
    the command's time is over. Only waiting counts, and no read for more than its own timeout: a process that was
    stopped and goes on finds its reply.
    """

    def __init__(self, clock: Clock) -> None:
        self.seconds: float | None = None
        self.extra_seconds = 0.0
        self.call: Call | None = None  # the one under way
        self._clock = clock
        self._waited = 0.0

    def begin(self) -> None:
        """Something is sent: its reply has all its time."""
        self._waited = 0.0
        if self.call is not None:
            self.call.moved()

    def wait(self, read: Callable[[float | None], bytes], timeout: float | None) -> bytes:
        """What `read` gives within `timeout`, and within what is left. Raises httpcore.ReadTimeout."""
        since = self._clock.monotonic()
        left, why = self._left(since)
        if left <= 0:
            raise httpcore.ReadTimeout(why)
        is_ours = timeout is None or left < timeout
        bound = None if is_ours and math.isinf(left) else left if is_ours else timeout
        try:
            received = read(bound)
            if self.call is not None:
                self.call.received += len(received)
            if self.seconds is None and self.call is not None:
                self.call.moved()
            return received
        except httpcore.ReadTimeout as error:
            raise httpcore.ReadTimeout(why) if is_ours else error from error
        finally:
            # No more than the read was given: a process that slept (Ctrl-Z, a closed lid) wakes with hours on the
            # clock, and its reply lies in the socket. Counted in full, a receipt would be thrown away unread.
            waited = self._clock.monotonic() - since
            self._waited += waited if bound is None else min(waited, bound)

    def within(self, act: Callable[[float | None], T], timeout: float | None, error: type[Exception]) -> T:
        """What `act` gives within `timeout` and the command's time. For what comes before a reply: connecting, TLS,
        writing. Raises `error`, its own for a timeout.
        """
        left = self._left_of_command(self._clock.monotonic())
        if left <= 0:
            raise error(TIME_IS_OVER)
        if math.isinf(left) or (timeout is not None and timeout <= left):
            return act(timeout)
        try:
            return act(left)
        except error as met:
            raise error(TIME_IS_OVER) from met

    def _left(self, now: float) -> tuple[float, str]:
        """Seconds, and what is to be said once they are over."""
        reply = math.inf if self.seconds is None else self.seconds - self._waited
        command = self._left_of_command(now)
        if command < reply:
            return command, TIME_IS_OVER
        return reply, f"the reply is not whole after {self.seconds or 0:.0f} s"

    def _left_of_command(self, now: float) -> float:
        return math.inf if self._clock.until is None else self._clock.until + self.extra_seconds - now


def backend(deadline: Deadline, address_of: Callable[[str], str] = lambda host: host) -> httpcore.NetworkBackend:
    """A network whose connections all keep to the deadline, those through proxies as well.

    address_of: where to connect for a host; raises httpcore.ConnectError for one that must not be spoken to.
    """
    return _Backend(httpcore.SyncBackend(), deadline, address_of)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend, deadline: Deadline, address_of: Callable[[str], str]) -> None:
        self._inner = inner
        self._deadline = deadline
        self._address_of = address_of

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        def connect(bound: float | None) -> httpcore.NetworkStream:
            return self._inner.connect_tcp(self._address_of(host), port, bound, local_address, socket_options)

        return _Stream(self._deadline.within(connect, timeout, httpcore.ConnectTimeout), self._deadline)

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
        self._deadline.within(functools.partial(self._inner.write, buffer), timeout, httpcore.WriteTimeout)
        if self._deadline.call is not None:
            self._deadline.call.sent += len(buffer)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        start = functools.partial(self._inner.start_tls, ssl_context, server_hostname)
        return _Stream(self._deadline.within(start, timeout, httpcore.ConnectTimeout), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
