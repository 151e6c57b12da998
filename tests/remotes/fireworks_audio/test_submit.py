"""A submission goes out once, and what it raises says whether anything can have been accepted."""

from __future__ import annotations

import logging
import os
import socket
import struct
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from runner.errors import AuthFailed, BlockedError, DataError, NotFound, NotSent, OutcomeUnknown, RateLimited, Refused
from runner.remotes.audio import Receipt
from runner.remotes.fireworks_audio.profile import Profile, capabilities_of
from runner.remotes.fireworks_audio.provider import FireworksAudioCaller
from runner.remotes.transport.exchange import HttpSettings, Timeouts
from tests.remotes.fireworks_audio.made import RECEIPT, SUBMITTED, provider_at, recording
from tests.remotes.loopback import Answer, Server, hang_up, reply, reset, send, serving
from tests.remotes.making import KEY, http_at

LARGE = 24 * 1024 * 1024  # more than the buffers of a loopback connection hold


def outcome_of(folder: Path, answer: Answer) -> tuple[Exception | Receipt, Server]:
    with serving(answer) as server, provider_at(server.base_url) as remote:
        try:
            return remote.submit(recording(folder)), server
        except Exception as error:
            return error, server


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (send(reply(400, {"error": {"message": "bad", "code": "INVALID"}})), Refused),
        (send(reply(401, {"error": "no key"})), AuthFailed),
        (send(reply(403, {"error": "no key"})), AuthFailed),
        (send(reply(404, {"code": 5})), NotFound),
        (send(reply(409, {})), Refused),
        (send(reply(413, {})), Refused),
        (send(reply(422, {})), Refused),
        (send(reply(429, {}, {"retry-after": "7"})), RateLimited),
        (send(reply(307, b"", {"location": "http://127.0.0.1:1/"})), Refused),
        (send(reply(500, {}, {"x-should-retry": "true"})), OutcomeUnknown),
        (send(reply(502, b"<html>")), OutcomeUnknown),
        (send(reply(503, {}, {"retry-after": "1"})), OutcomeUnknown),
        (send(reply(504, {})), OutcomeUnknown),
        (send(reply(408, {})), OutcomeUnknown),
        (send(reply(200, b"<html>down</html>")), OutcomeUnknown),
        (send(reply(200, {})), OutcomeUnknown),
        (send(reply(200, [])), OutcomeUnknown),
        (send(reply(200, {**SUBMITTED, "batch_id": ""})), OutcomeUnknown),
        (send(reply(200, {**SUBMITTED, "batch_id": "b" * 600})), OutcomeUnknown),
        (send(reply(200, {**SUBMITTED, "batch_id": ".."})), OutcomeUnknown),
        (send(reply(200, {**SUBMITTED, "account_id": "."})), OutcomeUnknown),
        (send(reply(200, {**SUBMITTED, "batch_id": "b\r\nx: y"})), OutcomeUnknown),
        (send(reply(200, SUBMITTED)[:-9], keep=False), OutcomeUnknown),
        (send(b"HTTP/1.1 200 X\r\ncontent-le", keep=False), OutcomeUnknown),
        (reset, OutcomeUnknown),
        (hang_up, OutcomeUnknown),
    ],
)
def test_sent_once_whatever_the_remote_does(tmp_path: Path, answer: Answer, kind: type[Exception]) -> None:
    error, server = outcome_of(tmp_path, answer)
    assert type(error) is kind
    assert len(server.requests) == 1
    assert KEY not in str(error)


def test_advice_about_waiting_is_passed_on(tmp_path: Path) -> None:
    error, _ = outcome_of(tmp_path, send(reply(429, {}, {"retry-after": "7"})))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 7


@pytest.mark.parametrize(
    ("answer", "receipt"),
    [
        (SUBMITTED, RECEIPT),
        ({"batch_id": "b-1"}, Receipt("b-1", "")),
        ({"batch_id": 17, "account_id": "acme", "status": "queued", "more": []}, Receipt("17", "acme")),
    ],
)
def test_a_receipt_needs_no_more_than_an_id(tmp_path: Path, answer: object, receipt: Receipt) -> None:
    assert outcome_of(tmp_path, send(reply(202, answer)))[0] == receipt


def test_nothing_reaches_a_remote_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with provider_at(f"http://127.0.0.1:{port}") as remote, pytest.raises(NotSent):
        remote.submit(recording(tmp_path))


def test_a_remote_that_never_answers_may_have_accepted_it(tmp_path: Path) -> None:
    silence = threading.Event()
    settings = HttpSettings(timeouts=Timeouts(bulk_read=0.2))

    def say_nothing(sock: socket.socket, request: object) -> bool:
        silence.wait(10)
        return False

    with serving(say_nothing) as server, http_at(server.base_url.removesuffix("/v1"), settings=settings) as http:
        remote = FireworksAudioCaller(
            http=http,
            who="acme",
            profile=Profile(),
            card=capabilities_of(Profile()),
            origin=None,  # type: ignore[arg-type]  # not looked at
        )
        with pytest.raises(OutcomeUnknown):
            remote.submit(recording(tmp_path))
        silence.set()
    assert len(server.requests) == 1


@contextmanager
def taking(limit: int, end: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[int]]]:
    """A server that reads `limit` bytes of whatever comes, then ends it; and how many bytes each connection brought."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[int] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                with sock:
                    seen.append(0)
                    while seen[-1] < limit and (data := sock.recv(65_536)):
                        seen[-1] += len(data)
                    end(sock)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def cut(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close(sock: socket.socket) -> None:
    pass


def refuse(sock: socket.socket) -> None:
    """Answer early, then read on, as polite servers do."""
    sock.sendall(reply(401, {"error": {"message": "no such key"}}))
    sock.settimeout(5)
    with suppress(OSError):
        while sock.recv(65_536):
            pass


def fail(sock: socket.socket) -> None:
    """Answer early, and hang up on the rest."""
    sock.sendall(reply(503, {"error": {"message": "no room"}}))


def test_nothing_is_sent_before_the_other_side_proved_who_it_is(tmp_path: Path) -> None:
    with taking(1, close) as (address, seen), provider_at(address.replace("http:", "https:")) as remote:
        with pytest.raises(NotSent, match="cannot reach"):
            remote.submit(recording(tmp_path))
        assert len(seen) == 1


@pytest.mark.parametrize("limit", [1, 1000, 1_000_000])
@pytest.mark.parametrize("end", [cut, close, fail])
def test_half_a_recording_is_never_accepted(tmp_path: Path, limit: int, end: Callable[[socket.socket], None]) -> None:
    sound = recording(tmp_path, bytes(LARGE), is_checked=False)
    with taking(limit, end) as (address, seen), provider_at(address) as remote:
        with pytest.raises(NotSent, match="nothing was accepted"):
            remote.submit(sound)
        assert len(seen) == 1


def test_an_early_refusal_is_heard(tmp_path: Path) -> None:
    sound = recording(tmp_path, bytes(LARGE), is_checked=False)
    with (
        taking(1000, refuse) as (address, _),
        provider_at(address) as remote,
        pytest.raises(AuthFailed, match="no such key"),
    ):
        remote.submit(sound)


@pytest.mark.parametrize("size", [10, 65_536, 200_000])
def test_other_bytes_than_those_digested_are_not_sent_to_their_end(tmp_path: Path, size: int) -> None:
    sound = recording(tmp_path, bytes(size))
    sound.source.write_bytes(b"x" + bytes(size - 1))
    with serving(send(reply(200, SUBMITTED))) as server, provider_at(server.base_url) as remote:
        with pytest.raises(DataError, match="changed since it was looked at"):
            remote.submit(sound)
        sound.source.write_bytes(bytes(size))
        assert remote.submit(sound) == RECEIPT
    whole = [one for one in server.requests if one.size == int(one.headers["content-length"])]
    assert len(whole) == 1


@pytest.mark.parametrize("is_checked", [True, False])
def test_a_recording_that_was_cut_short_is_not_accepted(tmp_path: Path, is_checked: bool) -> None:
    sound = recording(tmp_path, bytes(200_000), is_checked=is_checked)
    os.truncate(sound.source, 100_000)
    with (
        serving(send(reply(200, SUBMITTED))) as server,
        provider_at(server.base_url) as remote,
        pytest.raises(DataError),
    ):
        remote.submit(sound)
    assert not [one for one in server.requests if one.size == int(one.headers["content-length"])]


def test_what_is_appended_meanwhile_is_not_sent(tmp_path: Path) -> None:
    sound = recording(tmp_path, b"fLaC-sound")
    with sound.source.open("ab") as file:
        file.write(b" and more")
    with serving(send(reply(200, SUBMITTED))) as server, provider_at(server.base_url) as remote:
        remote.submit(sound)
    assert b"\r\n\r\nfLaC-sound\r\n--" in server.requests[0].body


def test_a_file_that_cannot_be_opened_is_no_business_of_the_remote(tmp_path: Path) -> None:
    sound = recording(tmp_path)
    sound.source.unlink()
    with serving(send(reply(200, SUBMITTED))) as server, provider_at(server.base_url) as remote:
        with pytest.raises(DataError, match="No such file"):
            remote.submit(sound)
        assert not server.connections


def test_read_only_sends_nothing(tmp_path: Path) -> None:
    with serving(send(reply(200, SUBMITTED))) as server, provider_at(server.base_url, read_only=True) as remote:
        with pytest.raises(BlockedError):
            remote.submit(recording(tmp_path))
        assert not server.connections


def test_a_large_recording_is_never_in_memory(tmp_path: Path) -> None:
    sound = recording(tmp_path, b"")
    size = 300_000_000
    os.truncate(sound.source, size)
    sound = msgspec.structs.replace(sound, size_bytes=size, sha256=b"")
    with serving(send(reply(200, SUBMITTED))) as server, provider_at(server.base_url) as remote:
        tracemalloc.start()
        try:
            remote.submit(sound)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert server.requests[0].size > size
    assert peak < 12_000_000, "client and server together"


def test_the_key_is_in_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    outcome_of(tmp_path, send(reply(401, {"error": f"bad key {KEY}"})))
    outcome_of(tmp_path, send(reply(200, SUBMITTED)))
    assert "POST /v1/audio/transcriptions" in caplog.text
    assert KEY not in caplog.text
