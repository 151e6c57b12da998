"""What stands before every handler: who asks, and how an error is worded.

An API is a list of `Endpoint`s. An `EndpointApp` is the ASGI app of one of them, so the name of the route is known to
whoever stands around it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from runner.server.bodies import drain
from runner.server.errors import ApiError, ErrorStyle
from runner.server.log import Log
from runner.server.site import MAIN_OWNER, Site

log = logging.getLogger(__name__)


class ApiCall(Request):
    """A request, with its site and the owner of its token."""

    site: Site
    owner: str


Handler = Callable[[ApiCall], Awaitable[Response]]
SlowHandler = Callable[[ApiCall], Response]


class Effect(StrEnum):
    """What a call that succeeds leaves here, or takes away."""

    NONE = ""
    CREATE = "create"
    UPLOAD = "upload"
    DOWNLOAD = "download"
    ANSWER = "answer"  # nothing is kept here, but it has been paid for


class Endpoint(NamedTuple):
    """One route. `is_open`: whoever asks; `for_main`: the owner of the directory only.

    query: a parameter without which a request is for another endpoint of the same path, that stands behind this one.
    """

    method: str
    path: str
    handler: Handler
    error_style: ErrorStyle
    effect: Effect = Effect.NONE
    is_open: bool = False
    for_main: bool = False
    query: str = ""

    @property
    def name(self) -> str:
        """By which it is counted and meant: the path is its template."""
        return f"{self.method} {self.path}"


class EndpointApp:
    """Lets in who may come in, and puts errors into the words of the API."""

    def __init__(self, site: Site, endpoint: Endpoint) -> None:
        self._site = site
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = ApiCall(scope, receive, send)
        try:
            response = await self._response(call)
        except ClientDisconnect:
            return
        # refused before its body was read, perhaps: then the client is still sending, and has not looked for an answer
        # yet
        if response.status_code >= 400:
            await drain(call)
        await response(scope, receive, send)

    async def _response(self, call: ApiCall) -> Response:
        error_style = self._endpoint.error_style
        owner = self._owner(call)
        if owner is None:
            return error_style.wording(error_style.unauthorized(call))
        call.site, call.owner = self._site, owner
        try:
            return await self._endpoint.handler(call)
        except ApiError as error:
            response = error_style.wording(error)
            response.headers.update(error.headers)
            return response
        except ClientDisconnect:
            raise
        # a client learns no more than that it was us; the trace is in the log
        except Exception:
            log.exception("%s failed", self._endpoint.name)
            return error_style.wording(ApiError(500, "The server had an error while processing your request."))

    def _owner(self, call: ApiCall) -> str | None:
        if self._endpoint.is_open:
            return ""
        # a wrong key and the key of a stranger get the same answer, on the routes of the main owner too
        owner = self._site.owner_of(self._endpoint.error_style.token_of(call))
        return None if self._endpoint.for_main and owner != MAIN_OWNER else owner


class Counted:
    """Counts the calls of one endpoint, also those that get no further."""

    def __init__(self, app: ASGIApp, name: str, counts: Log) -> None:
        self._app = app
        self._name = name
        self._log = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._log.request(self._name)
        await self._app(scope, receive, send)


def threaded(handler: SlowHandler) -> Handler:
    """A handler that touches disk or database, run beside the event loop."""

    async def run(call: ApiCall) -> Response:
        return await run_in_threadpool(handler, call)

    return run
