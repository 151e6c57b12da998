"""Calls that are answered at once: a body in, the reply of an engine out, by the same engines that batches have.

A model that waits has one pool of threads, which takes jobs in the order they came: a batch keeps no more than twice
its places queued there, so a call is soon at work, and a batch gets its turn among calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar, cast

import msgspec
from starlette.responses import Response

from runner.server.bodies import read_bytes
from runner.server.endpoint import ApiCall, Handler
from runner.server.engines.base import EngineReply, EngineRequest, Loadable, answered
from runner.server.engines.registry import Registry, Slot
from runner.server.errors import ApiError
from runner.server.pool import Pool
from runner.server.rates import Admission, Rates
from runner.server.site import Site

# 50 MB of pictures and files, which base64 makes a third longer (source: OpenAI, "Images and vision", 50 MB a request)
MAX_BODY_BYTES = 70 * 1024 * 1024
_AT_ONCE = 64  # calls of quick engines: enough that those which a fault delays do not hold up the others
_LOOK_SECONDS = 0.02
_BYTES_PER_TOKEN = 4
_MOST_COUNTED_BYTES = 4_000_000  # of one body: a picture is not a token for every four of its bytes
_REQUEST_NAME = "x-client-request-id"

E = TypeVar("E", bound=Loadable)
R = TypeVar("R")


class OnlineStyle(NamedTuple):
    """What is an API's own about a call: how it judges a body, and what its headers say of limits."""

    model_of: Callable[[str, bytes], str]  # endpoint, body: the model it asks; raises ApiError
    headers: Callable[[Admission], Mapping[str, str]]
    too_many: Callable[[str, Admission], ApiError]  # model


class OnlineCalls:
    """How calls reach engines. Used on the event loop."""

    def __init__(self, site: Site, rates: Rates) -> None:
        self._site = site
        self._rates = rates
        self._quick: Pool | None = None
        self._lock = threading.Lock()

    def handler(self, endpoint: str, style: OnlineStyle) -> Handler:
        """The handler of one endpoint, named as in OpenAI's API (`/v1/chat/completions`)."""

        async def answer(call: ApiCall) -> Response:
            body = await read_bytes(call, MAX_BODY_BYTES)
            model = style.model_of(endpoint, body)
            headers = self.admitted(call.owner, model, style, min(len(body), _MOST_COUNTED_BYTES) // _BYTES_PER_TOKEN)
            request = EngineRequest(endpoint, model, body, int(self._site.now()), _name_of(call, body))
            reply = await self.run(self._site.engines, model, lambda engine: answered(engine, request))
            if not reply.is_ok:
                raise _error_of(reply, headers)
            return Response(reply.body, reply.status, headers, media_type="application/json")

        return answer

    def admitted(self, owner: str, model: str, style: OnlineStyle, tokens: int) -> dict[str, str]:
        """Count a call; what the headers of its answer say of limits. Raises ApiError 429 where there is no room."""
        admission = self._rates.take(owner, model, tokens)
        headers = dict(style.headers(admission))
        if admission.over:
            error = style.too_many(model, admission)
            error.headers = {**headers, **error.headers}
            raise error
        return headers

    async def run(self, engines: Registry[E], model: str, ask: Callable[[E], R]) -> R:
        """What `ask` makes of the model's engine. Waits while it loads; raises ApiError 503 where it cannot be."""
        slot = await self._ready(engines, model)
        self._site.log.rows_asked(1)
        return await self._run(slot, lambda: ask(slot.engine))

    async def _ready(self, engines: Registry[E], model: str) -> Slot[E]:
        slot = engines.slot(model)
        while slot.is_loading:
            await asyncio.sleep(_LOOK_SECONDS)
        if slot.error is None:
            return slot
        # who fetches the weights now need not start the server again: the next call tries to load them once more
        engines.forget(model)
        hint = f"; {slot.error.hint}" if slot.error.hint else ""
        raise ApiError(503, slot.error.message + hint, code="engine_unavailable")

    async def _run(self, slot: Slot[E], ask: Callable[[], R]) -> R:
        """`ask` in a thread of its engine: on the event loop, even a quick one would hold up those who poll."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()

        def settle(answer: R | None, error: Exception | None) -> None:
            if future.done():  # given up: the server is ending
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(cast(R, answer))

        def job() -> None:
            answer: R | None = None
            error: Exception | None = None
            try:
                answer = ask()
            except Exception as raised:  # noqa: BLE001  # whoever waits gets it
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, answer, error)

        (slot.pool or self._pool()).put(job)
        return await future

    def _pool(self) -> Pool:
        # most servers are never called so, and sixty-four threads are not made for nothing
        with self._lock:
            if self._quick is None:
                self._quick = Pool(_AT_ONCE, "online")
            return self._quick


def _name_of(call: ApiCall, body: bytes) -> str:
    """What names a call where rows have their custom_id: the client's own word, or the digest of what is asked."""
    given = call.headers.get(_REQUEST_NAME, "")[:512]
    return given or hashlib.blake2b(body, digest_size=16).hexdigest()


class _Said(msgspec.Struct):
    message: str = ""
    type: str = ""
    param: str | None = None
    code: str | int | None = None


class _Failed(msgspec.Struct):
    error: _Said | str = ""


_failed = msgspec.json.Decoder(_Failed)


def _error_of(reply: EngineReply, headers: Mapping[str, str]) -> ApiError:
    """What an engine refused, or failed at, to be put into the words of the API that was called."""
    if reply.failure is not None:
        code, text = reply.failure
        return ApiError(504 if "timeout" in code else 502, text, code=code, headers=headers)
    try:
        said: _Said | str = _failed.decode(reply.body).error
    except (msgspec.MsgspecError, RecursionError):
        said = reply.body[:256].decode("utf-8", "replace")
    inner = _Said(said) if isinstance(said, str) else said
    named = None if inner.code is None else str(inner.code)
    return ApiError(reply.status, inner.message, param=inner.param, code=named, kind=inner.type, headers=headers)
