"""The models that run here, listed as OpenAI does; servers that speak like it do the same."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from runner.server.endpoint import ApiCall
from runner.server.errors import ApiError
from runner.server.site import Site

_SINCE = 1_700_000_000


async def list_models(call: ApiCall) -> Response:
    data = [_shape(name) for name in _names(call.site)]
    return Response(msgspec.json.encode({"object": "list", "data": data}), media_type="application/json")


async def retrieve(call: ApiCall) -> Response:
    name = call.path_params["id"]
    if name not in _names(call.site):
        raise ApiError(404, f"The model '{name[:128]}' does not exist.", param="model", code="model_not_found")
    return Response(msgspec.json.encode(_shape(name)), media_type="application/json")


def _names(site: Site) -> list[str]:
    return sorted({*site.engines.names(), *site.asr_engines.names()})


def _shape(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": _SINCE, "owned_by": "runner"}
