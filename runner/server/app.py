"""The ASGI application: the APIs of one site, the fault lab's own routes, and what holds for every request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner import __version__
from runner.errors import UsageError
from runner.server.audio.routes import routes as audio_routes
from runner.server.bodies import read_object
from runner.server.errors import ApiError
from runner.server.faults.switches import FAULTS
from runner.server.fireworks_batch.routes import routes as fireworks_routes
from runner.server.gate import Call, Gate, Handler
from runner.server.openai.errors import MANNERS, worded
from runner.server.openai.routes import routes as openai_routes
from runner.server.site import Site


def application(site: Site) -> ASGIApp:
    """Everything this site answers."""

    def own(method: str, path: str, handler: Handler, **more: Any) -> Route:
        gate = Gate(site, f"{method} {path}", handler, MANNERS, fails=False, **more)
        return Route(path, gate, methods=[method])

    routes = [
        own("GET", "/", _root, is_open=True),
        own("GET", "/_faults", _faults, for_main=True),
        own("PUT", "/_faults", _set_faults, for_main=True),
        own("GET", "/_log", _log, for_main=True),
        *openai_routes(site),
        *audio_routes(site),
        *fireworks_routes(site),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _unmatched})
    return _Shell(app, site)


async def _root(call: Call) -> Response:
    return _json({"server": "runner", "id": call.site.id, "version": __version__})


async def _faults(call: Call) -> Response:
    known = {name: {"unit": fault.unit, "help": fault.help} for name, fault in FAULTS.items()}
    return _json({"faults": call.site.faults.shown(), "known": known})


async def _set_faults(call: Call) -> Response:
    wanted = await read_object(call)
    try:
        call.site.faults.change(wanted)
    except UsageError as error:
        raise ApiError(400, error.message) from error
    call.site.wake()
    return _json({"faults": call.site.faults.shown()})


async def _log(call: Call) -> Response:
    return _json(call.site.log.shown())


async def _unmatched(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return worded(ApiError(405, f"Not allowed to {request.method} on {request.url.path}."))
    text = f"Unknown request URL: {request.method} {request.url.path}."
    return worded(ApiError(error.status_code, text, code="unknown_url"))


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


class _Shell:
    """The outermost layer: a request id on every answer, the Host check, and the means to cut a connection."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._site.new_id("req_", 24).encode()

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        if not self._is_for_us(scope):
            refusal = worded(ApiError(403, "This server answers to its own name only."))
            await refusal(scope, receive, stamped)
            return
        scope["runner.cut"], scope["runner.close"] = _knives(send)
        await self._app(scope, receive, stamped)

    def _is_for_us(self, scope: Scope) -> bool:
        """A page in a browser cannot reach us through a name it made point here."""
        if self._site.hosts is None:
            return True
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        return name in self._site.hosts


def _knives(send: Send) -> tuple[Callable[[], None], Callable[[], None]]:
    """Ways to end a connection: at once, and after what was written. uvicorn's `send` belongs to the object that
    holds the transport; ASGI itself has no word for it."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        return _nothing, _nothing
    return transport.abort, transport.close


def _nothing() -> None:
    return None
