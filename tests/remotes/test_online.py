"""The online side of providers: what goes on the wire, what comes back as a line of results, and how fast."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from runner.clock import FastClock, RealClock
from runner.errors import NotSent, OutcomeUnknown, RateLimited, Refused
from runner.job.capabilities import Content, Transport
from runner.job.project import ProviderBlock
from runner.remotes.online import Request, answer_line, with_model
from runner.remotes.opening import open_provider
from runner.remotes.reading.lines import COMMON
from runner.remotes.registry import VENDORS, card_of, declared_by, has_online
from runner.remotes.transport.asking import OnlineCaller
from runner.remotes.transport.calls import Calls
from runner.remotes.transport.pace import Pace, seconds_of
from tests.remotes.loopback import Answer, Server, hang_up, reply, send, serving

BODY = b'{"messages":[{"role":"user","content":"Hi"}],"max_tokens":5}'
CHAT: dict[str, Any] = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Ho"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}


def caller(block: ProviderBlock, server: Server, clock: Any = None) -> OnlineCaller:
    url = server.base_url if block.kind == "openai" else server.base_url.removesuffix("/v1")
    provider = open_provider(
        block, Content.TEXT, Transport.ONLINE, environ={}, clock=clock or RealClock(), rng=random.Random(1),
        base_url=url, token="t",
    )  # fmt: skip
    assert isinstance(provider, Calls) and isinstance(provider.caller, OnlineCaller)
    return provider.caller


def asked(answer: Answer, kind: str = "openai", endpoint: str = "/v1/chat/completions") -> tuple[bytes, Server]:
    with serving(answer) as server:
        one = caller(ProviderBlock("mine", kind, account="acme"), server)
        try:
            return one.submit(Request("r1-x", endpoint, BODY, "models/m")).line, server
        finally:
            one.close()


def test_a_call_is_the_body_of_the_batch_line() -> None:
    line, server = asked(send(reply(body=CHAT)))
    (seen,) = server.requests
    assert (seen.method, seen.path, seen.body) == ("POST", "/v1/chat/completions", BODY)
    assert seen.headers["authorization"] == "Bearer t"
    parsed = COMMON.parse(line[:-1])
    assert (parsed.custom_id, parsed.input_tokens, parsed.output_tokens) == ("r1-x", 3, 2)
    assert line.endswith(b"\n") and line.count(b"\n") == 1


def test_the_model_that_a_batch_says_once_is_written_into_each_call() -> None:
    """On the wire alone: the digest is that of the line, so that batch and call are the same request."""
    _, server = asked(send(reply(body=CHAT)), "fireworks")
    (seen,) = server.requests
    assert seen.path == "/inference/v1/chat/completions"
    assert msgspec.json.decode(seen.body) == {"model": "models/m", **msgspec.json.decode(BODY)}
    assert with_model(b"{}", "m") == b'{"model":"m"}'


def test_other_endpoints_are_asked_where_they_are() -> None:
    _, server = asked(send(reply(body={"data": [{"embedding": [0.5]}]})), endpoint="/v1/embeddings")
    assert server.requests[0].path == "/v1/embeddings"


@pytest.mark.parametrize(
    "body",
    [
        msgspec.json.format(msgspec.json.encode(CHAT), indent=2),  # as some servers print
        msgspec.json.encode(CHAT).replace(b'"Ho"', b'"H\x01o"'),  # a raw control character
        msgspec.json.encode(CHAT).replace(b'"Ho"', b'"\\ud83d"'),  # half a pair
    ],
)
def test_an_answer_is_one_line_whatever_it_was_written_like(body: bytes) -> None:
    line, _ = asked(send(reply(body=body)))
    assert line.count(b"\n") == 1
    parsed = COMMON.parse(line[:-1])
    assert parsed.outcome is not None and parsed.outcome.name == "OK" and parsed.output_tokens == 2


def test_numbers_stay_as_they_were_written() -> None:
    line = answer_line("r1", 200, "q", b'{"choices":[{"x":1.10}],"n":12345678901234567890123}')
    assert b'{"choices":[{"x":1.10}],"n":12345678901234567890123}' in line


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (send(reply(429, {"error": {"message": "slow"}}, {"retry-after": "7"})), RateLimited),
        (send(reply(503, {"error": {"message": "busy"}}, {"retry-after": "7"})), RateLimited),
        (send(reply(503, {"error": {"message": "busy"}})), OutcomeUnknown),
        (send(reply(500, {})), OutcomeUnknown),
        (send(reply(408, {})), OutcomeUnknown),
        (send(reply(400, {"error": {"message": "no"}})), Refused),
        (send(reply(200, b"<html>a gateway</html>")), OutcomeUnknown),
        (hang_up, OutcomeUnknown),
    ],
)
def test_each_failure_is_what_it_proves(answer: Answer, error: type[Exception]) -> None:
    """And none is asked again by the transport: whoever keeps the journal decides."""
    with serving(answer) as server:
        one = caller(ProviderBlock("mine", "openai"), server)
        with pytest.raises(error) as caught:
            one.submit(Request("r1", "/v1/chat/completions", BODY, "m"))
        one.close()
        assert type(caught.value) is error and len(server.requests) == 1
        if isinstance(caught.value, RateLimited):
            assert caught.value.retry_after == 7.0


def test_nobody_listens() -> None:
    with serving(hang_up) as server:
        pass
    one = caller(ProviderBlock("mine", "openai"), server)
    with pytest.raises(NotSent):
        one.submit(Request("r1", "/v1/chat/completions", BODY, "m"))
    one.close()


def test_a_connection_is_kept() -> None:
    with serving(send(reply(body=CHAT))) as server:
        one = caller(ProviderBlock("mine", "openai"), server)
        for _ in range(5):
            one.submit(Request("r1", "/v1/chat/completions", BODY, "m"))
        one.close()
        assert (len(server.requests), server.connections) == (5, 1)


def test_what_is_declared_is_there() -> None:
    for kind in VENDORS:
        block = ProviderBlock(kind, kind, account="acme")
        assert declared_by()[kind].has_online == (Content.TEXT in declared_by()[kind].content)
        assert not declared_by()[kind].has_online or has_online(block)


def test_no_block_makes_a_tier_cheaper_elsewhere() -> None:
    own, other = ProviderBlock("openai", "openai"), ProviderBlock("mine", "openai", base_url="https://x.example/v1")
    assert card_of(own, Content.TEXT, Transport.ONLINE).tiers["flex"] == 0.5
    assert card_of(other, Content.TEXT, Transport.ONLINE).tiers == {}
    assert card_of(own, Content.TEXT, Transport.ONLINE).price_factor == 1.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("6m0s", 360), ("120ms", 0.12), ("1h2m3.5s", 3723.5), ("7", 7), ("0.5", 0.5), ("", 0), ("soon", 0),
     ("-3", 0)],
)  # fmt: skip
def test_durations_of_headers(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


def test_requests_are_spaced() -> None:
    pace = Pace(FastClock(), rpm=120)
    assert pace.wait_seconds() <= 0
    pace.sending(0)
    assert pace.wait_seconds() == pytest.approx(0.5)


def test_tokens_are_spaced_and_put_right() -> None:
    pace = Pace(FastClock(), tpm=6_000)
    pace.sending(1_000)
    assert pace.wait_seconds() == pytest.approx(10.0)
    pace.answered({}, 1_000, 100)  # it was much shorter than it could have been
    assert pace.wait_seconds() == pytest.approx(1.0)


def test_headers_stop_before_a_refusal_does() -> None:
    pace = Pace(FastClock())
    pace.answered({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "9s"}, 0, 0)
    assert pace.wait_seconds() <= 0
    pace.answered({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "9s"}, 0, 0)
    assert pace.wait_seconds() == pytest.approx(9.0)
    pace.answered({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "24h"}, 0, 0)
    assert pace.wait_seconds() == pytest.approx(60.0)  # limits are per minute


def test_pauses_grow_once_for_all_that_were_under_way() -> None:
    clock = FastClock()
    pace = Pace(clock)
    for _ in range(8):
        pace.pause()
    assert pace.wait_seconds() == pytest.approx(0.5)
    clock.sleep(0.5)
    pace.pause()
    assert (pace.wait_seconds(), pace.failures) == (pytest.approx(1.0), 2)
    pace.pause(20.0)
    assert pace.wait_seconds() == pytest.approx(20.0)
    pace.answered({}, 0, 0)
    assert pace.failures == 0
