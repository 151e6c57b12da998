"""Calls that are answered at once: OpenAI's endpoints and Fireworks', by the same engines as batches."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest

from runner.clock import FastClock
from runner.server.engines.echo import Echo
from runner.server.rates import Rates, duration
from tests.server.conftest import TOKENS, Lab, begin, lines

CHAT = "/v1/chat/completions"
HELLO: list[Any] = [{"role": "user", "content": "hello"}]


def ask(lab: Lab, text: str = "hello", path: str = CHAT, **more: Any) -> httpx.Response:
    """One call, on a connection of its own."""
    body = {"model": "echo", "messages": [{"role": "user", "content": text}], **more}
    headers = {"authorization": f"Bearer {TOKENS[0]}"}
    return httpx.post(lab.url + path, json=body, headers=headers, trust_env=False, verify=False, timeout=30)


def test_the_official_sdk_gets_what_it_asks_of_every_endpoint(lab: Lab) -> None:
    sdk = lab.client()
    chat = sdk.chat.completions.with_raw_response.create(model="echo", messages=HELLO, n=2)
    assert chat.headers["x-request-id"].startswith("req_")
    assert int(chat.headers["x-ratelimit-remaining-requests"]) == int(chat.headers["x-ratelimit-limit-requests"]) - 1
    assert chat.headers["x-ratelimit-reset-tokens"].endswith("s")
    completion = chat.parse()
    assert [choice.message.content for choice in completion.choices] == ["echo: hello"] * 2
    assert completion.usage is not None and completion.usage.total_tokens > 0
    assert abs(completion.created - time.time()) < 60
    assert sdk.completions.create(model="echo", prompt="hello").choices[0].text == "echo: hello"
    assert sdk.responses.create(model="echo", input="hello").output_text == "echo: hello"
    vectors = sdk.embeddings.create(model="echo", input=["a", "b"], dimensions=16).data
    assert [len(vector.embedding) for vector in vectors] == [16, 16]
    assert not sdk.moderations.create(model="echo", input="hello").results[0].flagged
    assert "echo" in [model.id for model in sdk.models.list()]
    assert sdk.models.retrieve("echo").id == "echo"
    assert lab.log()["rows_asked"] == 5 and lab.log()["requests"][f"POST {CHAT}"] == 1


def test_fireworks_inference_answers_below_its_own_path(lab: Lab) -> None:
    sdk = openai.OpenAI(base_url=f"{lab.url}/inference/v1", api_key=TOKENS[0], max_retries=0, timeout=30)
    lab.clients["inference"] = sdk
    raw = sdk.chat.completions.with_raw_response.create(model="echo", messages=HELLO)
    assert raw.parse().choices[0].message.content == "echo: hello"
    assert {name for name in raw.headers if name.startswith("x-ratelimit")} == {
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
    }
    assert sdk.completions.create(model="echo", prompt="hello").choices[0].text == "echo: hello"
    assert sdk.responses.create(model="echo", input="hello").output_text == "echo: hello"
    assert sdk.embeddings.create(model="echo", input="a", dimensions=4).data[0].index == 0
    assert "echo" in [model.id for model in sdk.models.list()]


def test_an_answer_is_the_one_that_a_batch_gets(lab: Lab) -> None:
    batch = lab.wait(lab.submit(lines(3)).id)
    of_batch = {row["custom_id"]: row["response"]["body"] for row in lab.rows(batch.output_file_id)}
    for number in range(3):
        online = ask(lab, f"question {number}").json()
        assert {**online, "created": 0} == {**of_batch[f"row-{number}"], "created": 0}


@pytest.mark.parametrize(
    ("path", "body", "status", "param", "code"),
    [
        (CHAT, {"model": "echo", "messages": HELLO, "stream": True}, 400, "stream", "unsupported_value"),
        (CHAT, {"messages": HELLO}, 400, "model", "missing_required_parameter"),
        (CHAT, {"model": 3, "messages": HELLO}, 400, "model", "invalid_type"),
        (CHAT, {"model": "echo", "messages": HELLO, "stream": "no"}, 400, "stream", "invalid_type"),
        (CHAT, {"model": "echo", "messages": []}, 400, "messages", "empty_array"),
        (CHAT, {"model": "echo", "messages": HELLO, "temperature": 3}, 400, "temperature", "invalid_value"),
        (CHAT, {"model": "nobody", "messages": HELLO}, 404, "model", "model_not_found"),
        ("/v1/embeddings", {"model": "echo", "input": []}, 400, "input", None),
        ("/v1/responses", {"model": "echo", "input": "x", "stream": True}, 400, "stream", "unsupported_value"),
        ("/v1/moderations", {"input": "x", "model": 3}, 400, "model", "invalid_type"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_openais_words(
    lab: Lab, path: str, body: dict[str, Any], status: int, param: str, code: str | None
) -> None:
    with lab.http() as http:
        answer = http.post(path, json=body)
    error = answer.json()["error"]
    assert answer.status_code == status and set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)


def test_bodies_that_are_no_request(lab: Lab) -> None:
    with lab.http() as http:
        for body in (b"", b"{", b"[]", b'{"model":"echo","messages":"\xff"}'):
            for path in (CHAT, f"/inference{CHAT}"):
                assert http.post(path, content=body).status_code == 400, body
        assert http.get(CHAT).status_code == 405
        bare = httpx.post(lab.url + CHAT, json={"model": "echo"}, trust_env=False)
        assert bare.status_code == 401 and bare.json()["error"]["type"] == "invalid_request_error"
        # the size it says it has is enough to refuse it: nothing of it is kept
        head = {"content-length": str(71 * 1024 * 1024)}
        refused = http.post(CHAT, content=iter([b" " * 1024 * 1024] * 71), headers=head)
        assert refused.status_code == 413


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"model": "echo", "messages": HELLO, "stream": True}, "stream is not supported"),
        ({"messages": HELLO}, "model must be a string"),
        ({"model": "echo"}, "either messages or prompt_token_ids"),
        ({"model": "echo", "messages": [{"role": "robot", "content": "x"}]}, "invalid role robot"),
        ({"model": "echo", "messages": HELLO, "top_p": 7}, "top_p"),
    ],
)
def test_what_fireworks_refuses_is_refused_by_its_edge(lab: Lab, body: dict[str, Any], words: str) -> None:
    with lab.http() as http:
        answer = http.post(f"/inference{CHAT}", json=body)
    found = answer.json()
    assert answer.status_code == 400 and set(found) == {"error", "request_id"}
    assert set(found["error"]) == {"message", "param", "code", "type"} and words in found["error"]["message"]


def test_a_share_of_calls_meets_a_storm_and_says_when_to_come_back(lab: Lab) -> None:
    lab.faults(rate_limit={"value": 1000, "share": 0.3, "retry_after": 0.25, "route": f"POST {CHAT}"})
    answers = [ask(lab) for _ in range(100)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 30 and lab.log()["rows_asked"] == 70
    assert {answer.headers["retry-after-ms"] for answer in refused} == {"250"}
    lab.faults(rate_limit={"value": 2, "retry_after": 1})
    assert [ask(lab).status_code for _ in range(3)] == [429, 429, 200]


def test_an_answer_can_be_lost_late_or_an_error(lab: Lab) -> None:
    lab.faults(lose_answer={"value": 5, "share": 0.5})
    lost = 0
    for _ in range(10):
        try:
            assert ask(lab).status_code == 200
        except httpx.RemoteProtocolError:
            lost += 1
    # answered all the same: whoever asks again pays twice
    assert lost == 5 and lab.log()["rows_asked"] == 10
    lab.faults(fail_before={"value": 1, "status": 503}, fail_after={"value": 1, "status": 502})
    assert [ask(lab).status_code for _ in range(3)] == [503, 502, 200]
    assert lab.log()["rows_asked"] == 12
    lab.faults(slow=0.1)
    began = time.monotonic()
    assert ask(lab).status_code == 200 and time.monotonic() - began >= 0.1


def test_rows_that_fail_are_named_by_the_client_or_by_what_they_ask(lab: Lab) -> None:
    lab.faults(row_error={"match": "third", "status": 500})
    with lab.http() as http:
        body = {"model": "echo", "messages": HELLO}
        answers = [http.post(CHAT, json=body, headers={"x-client-request-id": name}) for name in ("first", "third")]
    assert [answer.status_code for answer in answers] == [200, 500]
    assert answers[1].json()["error"]["code"] == "injected_fault"
    lab.faults(row_error={"value": 0.5})
    first = [ask(lab, f"question {n}").status_code for n in range(40)]
    assert 5 < first.count(500) < 35
    assert first == [ask(lab, f"question {n}").status_code for n in range(40)]


def test_limits_a_minute_are_kept_and_shown(lab: Lab) -> None:
    lab.faults(requests_per_minute=3)
    answers = [ask(lab) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0", "0", "0"]
    refused = answers[-1]
    assert refused.json()["error"]["type"] == "requests" and 0 < int(refused.headers["retry-after"]) <= 20
    over = ask(lab, path=f"/inference{CHAT}")
    assert over.status_code == 429 and over.headers["x-ratelimit-over-limit"] == "yes"
    assert over.json()["error"]["code"] == "TOO_MANY_REQUESTS"
    # another caller has limits of his own
    with lab.http(TOKENS[1]) as http:
        assert http.post(CHAT, json={"model": "echo", "messages": HELLO}).status_code == 200
    lab.faults(requests_per_minute=None, tokens_per_minute=100)
    assert ask(lab, "x" * 300).status_code == 200
    assert ask(lab, "x" * 300).json()["error"]["type"] == "tokens"
    assert lab.log()["rows_asked"] == 5


def test_what_a_call_took_comes_back_over_a_minute() -> None:
    class Low(Rates):
        def limits(self) -> tuple[int, int]:
            return 60, 600

    clock = FastClock()
    rates = Low(clock)
    assert all(not rates.take("a", "m", 0).over for _ in range(60))
    refused = rates.take("a", "m", 0)
    assert refused.over == "requests" and refused.wait_seconds == pytest.approx(1)
    clock.sleep(0.5)
    assert rates.take("a", "m", 0).over
    clock.sleep(0.5)
    assert not rates.take("a", "m", 0).over
    clock.sleep(3600)
    full = rates.take("a", "m", 6_000)  # more than a minute holds: a full bucket must do
    assert not full.over and full.requests.remaining == 59 and full.tokens.remaining == 0
    assert rates.take("a", "m", 1).over == "tokens"
    assert [duration(n) for n in (0, 0.12, 1.5, 20, 360.2)] == ["0ms", "120ms", "1.5s", "20s", "6m0s"]


class Waiting(Echo):
    """A model with two places, each answer taking a moment."""

    concurrency = 2

    def answer(self, request: Any) -> Any:
        time.sleep(0.01)
        return super().answer(request)


def test_calls_and_a_batch_share_a_model_and_neither_starves(tmp_path: Path) -> None:
    lab = begin(tmp_path / "home")
    try:
        lab.service.site.engines.by_model = {**lab.service.site.engines.by_model, "waiting": Waiting}
        batch = lab.submit(lines(60, model="waiting"))
        stop = threading.Event()
        answered: list[int] = []

        def keep_asking() -> None:
            with lab.http() as http:
                while not stop.is_set():
                    answered.append(http.post(CHAT, json={"model": "waiting", "messages": HELLO}).status_code)

        with ThreadPoolExecutor(4) as threads:
            for _ in range(4):
                threads.submit(keep_asking)
            try:
                done = lab.wait(batch.id)
            finally:
                stop.set()
        assert done.request_counts.completed == 60
        assert len(answered) > 5 and set(answered) == {200}
    finally:
        lab.stop()


def test_a_model_that_cannot_be_loaded_says_so_and_is_tried_again(tmp_path: Path) -> None:
    lab = begin(tmp_path / "home", engine="upstream", upstream="nowhere")
    try:
        for _ in range(2):
            answer = ask(lab, model="any")
            assert answer.status_code == 503 and "not a URL" in answer.json()["error"]["message"]
    finally:
        lab.stop()


def test_an_upstream_answers_calls_too(tmp_path: Path) -> None:
    behind = begin(tmp_path / "behind", engine="echo")
    front = begin(tmp_path / "front", engine="upstream", upstream=f"{behind.url}/v1", upstream_key=TOKENS[0])
    try:
        assert ask(front, model="any").json()["choices"][0]["message"]["content"] == "echo: hello"
        assert msgspec.json.decode(ask(front, model="any", top_p=3).content)["error"]["param"] == "top_p"
    finally:
        front.stop()
        behind.stop()
