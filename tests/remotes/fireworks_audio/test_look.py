"""What became of a recording, in all the ways a remote may say it; and the line that is kept of it."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.clock import FastClock
from runner.errors import AuthFailed, NotFound, OutcomeUnknown, Refused
from runner.job.observed import Phase
from runner.job.outcomes import Outcome
from runner.job.wireid import key_of
from runner.remotes.audio import Heard, Receipt, error_line, line_of
from runner.remotes.reading.answers import answer_of
from runner.remotes.reading.lines import parse
from tests.remotes.fireworks_audio.made import RECEIPT, provider_at, recording, spec_of
from tests.remotes.loopback import Answer, Server, hang_up, in_turn, reply, reset, send, serving
from tests.remotes.making import KEY

JSON, TEXT = "application/json", "text/plain; charset=utf-8"
CUSTOM_ID = "call-1-AAAAAAAAAAAAAAAAAAAAAA"


def shown(status: object, **fields: object) -> dict[str, Any]:
    return {"status": status, "batch_id": "b-7c1d", "message": None, "content_type": None, "body": None, **fields}


def look(answer: Answer, receipt: Receipt = RECEIPT, **provider: Any) -> tuple[Heard, Server]:
    with serving(answer) as server, provider_at(server.base_url, **provider) as remote:
        return remote.look(receipt), server


def heard(body: object) -> Heard:
    return look(send(reply(200, body)))[0]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (shown("processing"), Heard(Phase.RUNNING, "processing")),
        (shown("submitted", message="in line"), Heard(Phase.RUNNING, "submitted", message="in line")),
        (shown("Processing"), Heard(Phase.RUNNING, "Processing")),
        ({"status": "processing"}, Heard(Phase.RUNNING, "processing")),
        (shown("resting"), Heard(Phase.UNKNOWN, "resting")),
        (shown(None), Heard(Phase.UNKNOWN, "")),
        ({}, Heard(Phase.UNKNOWN, "")),
        (shown("resting", body='{"text":"x"}', content_type=JSON), Heard(Phase.UNKNOWN, "resting")),
        (
            shown("completed", content_type=JSON, body='{"text": "hello there"}'),
            Heard(Phase.COMPLETED, "completed", '{"text": "hello there"}', JSON),
        ),
        (
            shown("completed", content_type=JSON, body={"text": "hello", "words": [1.50]}),
            Heard(Phase.COMPLETED, "completed", '{"text":"hello","words":[1.5]}', JSON),
        ),
        (shown("completed", content_type=TEXT, body="hi\n"), Heard(Phase.COMPLETED, "completed", "hi\n", TEXT)),
        (shown("completed", content_type=TEXT, body=""), Heard(Phase.COMPLETED, "completed", "", TEXT)),
        (shown("completed", body="hi"), Heard(Phase.COMPLETED, "completed", "hi")),
        (
            shown("completed", content_type=JSON, body='{"text":"hi","error":null}'),
            Heard(Phase.COMPLETED, "completed", '{"text":"hi","error":null}', JSON),
        ),
        (
            shown("completed", content_type=TEXT, body='{"error": "is what she said"}'),
            Heard(Phase.COMPLETED, "completed", '{"error": "is what she said"}', TEXT),
        ),
    ],
)
def test_what_is_in_flight_and_what_is_answered(answer: object, expected: Heard) -> None:
    assert heard(answer) == expected


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (shown("failed", message="no speech"), "failed", "no speech"),
        (shown("error"), "error", "the remote says `error`"),
        (shown("expired", message="too old"), "batch_expired", "too old"),
        (shown("cancelled"), "batch_cancelled", "the remote says `cancelled`"),
        (
            shown("failed", content_type=JSON, body='{"error":{"message":"no room","code":"server_error"}}'),
            "server_error",
            "no room",
        ),
        (shown("completed"), "no_result", "the remote says `completed` and gives no answer"),
        (shown("completed", content_type=JSON, body="  "), "no_result", "gives no answer"),
        (shown("completed", content_type=JSON, body='{"error":"bad audio"}'), "error", "bad audio"),
        (
            shown("completed", content_type=JSON, body='{"error":{"object":"error","type":"bad_audio","message":"m"}}'),
            "bad_audio",
            "m",
        ),
    ],
)
def test_what_failed(answer: object, code: str, message: str) -> None:
    found = heard(answer)
    assert (found.phase, found.body, found.code) == (Phase.FAILED, None, code)
    assert message in found.message


def test_address_and_key(tmp_path: Path) -> None:
    _, server = look(send(reply(200, shown("processing", batch_id="b/7 c"))), Receipt("b/7 c", "a?b"))
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/v1/accounts/a%3Fb/batch_job/b%2F7%20c")
    assert request.headers["authorization"] == KEY
    assert request.size == 0


def test_whose_it_is_where_the_receipt_does_not_say() -> None:
    nobodys = Receipt("b-1", "")
    running = send(reply(200, shown("processing", batch_id="b-1")))
    _, server = look(running, nobodys, spec=spec_of(account="accounts/acme"))
    assert server.requests[0].path == "/v1/accounts/acme/batch_job/b-1"
    _, server = look(running, nobodys, environ={"FIREWORKS_API_KEY": KEY, "FIREWORKS_ACCOUNT_ID": "acme"})
    assert server.requests[0].path == "/v1/accounts/acme/batch_job/b-1"
    with pytest.raises(Refused, match="did not say whose"):
        look(running, nobodys)


@pytest.mark.parametrize(
    "answers",
    [
        (send(reply(500, {})), send(reply(503, b"")), send(reply(429, {}, {"retry-after": "3"}))),
        (reset, hang_up),
        (send(reply(200, shown("processing"))[:-5], keep=False),),
    ],
)
def test_a_look_is_repeated(answers: tuple[Answer, ...]) -> None:
    found, server = look(in_turn(*answers, send(reply(200, shown("processing")))), clock=FastClock())
    assert found.phase is Phase.RUNNING
    assert len(server.requests) == len(answers) + 1


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, {"code": 5}, NotFound),
        (401, {}, AuthFailed),
        (403, {}, AuthFailed),
        (302, b"", Refused),
        (200, b"<html>", OutcomeUnknown),
        (200, [], OutcomeUnknown),
        (200, None, OutcomeUnknown),
        (200, b"[" * 5000, OutcomeUnknown),
    ],
)
def test_what_is_no_answer(status: int, body: object, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        look(send(reply(status, body, {"location": "http://127.0.0.1:1/"})))
    assert type(caught.value) is kind


def test_a_bomb_goes_off_outside() -> None:
    bomb = gzip.compress(b'{"status":"' + b" " * (70 << 20) + b'"}', 1)
    with pytest.raises(OutcomeUnknown, match="too long"):
        look(send(reply(200, bomb, {"content-encoding": "gzip"})))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'{"status":"completed","content_type":"text/plain","body":"a \ud83d b"}', "a � b"),
        (rb'{"status":"completed","content_type":"text/plain","body":"a \ud83d\ude00"}', "a 😀"),
        (b'{"status":"completed","content_type":"text/plain","body":"a \x01 b"}', "a \x01 b"),
        (b'{"status":"completed","content_type":"text/plain","body":"a \xff b"}', "a � b"),
    ],
)
def test_one_bad_character_does_not_cost_an_answer(body: bytes, text: str) -> None:
    assert heard(body).body == text


VERBOSE = (
    '{\n "task": "transcribe", "language": "en", "duration": 1.90,\n "text": "hi\u2028 there",'
    ' "words": [{"word": "hi", "start": 0.10000000000000000001}], "segments": null}'
)


@pytest.mark.parametrize(
    ("asked", "content_type", "body", "response", "said"),
    [
        ("json", JSON, '{"text": "hello there"}', b'{"text":"hello there"}', "hello there"),
        ("verbose_json", JSON, VERBOSE, None, "hi\u2028 there"),
        ("text", TEXT, "hello\n", b'{"text":"hello\\n","format":"text"}', "hello\n"),
        ("srt", TEXT, "1\n00:00", b'{"text":"1\\n00:00","format":"srt"}', "1\n00:00"),
        ("vtt", "", "WEBVTT", b'{"text":"WEBVTT","format":"vtt"}', "WEBVTT"),
        ("srt", JSON, "1\n00:00", b'{"text":"1\\n00:00","format":"srt"}', "1\n00:00"),
        ("text", TEXT, "", b'{"text":"","format":"text"}', ""),
        ("json", TEXT, "plain after all", b'{"text":"plain after all","format":"text"}', "plain after all"),
        ("json", JSON, "no json after all", b'{"text":"no json after all","format":"text"}', "no json after all"),
        ("json", JSON, '"text"', b'{"text":"\\"text\\"","format":"text"}', '"text"'),
        ("json", JSON, r'{"text": "a \ud83d b"}', '{"text":"a � b"}'.encode(), "a � b"),
    ],
)
def test_the_line_of_an_answer_is_read_as_one(
    tmp_path: Path, asked: str, content_type: str, body: str, response: bytes | None, said: str
) -> None:
    asked_for = recording(tmp_path, fields={"model": "whisper-v3", "response_format": asked})
    line = line_of(CUSTOM_ID, asked_for, RECEIPT, Heard(Phase.COMPLETED, "completed", body, content_type))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    read = parse(line[:-1])
    assert (read.custom_id, read.outcome, read.is_repaired) == (CUSTOM_ID, Outcome.OK, False)
    assert key_of(read.custom_id) == bytes(16)
    found = msgspec.json.decode(line)
    assert found["response"]["request_id"] == "b-7c1d"
    assert found["error"] is None
    raw = line.partition(b'"body":')[2].removesuffix(b'},"error":null}\n')
    if response is not None:
        assert raw == response
    assert msgspec.json.decode(answer_of(raw).content) == said


def test_numbers_of_an_answer_stay_as_they_were(tmp_path: Path) -> None:
    line = line_of(CUSTOM_ID, recording(tmp_path), RECEIPT, Heard(Phase.COMPLETED, "completed", VERBOSE, JSON))
    assert b'"start":0.10000000000000000001' in line
    assert b'"duration":1.90' in line


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (shown("failed", message="no speech"), Outcome.FINAL),
        (shown("expired"), Outcome.RETRY),
        (shown("cancelled"), Outcome.LOST),
        (shown("completed"), Outcome.RETRY),
        (shown("completed", content_type=JSON, body='{"error":{"type":"server_error","message":"m"}}'), Outcome.RETRY),
        (shown("completed", content_type=JSON, body='{"error":"bad audio"}'), Outcome.FINAL),
    ],
)
def test_the_line_of_a_failure_says_whether_to_ask_again(tmp_path: Path, answer: object, outcome: Outcome) -> None:
    found = heard(answer)
    line = line_of(CUSTOM_ID, recording(tmp_path), RECEIPT, found)
    read = parse(line[:-1])
    assert read.outcome is outcome
    assert read.fault and read.fault.message == found.message


def test_the_line_of_a_refusal() -> None:
    line = error_line(CUSTOM_ID, "400", "the file is too large")
    assert line == (
        b'{"custom_id":"' + CUSTOM_ID.encode() + b'","response":null,'
        b'"error":{"code":"400","message":"the file is too large"}}\n'
    )
    assert parse(line[:-1]).outcome is Outcome.FINAL


def test_an_answer_about_another_recording_is_none() -> None:
    """As a reply that came twice stands in the place of the next one."""
    with pytest.raises(OutcomeUnknown, match="answered about `b-other`"):
        heard(shown("completed", batch_id="b-other", content_type=TEXT, body="what somebody else said"))
