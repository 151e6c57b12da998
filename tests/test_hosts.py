"""What is this machine, however it is spelled; and what only looks like it."""

from __future__ import annotations

import pytest

from runner.hosts import is_loopback


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:80", "127.0.0.1", "127.8.0.1:8000", "::1", "[::1]", "[::1]:8000", "0:0:0:0:0:0:0:1"],
)
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost.example",
        "127.0.0.1.example:80",
        "127.0.0.1@example",
        "127.0.0.1/",
        "10.0.0.1:80",
        "[::2]:1",
        "::",
    ],
)
def test_another(host: str) -> None:
    assert not is_loopback(host)
