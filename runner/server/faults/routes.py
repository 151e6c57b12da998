"""`/_faults`: what is on, and the way to switch it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.responses import Response

from runner.errors import UsageError
from runner.server.bodies import read_object
from runner.server.endpoint import ApiCall, Endpoint
from runner.server.errors import ApiError, ErrorStyle
from runner.server.faults.switches import FAULTS, FaultSwitches


def endpoints(faults: FaultSwitches, error_style: ErrorStyle, on_change: Callable[[], None]) -> list[Endpoint]:
    async def show(call: ApiCall) -> Response:
        known = {name: {"unit": fault.unit, "help": fault.help} for name, fault in FAULTS.items()}
        return _json({"faults": faults.shown(), "known": known})

    async def change(call: ApiCall) -> Response:
        wanted = await read_object(call)
        try:
            faults.change(wanted)
        except UsageError as error:
            raise ApiError(400, error.message) from error
        on_change()
        return _json({"faults": faults.shown()})

    return [
        Endpoint("GET", "/_faults", show, error_style, for_main=True),
        Endpoint("PUT", "/_faults", change, error_style, for_main=True),
    ]


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
