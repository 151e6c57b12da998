"""What stands before every handler: who asks, what was counted, and which faults strike.

A route's endpoint is a Gate (an ASGI app), so the route's own name is known and a reply can be lost after its effect.
"""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from runner.server.errors import ApiError, Manners
from runner.server.faults.switches import Setting
from runner.server.site import MAIN_OWNER, Site

log = logging.getLogger(__name__)

_MAX_DRAINED = 600 * 1024 * 1024
_DRAIN_SECONDS = 120.0


class Call(Request):
    """A request, with its site and the owner of its token."""

    site: Site
    owner: str


Handler = Callable[[Call], Awaitable[Response]]
SlowHandler = Callable[[Call], Response]


class Gate:
    """One route: `route` is its name in logs and faults, `losing` the fault that eats the replies of its creates."""

    def __init__(
        self,
        site: Site,
        route: str,
        handler: Handler,
        manners: Manners,
        *,
        losing: str = "",
        is_open: bool = False,
        for_main: bool = False,
        fails: bool = True,
        downloads: bool = False,
    ) -> None:
        self._site = site
        self._route = route
        self._handler = handler
        self._manners = manners
        self._losing = losing
        self._is_open = is_open
        self._for_main = for_main
        self._fails = fails
        self._downloads = downloads or route.endswith("/content")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._site.log.request(self._route)
        call = Call(scope, receive, send)
        try:
            response = await self._response(call)
        except ClientDisconnect:
            return
        if response is None:
            await _cut(scope, receive)
            return
        if response.status_code >= 400:
            await _drain(call)
        cut = self._site.faults.take("truncate_download", self._route) if self._downloads else None
        if cut is not None and response.status_code in (200, 206):
            send = _Shortened(scope, send, cut.number("at"))
        await response(scope, receive, send)

    async def _response(self, call: Call) -> Response | None:
        """The answer; None where the connection is to be dropped instead."""
        faults = self._site.faults if self._fails else None
        if faults is not None:
            slow = faults.look("slow")
            if slow is not None and _means(slow, self._route):
                await asyncio.sleep(slow.value)
            if faults.take("drop", self._route):
                await _drain(call)  # so that who sent it cannot know that nothing was done
                return None
        owner = self._owner(call)
        if owner is None:
            return self._manners.wording(self._manners.unauthorized(call))
        call.site, call.owner = self._site, owner
        if faults is None:
            return await self._handled(call)
        early = self._refused(faults.take("rate_limit", self._route), faults.take("fail_before", self._route))
        if early is not None:
            return early
        response = await self._handled(call)
        if response.status_code < 300:
            if self._losing and faults.take(self._losing, self._route):
                return None
            late = faults.take("fail_after", self._route)
            if late is not None:
                text = "The server had an error after doing the work (a fault)."
                return self._manners.wording(ApiError(int(late.number("status")), text))
        return response

    async def _handled(self, call: Call) -> Response:
        try:
            return await self._handler(call)
        except ApiError as error:
            return self._manners.wording(error)
        except ClientDisconnect:
            raise
        except Exception:
            log.exception("%s failed", self._route)
            return self._manners.wording(ApiError(500, "The server had an error while processing your request."))

    def _refused(self, limited: Setting | None, failing: Setting | None) -> Response | None:
        if limited is not None:
            wait = limited.number("retry_after")
            error = ApiError(429, "Rate limit reached (a fault).", code=limited.text("code"))
            response = self._manners.wording(error)
            response.headers["retry-after"] = str(math.ceil(wait))
            response.headers["retry-after-ms"] = str(int(wait * 1000))
            return response
        if failing is None:
            return None
        text = "The server had an error and did nothing (a fault)."
        return self._manners.wording(ApiError(int(failing.number("status")), text))

    def _owner(self, call: Call) -> str | None:
        if self._is_open:
            return ""
        owner = self._site.owner_of(self._manners.token_of(call))
        return None if self._for_main and owner != MAIN_OWNER else owner


def threaded(handler: SlowHandler) -> Handler:
    """A handler that touches disk or database, run beside the event loop."""

    async def run(call: Call) -> Response:
        return await run_in_threadpool(handler, call)

    return run


def _means(setting: Setting, route: str) -> bool:
    return fnmatch.fnmatchcase(route, setting.text("route"))


async def _drain(call: Request) -> None:
    """Read what the client is still sending: closing on unread data would lose the answer on its way."""
    size = 0
    with suppress(RuntimeError, ClientDisconnect, TimeoutError):  # read already, gone, or slow on purpose
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in call.stream():
                size += len(chunk)
                if size > _MAX_DRAINED:
                    return


async def _cut(scope: Scope, receive: Receive) -> None:
    """Drop the connection; returns when the server has noticed."""
    scope["runner.cut"]()
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
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        if self._left <= 0 or not message.get("more_body", False):
            self._is_cut = True
            self._scope["runner.close"]()
