"""The client's promises: what is repeated, what is not, what an error says, what is never said."""

from __future__ import annotations

import gzip
import logging
import traceback
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from runner.clock import FastClock, RealClock
from runner.errors import (
    AuthFailed,
    BlockedError,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RemoteError,
)
from runner.remotes.transport import redaction
from runner.remotes.transport.content import MultipartForm
from runner.remotes.transport.exchange import HttpSettings, Timeouts
from runner.remotes.transport.http import Http
from runner.remotes.transport.retry import RetryPolicy
from tests.remotes.loopback import Answer, hang_up, in_turn, reply, reset, send, serving
from tests.remotes.making import KEY, START, http_at

OK = send(reply(200, {"id": "batch_1"}))
SWIFT = HttpSettings(timeouts=Timeouts(connect=2, read=0.3, bulk_read=0.3))


def replies(*answers: httpx.Response | Exception) -> tuple[Callable[[httpx.Request], httpx.Response], list[str]]:
    """A handler that gives these in turn (the last one stays), and the list of calls it saw."""
    left, seen = list(answers), []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.method} {request.url.path}")
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    return handler, seen


# -- a create goes out once


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("reset before a reply", reset),
        ("closed before a reply", hang_up),
        ("reply cut in its head", send(b"HTTP/1.1 200 OK\r\nContent-Le", keep=False)),
        ("reply cut in its body", send(reply(200, b'{"id":"batch_1"}')[:-5], keep=False)),
        ("chunked reply cut", send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"id', keep=False)),
        ("500", send(reply(500, {"error": {"message": "boom"}}))),
        ("503 that says try again", send(reply(503, {}, {"retry-after": "1", "x-should-retry": "true"}))),
        ("504 page", send(reply(504, b"<html>gateway</html>", {"content-type": "text/html"}))),
        ("408", send(reply(408, {}))),
        ("499", send(reply(499, {}))),
        ("303", send(reply(303, {}, {"location": "/v1/batches/1"}))),
        ("HTML with 200", send(reply(200, b"<html>log in</html>", {"content-type": "text/html"}))),
        ("no body with 200", send(reply(200, b""))),
        ("not HTTP at all", send(b"SSH-2.0-OpenSSH\r\n\r\n", keep=False)),
        ("silence", lambda sock, request: sock.recv(1) != b""),
    ],
)
def test_a_create_in_doubt_is_sent_once_and_unknown(name: str, answer: Answer) -> None:
    with serving(answer) as server, http_at(server.base_url, settings=SWIFT) as http:
        with pytest.raises(OutcomeUnknown):
            http.create("/batches", {"input_file_id": "file-1"})
        assert [(r.method, r.path) for r in server.requests] == [("POST", "/v1/batches")]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 402, 403, 404, 409, 413, 422])
def test_a_refused_create_is_sent_once_and_definite(status: int) -> None:
    with serving(send(reply(status, {"error": {"message": "no"}}))) as server, http_at(server.base_url) as http:
        with pytest.raises(Refused) as caught:
            http.create("/batches", {})
        assert caught.value.status == status
        assert len(server.requests) == 1


def test_a_create_does_not_ride_on_a_connection_that_may_be_stale() -> None:
    """A kept-alive connection may be closed by the remote just as we write: then nobody knows."""
    with serving(OK) as server, http_at(server.base_url) as http:
        http.get_json("/batches")
        http.get_json("/batches")
        http.create("/batches", {})
        http.create("/batches", {})
        assert [r.connection for r in server.requests] == [1, 1, 2, 3]


def test_a_create_is_sent_again_after_429() -> None:
    clock = FastClock(START)
    busy = send(reply(429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, {"retry-after": "7"}))
    with serving(in_turn(busy, busy, OK)) as server, http_at(server.base_url, clock=clock) as http:
        assert http.create("/batches", {}) == {"id": "batch_1"}
        assert len(server.requests) == 3
    assert 14 <= clock.monotonic() <= 16


def test_a_create_is_tried_again_while_nothing_is_sent() -> None:
    handler, seen = replies(httpx.ConnectError("no route"), httpx.ConnectTimeout("slow"), httpx.Response(200, json={}))
    with http_at(handler=handler) as http:
        assert http.create("/batches", {}) == {}
    assert len(seen) == 3


def test_nobody_listens() -> None:
    with serving(OK) as server:
        base_url = server.base_url
    clock = FastClock(START)
    with http_at(base_url, clock=clock) as http, pytest.raises(NotSent, match="cannot reach `acme`"):
        http.create("/batches", {})
    assert 0 < clock.monotonic() < 30


def test_a_failed_tls_handshake_sent_nothing() -> None:
    swift = HttpSettings(timeouts=Timeouts(connect=0.5), retry_policy=RetryPolicy(tries=2))
    with serving(OK) as server, http_at(server.base_url.replace("http:", "https:"), settings=swift) as http:
        with pytest.raises(NotSent):
            http.create("/batches", {})
        assert not any(request.method == "POST" for request in server.requests)


@pytest.mark.parametrize(
    "error",
    [
        httpx.WriteError("x"),
        httpx.WriteTimeout("x"),
        httpx.ReadError("x"),
        httpx.ReadTimeout("x"),
        httpx.RemoteProtocolError("x"),
        httpx.LocalProtocolError("x"),
        httpx.DecodingError("x"),
    ],
)
def test_errors_that_prove_nothing(error: Exception) -> None:
    handler, seen = replies(error)
    with http_at(handler=handler) as http, pytest.raises(OutcomeUnknown) as caught:
        http.create("/batches", {})
    assert len(seen) == 1
    assert caught.value.__cause__ is error


# -- calls that change nothing are asked again


@pytest.mark.parametrize("answer", [reset, hang_up, send(reply(500, {})), send(reply(200, b"<html>"))])
def test_a_get_in_doubt_is_asked_again(answer: Answer) -> None:
    with serving(in_turn(answer, answer, OK)) as server, http_at(server.base_url) as http:
        assert http.get_json("/batches/batch_1") == {"id": "batch_1"}
        assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_a_definite_no_is_not_asked_again(status: int) -> None:
    handler, seen = replies(httpx.Response(status, json={}))
    with http_at(handler=handler) as http, pytest.raises(Refused):
        http.get_json("/batches/batch_1")
    assert len(seen) == 1


def test_the_remote_overrides_the_status_rule() -> None:
    handler, seen = replies(httpx.Response(409, headers={"x-should-retry": "true"}), httpx.Response(200, json=1))
    with http_at(handler=handler) as http:
        assert http.get_json("/x") == 1
    handler, seen = replies(httpx.Response(500, headers={"x-should-retry": "false"}))
    with http_at(handler=handler) as http, pytest.raises(OutcomeUnknown):
        http.get_json("/x")
    assert len(seen) == 1


def test_patience_ends() -> None:
    clock = FastClock(START)
    handler, seen = replies(httpx.Response(503))
    with http_at(handler=handler, clock=clock) as http, pytest.raises(OutcomeUnknown):
        http.get_json("/x")
    assert len(seen) == 5
    assert clock.monotonic() < 8

    handler, seen = replies(httpx.Response(429, headers={"retry-after": "110"}))
    clock = FastClock(START)
    with http_at(handler=handler, clock=clock) as http, pytest.raises(RateLimited):
        http.get_json("/x")
    assert clock.monotonic() <= 300


def test_a_sleep_cut_short_ends_the_call() -> None:
    """Ctrl-C wakes sleepers: the call gives up instead of hammering."""

    class Woken(FastClock):
        def sleep(self, seconds: float) -> None:
            pass

    handler, seen = replies(httpx.Response(503))
    with http_at(handler=handler, clock=Woken()) as http, pytest.raises(OutcomeUnknown):
        http.get_json("/x")
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"retry-after": "30"}, 30, 33),
        ({"retry-after": "1.5"}, 1.5, 1.7),
        ({"retry-after-ms": "250", "retry-after": "30"}, 0.25, 0.28),
        ({"retry-after": format_datetime(START + timedelta(seconds=40), usegmt=True)}, 40, 44),
        # the date is measured on the remote's own clock, an hour ahead of ours
        (
            {
                "date": format_datetime(START + timedelta(hours=1), usegmt=True),
                "retry-after": format_datetime(START + timedelta(hours=1, seconds=20), usegmt=True),
            },
            20,
            22,
        ),
        ({"retry-after": "120"}, 120, 132),
        # senseless advice is no advice: ordinary backoff
        ({"retry-after": "-5"}, 0.3, 0.5),
        ({"retry-after": "0"}, 0.3, 0.5),
        ({"retry-after": "soon"}, 0.3, 0.5),
        ({"retry-after": "nan"}, 0.3, 0.5),
        ({"retry-after": format_datetime(START - timedelta(days=1), usegmt=True)}, 0.3, 0.5),
        ({}, 0.3, 0.5),
    ],
)
def test_retry_after(headers: dict[str, str], low: float, high: float) -> None:
    clock = FastClock(START)
    handler, _ = replies(httpx.Response(429, headers=headers), httpx.Response(200, json={}))
    with http_at(handler=handler, clock=clock) as http:
        http.get_json("/x")
    assert low <= clock.monotonic() <= high


@pytest.mark.parametrize(
    ("advice", "told"), [("121", 121.0), ("3600", 3600.0), ("99999999999", 86_400.0), ("inf", 86_400.0)]
)
def test_a_long_retry_after_is_handed_on(advice: str, told: float) -> None:
    clock = FastClock(START)
    handler, seen = replies(httpx.Response(429, headers={"retry-after": advice}))
    with http_at(handler=handler, clock=clock) as http, pytest.raises(RateLimited) as caught:
        http.create("/batches", {})
    assert (caught.value.retry_after, len(seen), clock.monotonic()) == (told, 1, 0)


def test_an_empty_purse_is_not_waited_for() -> None:
    body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    handler, seen = replies(httpx.Response(429, json=body))
    for call in (lambda http: http.get_json("/x"), lambda http: http.create("/batches", {})):
        with http_at(handler=handler) as http, pytest.raises(Refused) as caught:
            call(http)
        assert type(caught.value) is Refused
        assert "billing" in caught.value.hint
    assert len(seen) == 2


# -- what an error says


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (
            b'{"error":{"message":"bad window","type":"invalid_request_error","code":null}}',
            "bad window",
            "invalid_request_error",
        ),
        (b'{"error":{"message":"m","code":400}}', "m", "400"),
        (b'{"error":{"message":"m","code":429,"type":"insufficient_quota"}}', "m", "insufficient_quota"),
        (b'{"error":"plain words"}', "plain words", None),
        (b'{"message":"no wrapper","code":"x"}', "no wrapper", "x"),
        (b'{"detail":"not allowed"}', "not allowed", None),
        (b'{"detail":[{"loc":["body"],"msg":"field required"}]}', "field required", None),
        (b"upstream said no", "upstream said no", None),
        (b"<html><body>Bad gateway</body></html>", "an HTML page", None),
        (b"\xff\xfe\x00", "", None),
        (b"", "`POST /v1/batches`", None),
        (b'"a text"', "a text", None),
        (b"[" * 100_000, "[[[", None),
        ('{"error":{"message":"a\u202eb\\u001b[31mc\\u0000"}}'.encode(), "a b [31mc", None),
    ],
)
def test_the_remotes_own_words(body: bytes, message: str, code: str | None) -> None:
    handler, _ = replies(httpx.Response(400, content=body, headers={"x-request-id": "req_7"}))
    with http_at(handler=handler) as http, pytest.raises(Refused) as caught:
        http.create("/batches", {})
    assert message in caught.value.message
    assert (caught.value.code, caught.value.request_id) == (code, "req_7")
    assert "`acme` answered 400 to `POST /v1/batches`" in caught.value.message
    assert "request id `req_7`" in caught.value.message


def test_long_words_are_cut() -> None:
    handler, _ = replies(httpx.Response(400, json={"error": {"message": "x" * 5000}}))
    with http_at(handler=handler) as http, pytest.raises(Refused) as caught:
        http.create("/batches", {})
    assert caught.value.message.count("x") == 256


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthFailed), (403, AuthFailed), (404, NotFound), (410, Refused), (500, OutcomeUnknown), (302, Refused)],
)
def test_status_classes(status: int, kind: type[RemoteError]) -> None:
    handler, _ = replies(httpx.Response(status))
    with http_at(handler=handler) as http, pytest.raises(RemoteError) as caught:
        http.get_json("/x")
    assert type(caught.value) is kind
    assert caught.value.status == status
    if status == 401:
        assert "`ACME_API_KEY`" in caught.value.hint


def test_a_redirect_is_not_followed() -> None:
    handler, seen = replies(httpx.Response(302, headers={"location": "https://elsewhere.example.com/"}))
    with http_at(handler=handler) as http, pytest.raises(Refused) as caught:
        http.get_json("/x")
    assert len(seen) == 1
    assert "base_url" in caught.value.hint


# -- what is never said


def test_the_key_is_in_no_error_log_or_repr(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Even a remote that quotes it, in a body and in headers, does not make us say it."""
    caplog.set_level(logging.DEBUG)
    redaction.learn(KEY)
    echo = {"x-echo": KEY, "location": "https://store.example.com/o?X-Goog-Signature=abcdef"}
    bad = reply(
        401, {"error": {"message": f"Incorrect API key provided: {KEY} at https://x.example/?sig=abcdef"}}, echo
    )
    said = []
    for answer in (send(bad), reset, send(reply(200, KEY.encode())), send(reply(500, {"error": KEY}, echo))):
        with serving(answer) as server, http_at(server.base_url, settings=SWIFT) as http:
            said.append(repr(http))
            for call in (
                lambda h: h.get_json("/x"),
                lambda h: h.create("/x", {}),
                lambda h: h.download("/x", tmp_path / "d"),
            ):
                try:
                    call(http)
                except RemoteError as error:
                    said += [str(error), repr(error), error.hint, "".join(traceback.format_exception(error))]
    everything = "\n".join(said) + caplog.text
    assert "httpcore" in caplog.text
    assert KEY not in everything
    assert "abcdef" not in everything.replace(KEY, "")


def test_signed_urls_go_without_key_and_are_logged_without_query(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(send(reply(200, b"row\n"))) as server, http_at("https://api.example.com/v1") as http:
        url = server.base_url + "/bucket/o?X-Goog-Signature=feedface"
        assert http.download(url, tmp_path / "out") == 4
        assert "authorization" not in server.requests[0].headers
        assert "feedface" in server.requests[0].path
    assert "feedface" not in caplog.text
    assert "/v1/bucket/o" in caplog.text


def test_one_debug_line_per_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="runner.remotes.transport.exchange")
    handler, _ = replies(httpx.Response(200, json={}))
    with http_at(handler=handler) as http:
        http.get_json("/batches", {"after": "batch_9"})
    lines = [record.getMessage() for record in caplog.records if record.name == "runner.remotes.transport.exchange"]
    assert lines == ["GET /v1/batches 200 0 ms"]


# -- the rest


def test_read_only_sends_nothing(tmp_path: Path) -> None:
    handler, seen = replies(httpx.Response(200, json={}))
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"{}\n")
    with http_at(handler=handler, settings=HttpSettings(read_only=True)) as http:
        form = MultipartForm(source, "in.jsonl", "application/jsonl", {"purpose": "batch"})
        mutations: list[Callable[[Http], object]] = [
            lambda h: h.create("/batches", {}),
            lambda h: h.post_json("/batches/b/cancel"),
            lambda h: h.delete("/files/f"),
            lambda h: h.upload("/files", form),
        ]
        for mutation in mutations:
            with pytest.raises(BlockedError, match="read-only"):
                mutation(http)
        assert http.get_json("/batches") == {}
    assert seen == ["GET /v1/batches"]


def test_a_json_answer_has_a_cap() -> None:
    class Endless(httpx.SyncByteStream):
        def __iter__(self):  # type: ignore[no-untyped-def]
            while True:
                yield b" " * (1 << 20)

    with (
        http_at(
            transport=httpx.MockTransport(lambda request: httpx.Response(200, stream=Endless())),
            settings=HttpSettings(retry_policy=RetryPolicy(tries=1)),
        ) as http,
        pytest.raises(OutcomeUnknown, match="too long"),
    ):
        http.get_json("/x")


@pytest.mark.parametrize(
    "location",
    ["mailto:a@b", "http:a", "javascript:alert(1)", "http://xn--/", "http://[::1", "http://a:1e3/", "//", "/" * 70_000],
)
def test_a_redirect_is_a_refusal_wherever_it_points(location: str) -> None:
    with serving(send(reply(302, {}, {"location": location}))) as server, http_at(server.base_url) as http:
        with pytest.raises(Refused) as caught:
            http.create("/batches", {})
        assert (type(caught.value), len(server.requests)) == (Refused, 1)
        assert "base_url" in caught.value.hint


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "gzip, x"])
def test_an_encoding_that_nobody_asked_for_is_not_undone(encoding: str) -> None:
    """Two over each other inflate a megabyte to a terabyte, in one step."""
    twice = gzip.compress(gzip.compress(b"{}"))
    answer = send(reply(200, twice, {"content-encoding": encoding}))
    with serving(answer) as server, http_at(server.base_url, settings=SWIFT) as http:
        with pytest.raises(OutcomeUnknown, match="not asked for"):
            http.create("/batches", {})
        assert len(server.requests) == 1


def test_each_thread_has_its_own_connection() -> None:
    import threading

    with serving(OK) as server, http_at(server.base_url, clock=RealClock()) as http:
        threads = [threading.Thread(target=lambda: [http.get_json("/x") for _ in range(3)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        by_connection = {r.connection for r in server.requests}
        assert (len(server.requests), len(by_connection)) == (12, 4)


def test_a_closed_client_opens_anew() -> None:
    with serving(OK) as server, http_at(server.base_url) as http:
        http.get_json("/x")
        http.close()
        assert http.get_json("/x") == {"id": "batch_1"}
