"""Who hears of a remote that says nothing, or has to be asked again; over real sockets that hang, drip and refuse."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.clock import FastClock, RealClock
from runner.errors import NotSent, OutcomeUnknown, RateLimited, RemoteError
from runner.remotes.transport.content import MultipartForm
from runner.remotes.transport.exchange import HttpSettings, Timeouts
from runner.remotes.transport.http import Http
from runner.remotes.transport.retry import RetryPolicy
from runner.remotes.transport.waits import MOMENT_SECONDS, Moving, Waits
from tests.remotes.loopback import Answer, Request, hang_up, in_turn, reply, send, serving
from tests.remotes.making import START, http_at

MOMENT = 0.3
OK = reply(200, {"id": "batch_1"})
HEAD = b"HTTP/1.1 200 X\r\ncontent-type: application/octet-stream\r\ncontent-length: 12\r\n\r\n"


class Heard:
    """A listener that keeps what it was told."""

    def __init__(self) -> None:
        self.moved: list[dict[str, Moving]] = []
        self.silent_now: list[set[str]] = []
        self.retries: list[tuple[str, type[RemoteError], float, int, int]] = []

    def silent(self, since: Mapping[str, float]) -> None:
        self.silent_now.append(set(since))

    def moving(self, calls: Mapping[str, Moving]) -> None:
        self.moved.append(dict(calls))

    def retried(self, who: str, error: RemoteError, wait_seconds: float, number: int, most: int) -> None:
        self.retries.append((who, type(error), wait_seconds, number, most))


@contextmanager
def listening(base_url: str, patience: RetryPolicy | None = None) -> Iterator[tuple[Http, Heard]]:
    heard, clock = Heard(), RealClock()
    settings = HttpSettings(
        timeouts=Timeouts(connect=5, read=3, bulk_read=5),
        retry_policy=patience or RetryPolicy(tries=1),
        waits=Waits(clock, heard, MOMENT),
    )
    with http_at(base_url, clock=clock, settings=settings) as http:
        yield http, heard


def after(seconds: float, data: bytes) -> Answer:
    def answer(sock: socket.socket, request: Request) -> bool:
        time.sleep(seconds)
        sock.sendall(data)
        return True

    return answer


def dripped(data: bytes, gap: float, head: bytes = b"") -> Answer:
    """A byte at a time behind a head."""

    def answer(sock: socket.socket, request: Request) -> bool:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(head)
        for byte in data:
            time.sleep(gap)
            sock.sendall(bytes([byte]))
        return True

    return answer


def test_a_moment_is_what_the_manual_says() -> None:
    assert MOMENT_SECONDS == 2.0


def test_a_reply_that_takes_its_time_is_told_and_then_over() -> None:
    with serving(after(1.0, OK)) as server, listening(server.base_url) as (http, heard):
        assert http.get_json("/batches/batch_1") == {"id": "batch_1"}
        assert heard.silent_now == [{"acme"}, set()]  # over by the time that the call is


def test_a_quick_reply_is_not_told() -> None:
    with serving(send(OK)) as server, listening(server.base_url) as (http, heard):
        for _ in range(20):
            http.get_json("/batches/batch_1")
        time.sleep(2 * MOMENT)
        assert heard.silent_now == []


def test_a_create_and_a_dripped_head_are_waited_for() -> None:
    with serving(dripped(OK, 0.01)) as server, listening(server.base_url) as (http, heard):
        http.create("/batches", {})
        assert heard.silent_now == [{"acme"}, set()]


def test_a_connection_that_nobody_takes_is_waited_for() -> None:
    """What is sent to a full queue of connections gets no answer at all."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)
            with listening(f"http://127.0.0.1:{address[1]}/v1") as (http, heard), pytest.raises(NotSent):
                http.get_json("/batches")
            assert heard.silent_now == [{"acme"}, set()]


def test_a_file_that_moves_is_not_waited_for(tmp_path: Path) -> None:
    with serving(dripped(b"x" * 12, 0.1, HEAD)) as server, listening(server.base_url) as (http, heard):
        assert http.download("/files/f/content", tmp_path / "f") == 12
        assert heard.silent_now == []


def test_a_file_that_stops_is_waited_for(tmp_path: Path) -> None:
    def stopping(sock: socket.socket, request: Request) -> bool:
        sock.sendall(HEAD + b"x" * 6)
        time.sleep(1.0)
        sock.sendall(b"x" * 6)
        return True

    with serving(stopping) as server, listening(server.base_url) as (http, heard):
        assert http.download("/files/f/content", tmp_path / "f") == 12
        assert heard.silent_now == [{"acme"}, set()]


def test_an_upload_is_silent_from_its_last_byte_on(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_bytes(b"x" * (8 << 20))

    def slowly(sock: socket.socket, request: Request) -> bool:  # the reader of tests takes it as it comes
        sock.sendall(OK)
        return True

    with serving(slowly) as server, listening(server.base_url) as (http, heard):
        http.upload("/files", MultipartForm(source, "rows.jsonl", "application/jsonl", {"purpose": "batch"}))
        assert heard.silent_now == []
    with serving(after(1.0, OK)) as server, listening(server.base_url) as (http, heard):
        http.upload("/files", MultipartForm(source, "rows.jsonl", "application/jsonl", {"purpose": "batch"}))
        assert heard.silent_now == [{"acme"}, set()]
        # How much went out is told while the reply is waited for, and that it is over
        told = [moving["acme"] for moving in heard.moved[:-1]]
        assert max(one.sent for one in told) > 8 << 20 > max(one.received for one in told)
        assert heard.moved[-1] == {}


def test_many_calls_to_one_remote_are_one_silence() -> None:
    with serving(after(1.0, OK)) as server, listening(server.base_url) as (http, heard):
        threads = [threading.Thread(target=http.get_json, args=("/batches/batch_1",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert heard.silent_now[0] == {"acme"} and heard.silent_now[-1] == set()
        assert all(told == {"acme"} for told in heard.silent_now[:-1])


def test_each_try_that_is_followed_by_another_is_told() -> None:
    swift = RetryPolicy(tries=4, first_wait=0.05)
    answers = in_turn(send(reply(503, {})), hang_up, send(reply(429, {}, {"retry-after-ms": "40"})), send(OK))
    with serving(answers) as server, listening(server.base_url, swift) as (http, heard):
        assert http.get_json("/batches/batch_1") == {"id": "batch_1"}
    assert [(who, kind, number, most) for who, kind, _, number, most in heard.retries] == [
        ("acme", OutcomeUnknown, 2, 4),
        ("acme", OutcomeUnknown, 3, 4),
        ("acme", RateLimited, 4, 4),
    ]
    assert all(0.03 < wait < 0.2 for _, _, wait, _, _ in heard.retries)


def test_the_last_try_and_a_definite_no_are_not_told_as_retries() -> None:
    swift = RetryPolicy(tries=2, first_wait=0.01)
    with serving(send(reply(503, {}))) as server, listening(server.base_url, swift) as (http, heard):
        with pytest.raises(OutcomeUnknown):
            http.get_json("/batches/batch_1")
        assert [number for *_, number, _ in heard.retries] == [2]
    with serving(send(reply(403, {}))) as server, listening(server.base_url, swift) as (http, heard):
        with pytest.raises(RemoteError):
            http.get_json("/batches/batch_1")
        assert heard.retries == []


def test_a_cut_file_is_told_as_well(tmp_path: Path) -> None:
    swift = RetryPolicy(tries=3, first_wait=0.01)
    answers = in_turn(send(HEAD + b"x" * 5, keep=False), send(HEAD + b"x" * 12))
    with serving(answers) as server, listening(server.base_url, swift) as (http, heard):
        assert http.download("/files/f/content", tmp_path / "f", can_resume=False) == 12
        assert [number for *_, number, _ in heard.retries] == [2]


@pytest.mark.parametrize("advice", ["1", "30", "90"])
def test_no_retry_outlasts_the_time_of_a_command(advice: str) -> None:
    clock = FastClock(START)
    clock.until = 0.9
    with (
        serving(send(reply(429, {}, {"retry-after": advice}))) as server,
        http_at(server.base_url, clock=clock) as http,
        pytest.raises(RateLimited),
    ):
        http.get_json("/batches")
    assert clock.monotonic() == 0.0 and len(server.requests) == 1


def test_a_single_pass_tries_again_for_a_minute_at_most() -> None:
    clock = FastClock(START)
    clock.retry_seconds = 60.0
    with serving(send(reply(503, {}, {"retry-after": "25"}))) as server, http_at(server.base_url, clock=clock) as http:
        with pytest.raises(OutcomeUnknown):
            http.get_json("/batches")
        assert clock.monotonic() <= 60.0 and len(server.requests) == 3


def test_a_connection_is_given_up_with_the_time_of_the_command() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)
            clock = RealClock()
            clock.until = clock.monotonic() - 10.0
            began = time.monotonic()
            with http_at(f"http://127.0.0.1:{address[1]}/v1", clock=clock) as http, pytest.raises(NotSent):
                http.get_json("/batches")
            assert time.monotonic() - began < 5.0  # a connection has ten seconds otherwise
