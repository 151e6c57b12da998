"""Faults of HTTP: answers that are late, refused, lost or cut. Layers around any endpoint of any API.

Two layers, since who calls is asked between them: a request without a key is delayed and dropped like any other, but it
does not use up a refusal that is meant for a client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner.server.bodies import drain
from runner.server.endpoint import ApiCall, Effect, Endpoint, Handler
from runner.server.errors import ApiError
from runner.server.faults.switches import FaultSwitches, Setting
from runner.server.rates import waiting

Layer = Callable[[Handler], Handler]
_LOSING = {
    Effect.CREATE: "lose_create_reply",
    Effect.UPLOAD: "lose_upload_reply",
    Effect.ANSWER: "lose_answer",
}


def severable(app: ASGIApp) -> ASGIApp:
    """The outermost layer: gives those inside the means to end a connection, at once or after what was written.

    uvicorn's `send` belongs to the object that holds the transport; ASGI itself has no word for it.
    """

    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        if transport is not None:
            scope["runner.abort"], scope["runner.close"] = transport.abort, transport.close
        await app(scope, receive, send)

    return outermost


class ConnectionFaults:
    """What befalls a connection before anybody asks who calls: `slow`, `drop`; and `truncate_download`, after."""

    def __init__(self, app: ASGIApp, endpoint: Endpoint, faults: FaultSwitches) -> None:
        self._app = app
        self._route = endpoint.name
        self._downloads = endpoint.effect is Effect.DOWNLOAD
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        slow = self._faults.get("slow")
        if slow is not None and slow.means(self._route):
            await asyncio.sleep(slow.value)
        if self._faults.take("drop", self._route):
            await drain(Request(scope, receive))  # so that who sent it cannot know that nothing was done
            await _abort(scope, receive)
            return
        await self._app(scope, receive, self._cut(scope, send) if self._downloads else send)

    def _cut(self, scope: Scope, send: Send) -> Send:
        """A `send` that may cut the body short; whether is decided once there is an answer."""
        to = send

        async def cutting(message: Message) -> None:
            nonlocal to
            if message["type"] == "http.response.start":
                cut = self._faults.take("truncate_download", self._route)
                if cut is not None and message["status"] in (200, 206):
                    to = _Shortened(scope, send, cut.number("at"))
            await to(message)

        return cutting


def with_reply_faults(endpoint: Endpoint, faults: FaultSwitches) -> Endpoint:
    """What befalls a call of somebody we know: refused before its work, or failed or lost after it."""
    losing = _LOSING.get(endpoint.effect, "")

    async def faulty(call: ApiCall) -> Response:
        # both are used up by one call, the refusal for its rate being what is said
        early = _refused(endpoint, faults.take("rate_limit", endpoint.name), faults.take("fail_before", endpoint.name))
        if early is not None:
            return early
        response = await endpoint.handler(call)
        if response.status_code >= 300:
            return response
        # only what took effect can lose its reply: a refused create has none to be unsure of
        if losing and faults.take(losing, endpoint.name):
            return _Lost()
        late = faults.take("fail_after", endpoint.name)
        if late is None:
            return response
        text = "The server had an error after doing the work (a fault)."
        return endpoint.error_style.wording(ApiError(int(late.number("status")), text))

    return endpoint._replace(handler=faulty)


def with_layers(endpoints: Iterable[Endpoint], layers: Mapping[str, Layer]) -> list[Endpoint]:
    """The endpoints with the layers of those that have one, by name."""
    return [each._replace(handler=layers.get(each.name, _bare)(each.handler)) for each in endpoints]


def _bare(handler: Handler) -> Handler:
    return handler


# Shapes are edited as clients get them, behind the handler: so the code that makes them knows of one shape only.
# Decoding and encoding again costs nothing while no such fault is on.
def with_edits(faults: FaultSwitches, names: tuple[str, ...], edit: Callable[[ApiCall, dict[str, Any]], None]) -> Layer:
    """A layer that changes what good answers show while one of the faults `names` is on; `edit` works in place."""

    def layer(handler: Handler) -> Handler:
        async def faulty(call: ApiCall) -> Response:
            response = await handler(call)
            if response.status_code >= 300 or not any(faults.get(name) for name in names):
                return response
            shape = msgspec.json.decode(response.body)
            edit(call, shape)
            return Response(msgspec.json.encode(shape), response.status_code, media_type=response.media_type)

        return faulty

    return layer


def _refused(endpoint: Endpoint, limited: Setting | None, failing: Setting | None) -> Response | None:
    if limited is not None:
        wait = limited.number("retry_after")
        error = ApiError(429, "Rate limit reached (a fault).", code=limited.text("code"))
        response = endpoint.error_style.wording(error)
        response.headers.update(waiting(wait))
        return response
    if failing is None:
        return None
    text = "The server had an error and did nothing (a fault)."
    return endpoint.error_style.wording(ApiError(int(failing.number("status")), text))


class _Lost(Response):
    """No answer: the connection is dropped in place of it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _abort(scope, receive)


async def _abort(scope: Scope, receive: Receive) -> None:
    """Drop the connection; returns when the server has noticed."""
    scope["runner.abort"]()
    while (await receive())["type"] != "http.disconnect":
        pass


class _Shortened:
    """A `send` that stops at a fraction of the body and closes the connection."""

    def __init__(self, scope: Scope, send: Send, at: float) -> None:
        self._scope = scope
        self._send = send
        self._at = at
        self._left = 0
        self._is_cut = False

    async def __call__(self, message: Message) -> None:
        if self._is_cut:
            return
        if message["type"] == "http.response.start":
            size = dict(message["headers"]).get(b"content-length", b"0")
            self._left = int(int(size) * self._at)
            await self._send(message)
            return
        body = message.get("body", b"")[: self._left]
        self._left -= len(body)
        # said to go on even where it is the last: uvicorn would complain of a body shorter than its content-length
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        if self._left <= 0 or not message.get("more_body", False):
            self._is_cut = True
            self._scope["runner.close"]()
