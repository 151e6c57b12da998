"""The socket that a server listens on."""

from __future__ import annotations

import socket

from tests.server.conftest import Lab


def test_answers_do_not_wait_for_acknowledgements(lab: Lab) -> None:
    """asyncio switches Nagle's algorithm off only where a socket says that it is TCP."""
    assert lab.service._socket.proto == socket.IPPROTO_TCP
