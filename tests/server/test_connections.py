"""Clients that want nothing but our time: silence, heads that drip, and more connections than there is room for."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.server import connections

REPOSITORY = Path(__file__).parents[2]
TOKEN = "kept-out-of-the-list-of-processes"


class Serving:
    """`runner serve` in a process of its own."""

    def __init__(self, folder: Path, words: tuple[str, ...], before: Callable[[], None] | None, **environ: str) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "runner", "serve", "--dir", str(folder), "--port", "0", *words]
        self.process: Any = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, **environ},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=before,
        )
        until = time.monotonic() + 20
        while not (self.folder / "server.json").exists():
            assert self.process.poll() is None and time.monotonic() < until, self.process.stderr
            time.sleep(0.02)
        self.url = json.loads((folder / "server.json").read_bytes())["url"]
        self.address = ("127.0.0.1", int(self.url.rpartition(":")[2]))

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=30)

    def status(self, token: str = "", path: str = "/v1/batches") -> int:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            error.close()
            return int(error.code)

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> str:
        """Stop it; what it said on stderr."""
        self.process.terminate()
        said: bytes = self.process.stderr.read()
        return said.decode()


@contextlib.contextmanager
def serving(folder: Path, *words: str, before: Callable[[], None] | None = None, **environ: str) -> Iterator[Serving]:
    server = Serving(folder, words, before, **environ)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        server.process.stderr.close()


def closed_after(socks: list[socket.socket]) -> list[float]:
    """After how many seconds the other side closes each, while a byte drips into it every half second."""
    began, took = time.monotonic(), dict.fromkeys(socks, 60.0)
    while 60.0 in took.values() and time.monotonic() - began < 60:
        for sock in [one for one in socks if took[one] == 60.0]:
            try:
                sock.sendall(b"x")
                sock.settimeout(0.5 / len(socks))
                if not sock.recv(65536):
                    took[sock] = time.monotonic() - began
            except TimeoutError:
                continue
            except OSError:
                took[sock] = time.monotonic() - began
    return list(took.values())


def test_a_head_has_its_time_however_it_drips(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as server, contextlib.ExitStack() as stack:
        first, second, third = (stack.enter_context(server.connect()) for _ in range(3))
        first.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        second.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert second.recv(65536).startswith(b"HTTP/1.1 200")
        second.sendall(b"GET / HT")  # of the second request on this connection
        for took in closed_after([first, second, third]):
            assert connections.HEAD_SECONDS - 3 < took < connections.HEAD_SECONDS + 10
        assert server.status() == 401  # everybody else is served


def few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def test_connections_are_bounded_and_descriptors_are_left(tmp_path: Path) -> None:
    """Out of descriptors, asyncio would fail thousands of times a second; this server does not get there."""
    with serving(tmp_path / "home", before=few_descriptors) as server, contextlib.ExitStack() as stack:
        many = [stack.enter_context(server.connect()) for _ in range(400)]
        time.sleep(0.5)
        before = server.cpu_seconds()
        time.sleep(2.0)
        assert server.cpu_seconds() - before < 1.0
        told = 0
        for sock in many:
            sock.settimeout(0.01)
            with contextlib.suppress(TimeoutError, ConnectionError):
                told += sock.recv(65536).startswith(b"HTTP/1.1 503")
        assert 300 < told < 390  # the others have room
        assert len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) < 200
        for sock in many:
            sock.close()
        time.sleep(0.5)
        assert server.status() == 401
        assert "Traceback" not in server.end()


@pytest.mark.parametrize("way", ["variable", "file"])
def test_a_token_need_not_stand_among_the_arguments(tmp_path: Path, way: str) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{TOKEN}\nanother\n")
    words = ("--token-env", "MY_SERVER_KEY") if way == "variable" else ("--token-file", str(file))
    with serving(tmp_path / "home", *words, MY_SERVER_KEY=TOKEN) as server:
        assert TOKEN.encode() not in Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
        assert server.status(TOKEN) == 200
        assert server.status("wrong") == 401
        assert server.status("another") == (200 if way == "file" else 401)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--token-env", "NOT_SET_ANYWHERE"), "`NOT_SET_ANYWHERE` is not set"),
        (("--token-file", "not/there"), "`--token-file not/there` cannot be read: No such file"),
        (("--token-file", os.devnull), "holds no key"),
    ],
)
def test_a_token_that_is_not_there_is_said(tmp_path: Path, words: tuple[str, str], said: str) -> None:
    command = [sys.executable, "-m", "runner", "serve", "--dir", str(tmp_path / "home"), "--port", "0", *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30)
    assert done.returncode == 64 and said in done.stderr
