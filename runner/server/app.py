"""The ASGI application: the APIs of one site, its own few routes, and what holds for every request."""

from __future__ import annotations

import functools

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner import __version__
from runner.server.audio import faults as audio
from runner.server.audio.store import AudioJobStore
from runner.server.endpoint import ApiCall, Counted, Endpoint, EndpointApp
from runner.server.errors import ApiError
from runner.server.faults.http import ConnectionFaults, severable, with_reply_faults
from runner.server.faults.rates import FaultyRates
from runner.server.faults.routes import endpoints as switches
from runner.server.faults.switches import FaultSwitches
from runner.server.fireworks_batch import faults as fireworks_batch
from runner.server.fireworks_batch import online as fireworks_online
from runner.server.fireworks_batch.routes import fallback
from runner.server.online import OnlineCalls
from runner.server.openai import faults as openai
from runner.server.openai import online as openai_online
from runner.server.openai import speech
from runner.server.openai.errors import ERROR_STYLE, worded
from runner.server.site import Site


def application(site: Site, faults: FaultSwitches) -> ASGIApp:
    """Everything this site answers. The layers of the fault lab are around the APIs, not around its own routes."""

    def route(endpoint: Endpoint, app: ASGIApp) -> Route:
        kind = Route if not endpoint.query else functools.partial(_QueryRoute, endpoint.query)
        return kind(endpoint.path, Counted(app, endpoint.name, site.log), methods=[endpoint.method])

    # Faults of the connection are outside of the endpoint, faults of the reply inside: between the two it is asked who
    # calls. A request without a key can be dropped, but does not use up a refusal that was set for a client with one.
    def faulty(endpoint: Endpoint) -> ASGIApp:
        return ConnectionFaults(EndpointApp(site, with_reply_faults(endpoint, faults)), endpoint, faults)

    own = [
        Endpoint("GET", "/", _root, ERROR_STYLE, is_open=True),
        Endpoint("GET", "/_log", _log, ERROR_STYLE, for_main=True),
        *switches(faults, ERROR_STYLE, site.wake),
    ]
    fireworks = fireworks_batch.endpoints(site, faults)
    calls = OnlineCalls(site, FaultyRates(site.clock, faults))
    online = [*openai_online.endpoints(calls), *speech.endpoints(calls), *fireworks_online.endpoints(calls)]
    # recordings of a batch before those of calls: the paths are the same, but only theirs have an `endpoint_id`
    apis = [*openai.endpoints(faults), *audio.endpoints(AudioJobStore(site.world), faults), *online, *fireworks]
    routes = [
        *(route(endpoint, EndpointApp(site, endpoint)) for endpoint in own),
        *(route(endpoint, faulty(endpoint)) for endpoint in apis),
        # last: Starlette takes the first route that fits
        fallback(site, fireworks),
    ]
    return severable(_Shell(Starlette(routes=routes, exception_handlers={HTTPException: _unmatched}), site))


async def _root(call: ApiCall) -> Response:
    return _json({"server": "runner", "id": call.site.id, "version": __version__})


async def _log(call: ApiCall) -> Response:
    return _json(call.site.log.shown())


async def _unmatched(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return worded(ApiError(405, f"Not allowed to {request.method} on {request.url.path}."))
    text = f"Unknown request URL: {request.method} {request.url.path}."
    return worded(ApiError(error.status_code, text, code="unknown_url"))


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


class _QueryRoute(Route):
    """A route for requests that have a certain parameter in their query."""

    def __init__(self, query: str, path: str, app: ASGIApp, *, methods: list[str]) -> None:
        super().__init__(path, app, methods=methods)
        self._query = query

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        found, child = super().matches(scope)
        if found is not Match.NONE and self._query not in QueryParams(scope.get("query_string", b"")):
            return Match.NONE, {}
        return found, child


class _Shell:
    """What holds for every request: an id on its answer, and the Host check."""

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
        await self._app(scope, receive, stamped)

    # DNS rebinding: a page that a browser loaded from elsewhere can make its own name point at 127.0.0.1 and then read
    # our answers as its own. It cannot choose the `Host` its requests carry, which is still its own name.
    def _is_for_us(self, scope: Scope) -> bool:
        """A page in a browser cannot reach us through a name it made point here."""
        if self._site.hosts is None:
            return True
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
        # `[::1]:8000` has a port behind the bracket, `[::1]` has none though it has colons
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        return name in self._site.hosts
