"""Connections of strangers, bounded: how many there are, and how long each may keep us waiting.

uvicorn limits neither the time of a request's head nor the number of connections, and asyncio, out of descriptors,
fails once for each place of the backlog, every second. So a connection above the bound is told to come back, and one
that neither sends nor reads is closed.
"""

from __future__ import annotations

import asyncio
import resource

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 512
BACKLOG = 64  # connections that wait to be accepted
HEAD_SECONDS = 10.0  # for a whole request head, from its first byte or from the beginning of a connection
STALL_SECONDS = 60.0  # without a byte of a body that is to come, or with nothing read of an answer
_FOR_FILES = 128  # descriptors
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def raise_limit() -> None:
    """Take as many descriptors as this process may have, up to what is of use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


# asyncio, out of descriptors, cannot even refuse: it logs, and tries the same again. So some are kept back for the
# files of the handlers, and for the connections that are only accepted to be told that there is no room.
def most_connections() -> int:
    """So many that descriptors are left for files, also while a whole backlog is told that there is no room."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else soft - BACKLOG - _FOR_FILES
    return max(4, min(MOST_CONNECTIONS, room))


# One timer per connection, for whatever is waited for: a head, the next bytes of a body, or that the client reads.
# While a handler works, nothing is waited for from the client, and no timer runs: an answer may take as long as it
# takes.
class Bounded(H11Protocol):
    """One connection."""

    _timer: asyncio.TimerHandle | None = None
    _is_for_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # uvicorn's set holds those of every kind, also idle ones that are kept alive
        if len(self.connections) > most_connections():
            # written by hand: h11 has seen no request that it could answer
            transport.write(_FULL)
            transport.close()
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # a new cycle is a new request whose head is complete
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._disarm()
        if self.cycle is None or self.cycle.response_complete:
            self._expect_head()
        elif self.cycle.more_body:
            self._arm(STALL_SECONDS)
        else:
            self._disarm()

    def on_response_complete(self) -> None:
        before = self.cycle
        super().on_response_complete()
        if self.cycle is not before and self.cycle.more_body:  # the next one came along with this one
            self._arm(STALL_SECONDS)

    # The client does not read: the system's buffer is full. Who is slow is read to again; who has stopped is cut off,
    # or a few of them would hold every descriptor.
    def pause_writing(self) -> None:
        super().pause_writing()
        self._arm(STALL_SECONDS)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._disarm()

    def _expect_head(self) -> None:
        """A head has all its time from its beginning: a byte more does not prolong it."""
        if not self._is_for_head:
            self._arm(HEAD_SECONDS)
            self._is_for_head = True

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self._end)

    def _disarm(self) -> None:
        self._is_for_head = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        """Nothing came in time. Where it is we who do not read, the other side cannot send."""
        # the client waits for us: a handler that is busy with a disk has stopped reading
        if self.flow.read_paused and not self.flow.write_paused:
            self._arm(STALL_SECONDS)
        else:
            self.transport.abort()
