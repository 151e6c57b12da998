"""A batch API for any OpenAI-compatible server: each row is one ordinary request to it."""

from __future__ import annotations

import contextlib
import random
import threading
from dataclasses import dataclass, field

import httpx
import msgspec

from runner.errors import EngineError
from runner.server.engines.base import EngineReply, EngineRequest, refusal

_ATTEMPTS = 5
_MAX_WAIT_SECONDS = 60.0
_MAX_ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """Where the other server is: `url` with its `/v1`, and the key it wants, if any."""

    url: str
    key: str | None = field(default=None, repr=False)
    concurrency: int = 8


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class _Answer(msgspec.Struct):
    usage: _Usage | None = None


_answer = msgspec.json.Decoder(_Answer)


class Upstream:
    """The engine behind `--engine upstream`."""

    def __init__(self, target: Target, transport: httpx.BaseTransport | None = None) -> None:
        self.concurrency = target.concurrency
        self._base = target.url.rstrip("/").removesuffix("/v1")
        headers = {"authorization": f"Bearer {target.key}"} if target.key else {}
        self._client = httpx.Client(
            headers=headers,
            transport=transport,
            # a proxy of the environment is for remotes, and the upstream is usually next door
            trust_env=False,
            # a model that writes a long answer says nothing until it has written it all
            timeout=httpx.Timeout(600, connect=10),
            limits=httpx.Limits(max_connections=target.concurrency),
        )
        self._stop = threading.Event()

    def prepare(self) -> None:
        if not self._base.startswith(("http://", "https://")):
            raise EngineError(
                "the upstream is not a URL", hint="give its address: `--upstream http://127.0.0.1:8000/v1`"
            )

    def close(self) -> None:
        self._stop.set()
        with contextlib.suppress(RuntimeError):  # a row in flight still uses it; the process is ending
            self._client.close()

    def answer(self, request: EngineRequest) -> EngineReply:
        """The other server's answer; 429, 5xx and lost connections are tried again, up to five times in all."""
        reply, status, asked = self._once(request)
        for attempt in range(1, _ATTEMPTS):
            wait = _wait_before(status, asked, attempt)
            if wait is None or self._stop.wait(wait):
                break
            reply, status, asked = self._once(request)
        return reply

    def _once(self, request: EngineRequest) -> tuple[EngineReply, int, float | None]:
        """One request: the reply, the status on the wire (0: none), and the seconds we are asked to wait."""
        try:
            with self._client.stream(
                "POST",
                self._base + request.endpoint,
                content=request.body,
                headers={"content-type": "application/json"},
            ) as response:
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    # read in pieces, so that a server that never ends an answer cannot fill our memory with it
                    if len(body) > _MAX_ANSWER_BYTES:
                        return refusal(400, "answer_too_large", "The upstream's answer is too large."), 400, None
                return _reply(response.status_code, bytes(body)), response.status_code, _retry_after(response)
        except httpx.TimeoutException:
            return EngineReply(0, b"", failure=("request_timeout", "The upstream did not answer in time.")), 0, None
        except httpx.HTTPError as error:
            text = f"The upstream cannot be reached: {type(error).__name__}"
            return EngineReply(0, b"", failure=("upstream_unreachable", text)), 0, None


def _reply(status: int, body: bytes) -> EngineReply:
    try:
        usage = _answer.decode(body).usage or _Usage()
    except (msgspec.MsgspecError, RecursionError):
        try:
            msgspec.json.decode(body)
        except (msgspec.MsgspecError, RecursionError):  # not JSON: it must not break the line it would be put into
            text = body[:256].decode("utf-8", "replace")
            return refusal(status if status >= 400 else 502, "upstream_not_json", f"The upstream answered: {text}")
        usage = _Usage()
    if b"\n" in body:  # pretty-printed: a raw newline would end the result line
        body = msgspec.json.format(body, indent=-1)
    inputs, outputs = usage.prompt_tokens or usage.input_tokens, usage.completion_tokens or usage.output_tokens
    return EngineReply(status, body, inputs, outputs)


def _retry_after(response: httpx.Response) -> float | None:
    for header, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with contextlib.suppress(ValueError):
            return float(response.headers.get(header, "")) * scale
    return None


def _wait_before(status: int, asked: float | None, attempt: int) -> float | None:
    """Seconds before the next try; None where another try would not help."""
    # any other status is the answer: the same request would get it again
    if status not in (0, 408, 429) and status < 500:
        return None
    if asked is not None and asked > 0:
        return min(asked, _MAX_WAIT_SECONDS)
    return float(min(0.25 * 2**attempt, 8.0) * random.uniform(0.75, 1.0))  # noqa: S311  # jitter
