"""A reply that never stops coming ends all the same: its head, what comes before the head, and its body."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from runner.clock import FastClock
from runner.errors import OutcomeUnknown
from runner.remotes.transport.exchange import REPLY_SECONDS, HttpSettings, Timeouts
from runner.remotes.transport.retry import RetryPolicy
from tests.remotes.loopback import Answer, Request, in_turn, reply, send, serving
from tests.remotes.making import START, http_at

ONCE = HttpSettings(retry_policy=RetryPolicy(tries=1))
SHORT = ONCE.timeouts.read
BRIEF = Timeouts(bulk_read=20.0)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def dripping(pieces: Iterator[bytes] | list[bytes], clock: FastClock, gap: float = 10.0) -> Answer:
    """One piece after the other; to the client the time between two is `gap` seconds."""

    def answer(sock: socket.socket, request: Request) -> bool:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):
            for piece in pieces:
                clock.sleep(gap)
                sock.sendall(piece)
                acknowledged(sock)
        return False

    return answer


def acknowledged(sock: socket.socket) -> None:
    """Wait until the other side has read: a moment, or for ever once it hung up."""
    sock.settimeout(0.01)
    with suppress(TimeoutError):
        if not sock.recv(1):
            raise BrokenPipeError
    sock.settimeout(5)


def bytes_of(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("head", bytes_of(HEAD + b"x-long: " + b"a" * 400)),
        ("interim replies", [b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"] * 400),
        ("body", [HEAD + b"content-length: 400\r\n\r\n", *bytes_of(b" " * 400)]),
        ("refusal", [HEAD.replace(b"200", b"500") + b"content-length: 400\r\n\r\n", *bytes_of(b" " * 400)]),
    ],
)
def test_a_dripped_reply_ends(name: str, pieces: list[bytes]) -> None:
    clock = FastClock(START)
    with (
        serving(dripping(pieces, clock)) as server,
        http_at(server.base_url, clock=clock, settings=ONCE) as http,
        pytest.raises(OutcomeUnknown),
    ):
        http.create("/batches", {})
    longest = ONCE.timeouts.bulk_read + REPLY_SECONDS
    assert longest <= clock.monotonic() <= 2 * longest


def test_the_head_of_a_file_has_a_limit_and_its_body_none(tmp_path: Path) -> None:
    clock = FastClock(START)
    body = b"x" * 200
    slow = [HEAD + b"content-length: 200\r\n\r\n", *(body[at : at + 20] for at in range(0, 200, 20))]
    with (
        serving(dripping(slow, clock, gap=90.0)) as server,
        http_at(server.base_url, clock=clock, settings=ONCE) as http,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("runner.remotes.transport.downloads.STALL_BYTES", 10)  # 20 bytes are a file that moves
        assert http.download("/file", tmp_path / "out") == 200
    assert clock.monotonic() > ONCE.timeouts.bulk_read + REPLY_SECONDS
    dripped = bytes_of(HEAD + b"x-long: " + b"a" * 400)
    with (
        serving(dripping(dripped, clock)) as server,
        http_at(server.base_url, clock=clock, settings=ONCE) as http,
        pytest.raises(OutcomeUnknown),
    ):
        http.download("/file", tmp_path / "out")


def test_a_reply_that_waits_for_a_stopped_process_is_read() -> None:
    clock = FastClock(START)

    def late(sock: socket.socket, request: Request) -> bool:
        whole = reply(200, {"id": "batch_1"})
        for piece in (whole[:20], whole[20:60], whole[60:]):
            sock.sendall(piece)
            clock.sleep(3600)  # as after Ctrl-Z; less than a read timeout passed to the remote
            acknowledged(sock)
        return True

    with serving(late) as server, http_at(server.base_url, clock=clock, settings=HttpSettings(timeouts=BRIEF)) as http:
        assert http.create("/batches", {}) == {"id": "batch_1"}


def test_every_call_on_a_connection_has_all_the_time() -> None:
    clock = FastClock(START)

    def slowly(sock: socket.socket, request: Request) -> bool:
        clock.sleep(SHORT + REPLY_SECONDS - 10)
        sock.sendall(reply(200, {}))
        return True

    with serving(slowly) as server, http_at(server.base_url, clock=clock, settings=ONCE) as http:
        assert [http.get_json("/x") for _ in range(6)] == [{}] * 6
        assert server.connections == 1


def test_a_call_after_a_dripped_one_starts_anew() -> None:
    clock = FastClock(START)
    first = dripping(bytes_of(HEAD + b"x-long: " + b"a" * 400), clock)
    answer = in_turn(first, send(reply(200, {"id": "x"})))
    patient = HttpSettings(retry_policy=RetryPolicy(total_seconds=1000))
    with serving(answer) as server, http_at(server.base_url, clock=clock, settings=patient) as http:
        assert http.get_json("/x") == {"id": "x"}
        assert server.connections == 2
