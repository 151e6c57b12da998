from __future__ import annotations

import base64
import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.job.outcomes import Outcome
from runner.job.wireid import coded, key_of, keys_named
from runner.mending import repaired
from runner.remotes.reading import lines
from runner.remotes.reading.verdict import Unreadable

from . import made

OK, FINAL, RETRY, LOST = Outcome.OK, Outcome.FINAL, Outcome.RETRY, Outcome.LOST
CHAT = made.chat("x")
DEEP = b"[" * 100_000 + b"]" * 100_000


@given(st.binary(min_size=16, max_size=16), st.text("ab_-", max_size=40))
def test_a_key_is_found_in_the_last_22_characters(key: bytes, readable: str) -> None:
    text = base64.urlsafe_b64encode(key).decode().rstrip("=")
    assert key_of(f"{readable}-{text}") == key


@pytest.mark.parametrize(
    "custom_id",
    [
        "",
        "row-1",
        "A" * 22,
        "x" + "A" * 22,
        "r-" + "A" * 21,
        "r-" + "A" * 21 + "B",  # the same 128 bits spelled otherwise
        "r-" + "A" * 20 + "+A",
        "r-" + "A" * 20 + "/A",
        "r-" + "A" * 20 + "=A",
        "r-" + "A" * 20 + " A",
        "r-" + "é" * 21 + "A",
        "r-" + "\0" * 21 + "A",
    ],
)
def test_foreign_ids_have_no_key(custom_id: str) -> None:
    assert key_of(custom_id) is None


@given(st.text())
def test_no_id_crashes(custom_id: str) -> None:
    key_of(custom_id)


def wrapped(status: Any, body: Any = None) -> dict[str, Any]:
    return {"response": {"status_code": status, "body": body}, "error": None}


CASES: list[tuple[dict[str, Any], Outcome | None]] = [
    (wrapped(200, CHAT), OK),
    (wrapped(201, CHAT), OK),
    (wrapped("200", CHAT), OK),
    (wrapped(200.0, CHAT), OK),
    (wrapped(200, None), RETRY),
    (wrapped(200, {}), RETRY),
    (wrapped(200, " "), RETRY),
    (wrapped(200, 7), RETRY),
    (wrapped(200, {"error": None, "choices": []}), RETRY),
    (wrapped(200, {"choices": [None]}), RETRY),
    (wrapped(200, {"pages": [{"markdown": "x"}]}), OK),  # of an endpoint we do not know
    (wrapped(200, {"status": "incomplete", "output": []}), OK),
    (wrapped(200, {"output": [{"type": "message"}]}), OK),
    (wrapped(200, {"data": [{"embedding": [1]}]}), OK),
    (wrapped(200, '{"choices":[{"message":{}}]}'), OK),
    (wrapped(200, '{"choices":[]}'), RETRY),
    (wrapped(400, '{"error":{"code":"rate_limit_exceeded"}}'), RETRY),
    ({"response": '{"choices":[{"message":{}}]}'}, OK),
    ({"response": '{"status_code":200,"body":{"output":[{"type":"message"}]}}'}, OK),
    ({"response": '{"status_code":503,"body":null}'}, RETRY),
    ({"response": {}}, RETRY),
    ({"response": CHAT}, OK),
    ({"response": {"data": []}}, RETRY),
    ({"response": {"output": []}}, RETRY),
    ({"response": {"output": [{"type": "message"}]}}, OK),
    ({"response": {"data": [{"embedding": [1]}]}}, OK),
    ({"response": CHAT, "error": ""}, OK),
    ({"response": CHAT, "error": {}}, OK),
    ({"response": CHAT, "error": {"code": None, "message": ""}}, OK),
    ({**wrapped(200, CHAT), "error": {"code": "odd", "message": "both"}}, FINAL),
    (wrapped(200, {"error": {"code": "server_error"}}), RETRY),
    (wrapped(200, {"error": {"code": "odd"}}), FINAL),
    (wrapped(300, CHAT), FINAL),
    (wrapped(199, CHAT), FINAL),
    (wrapped(400, {"error": {"code": "bad", "message": "no"}}), FINAL),
    (wrapped(400, "plain words"), FINAL),
    (wrapped(404), FINAL),
    (wrapped(408), RETRY),
    (wrapped(409), RETRY),
    (wrapped(425), RETRY),
    (wrapped(429, {"error": {"code": "rate_limit_exceeded"}}), RETRY),
    (wrapped(500), RETRY),
    (wrapped(503), RETRY),
    ({"response": None, "error": {"code": "batch_expired", "message": "x"}}, RETRY),
    ({"response": None, "error": {"code": "request_timeout"}}, RETRY),
    ({"response": None, "error": {"code": "batch_cancelled"}}, LOST),
    ({"response": None, "error": {"code": "something_else"}}, FINAL),
    ({"response": None, "error": "words only"}, FINAL),
    ({"error": {"code": 400, "message": "Extra inputs are not permitted"}}, FINAL),
    ({"error": {"code": 503, "message": "busy"}}, RETRY),
    ({"error": {"code": "429", "message": "busy"}}, RETRY),
    ({"error": {"code": 14, "message": "unavailable"}}, RETRY),
    ({"error": {"code": 3, "message": "invalid"}}, FINAL),
    ({"error": ["odd"]}, FINAL),
    (wrapped(200, {"text": "", "format": "srt"}), OK),
    (wrapped(200, {"text": "x", "words": None, "segments": [], "language": "en", "duration": 1.5}), OK),
    ({"response": None, "error": {"code": "failed", "message": "not audio"}}, FINAL),
    ({"response": None, "error": {"code": "error", "message": "x"}}, FINAL),
    ({"response": None, "error": {"code": "expired", "message": "x"}}, RETRY),
    ({"response": None, "error": {"code": "no_body", "message": "x"}}, RETRY),
    ({"response": None, "error": {"code": "not_sent", "message": "its file is gone"}}, RETRY),
    ({"response": None, "error": {"code": "lost", "message": "x"}}, LOST),
    ({"response": None, "error": {"code": "refused", "message": "x", "status": 413}}, FINAL),
    ({"response": None, "error": {"code": "refused", "message": "x", "status": 503}}, RETRY),
    ({"response": None, "error": None}, RETRY),
    ({}, RETRY),
    ({"body": {"messages": []}}, None),
    ({"method": "POST", "url": "/v1/x", "body": {}}, None),
]


@pytest.mark.parametrize(("found", "outcome"), CASES)
def test_outcomes(found: dict[str, Any], outcome: Outcome | None) -> None:
    verdict = made.read(msgspec.json.encode({"custom_id": made.wire_id("a"), **found}))
    assert verdict.outcome == outcome
    assert key_of(verdict.custom_id) == made.key("a")
    assert not verdict.is_repaired


def test_tokens_are_read_where_they_are() -> None:
    assert made.read(made.ok("a"))[2:4] == (40, 3)
    assert made.read(made.bare("a"))[2:4] == (40, 3)
    said = {"output": [], "usage": {"input_tokens": 7, "output_tokens": 9}}
    assert made.read(made.line("a", response={"status_code": 200, "body": said}))[2:4] == (7, 9)
    odd = {"choices": [], "usage": {"prompt_tokens": "many"}}
    assert made.read(made.line("a", response={"status_code": 200, "body": odd}))[1:4] == (RETRY, 0, 0)


HEAD = b'{"custom_id":"%b","response":{"status_code":200,"body":{"choices":[{"message":{"content":"' % (
    made.wire_id("a").encode()
)
TAIL = b'"}}]}},"error":null}'


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (HEAD + b"\xff\xfe" + TAIL, "\ufffd\ufffd"),
        (HEAD + b"\xed\xa0\x80" + TAIL, "\ufffd\ufffd\ufffd"),  # a surrogate in raw bytes
        (HEAD + b"a\\ud83d" + TAIL, "a\ufffd"),
        (HEAD + b"a\\ude00b" + TAIL, "a\ufffdb"),
        (HEAD + b"\\ud83d\\ude00\\ud83d" + TAIL, "\U0001f600\ufffd"),
        (HEAD + b"\\\\ud83d\\ud83d" + TAIL, "\\ud83d\ufffd"),
        (HEAD + b"a\x00b\x01" + TAIL, "a\x00b\x01"),
        (b"\xef\xbb\xbf" + HEAD + b"x" + TAIL, "x"),
        (HEAD + b"x" + TAIL + b"\x00\x00\x00", "x"),
        (HEAD + b'NaN","logprob":NaN,"low":-Infinity,"q":"\\"NaN' + TAIL, "NaN"),
    ],
)
def test_what_json_forbids_is_put_right(line: bytes, shown: str) -> None:
    verdict = made.read(line)
    assert (key_of(verdict.custom_id), verdict.outcome, verdict.is_repaired) == (made.key("a"), OK, True)
    body = msgspec.json.decode(repaired(line))["response"]["body"]
    assert body["choices"][0]["message"]["content"] == shown


@pytest.mark.parametrize(
    "line",
    [HEAD + "\u2028 \u0085 \f".replace("\f", "\\f").encode() + TAIL, HEAD + b"x" + TAIL + b"\r", b"  " + HEAD + TAIL],
)
def test_odd_but_valid_lines_are_left_alone(line: bytes) -> None:
    verdict = made.read(line)
    assert (verdict.outcome, verdict.is_repaired) == (OK, False)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "not JSON"),
        (b"null", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"17", "not a JSON object"),
        (b"<html>", "not JSON"),
        (b"{}", "no `custom_id`"),
        (b'{"custom_id":5}', "`custom_id` is not text"),
        (b'{"custom_id":null}', "`custom_id` is not text"),
        (b'{"custom_id":"a","response":"x"}', "`response` is not an object"),
        (b'{"custom_id":"a","response":[]}', "`response` is not an object"),
        (b'{"custom_id":"a","response":{"x":1}}', "`response` has no known shape"),
        (b'{"custom_id":"a","response":{"choices":[],"status_code":%b}}' % (b"9" * 30), "is not an HTTP status"),
        (b'{"custom_id":"a","response":{"choices":[],"status_code":[]}}', "is not an HTTP status"),
        (HEAD, "not JSON"),
        (HEAD + b'\\"' * 50_000, "not JSON"),
        (HEAD + b"\\" * 50_001, "not JSON"),
        (HEAD + b"x" + TAIL + HEAD, "not JSON"),
        (b'{"custom_id":"a","response":' + DEEP + b"}", "nested too deeply"),
        (b'{"custom_id":"a","x":' + DEEP + b"}", "nested too deeply"),
        (DEEP, "nested too deeply"),
    ],
)
def test_unreadable_lines_say_why(line: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        made.read(line)


def test_a_request_line_has_an_id_and_no_answer() -> None:
    line = b'{"custom_id":"r-1","method":"POST","url":"/v1/x","body":{"model":"m"}}\n'
    assert lines.parts(line) == ("r-1", b"null")


def test_huge_integers_are_kept() -> None:
    digits = b"9" * 5000
    line = HEAD + b'x","n":%b,"m":"' % digits + TAIL
    assert made.read(line).outcome == OK


@given(st.binary())
def test_no_bytes_crash(line: bytes) -> None:
    with contextlib.suppress(Unreadable):
        made.read(line)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["error", "code", "body"]), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["custom_id", "response", "error", "body"]), JSON),
    st.dictionaries(st.sampled_from(["status_code", "body", "choices", "error", "usage", "data"]), JSON) | st.none(),
)
def test_no_shape_crashes(found: dict[str, Any], response: Any) -> None:
    for one in (found, {**found, "custom_id": "a"}, {**found, "custom_id": "a", "response": response}):
        data = msgspec.json.encode(one)
        try:
            verdict = made.read(data)
        except Unreadable:
            continue
        if verdict.outcome not in (OK, None):
            assert verdict.fault and isinstance(verdict.fault.message, str)


@given(st.dictionaries(st.sampled_from(["status_code", "body", "choices", "error", "usage"]), JSON) | st.none(), JSON)
def test_both_paths_judge_alike(response: Any, error: Any) -> None:
    data = msgspec.json.encode({"custom_id": made.wire_id("a"), "response": response, "error": error})
    try:
        fast: Any = made.read(data)
    except Unreadable as reason:
        fast = str(reason)
    try:
        slow: Any = lines.parse(data + b"\0")
        slow = slow._replace(is_repaired=False)
    except Unreadable as reason:
        slow = str(reason)
    assert fast == slow


@given(st.lists(st.binary(min_size=16, max_size=16).map(coded) | st.text("ABQgw-_+/=é", max_size=25)))
def test_many_ids_are_read_as_one_by_one(ends: list[str]) -> None:
    ids = ["r" + end for end in ends]
    assert keys_named(ids) == [key_of(one) for one in ids]


@given(st.binary(min_size=16, max_size=16))
def test_an_id_is_written_as_it_is_read(key: bytes) -> None:
    assert key_of("r" + coded(key)) == key
