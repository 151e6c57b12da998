"""The endpoints below `/v1`."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from runner.server.endpoint import ApiCall, Effect, Endpoint, Handler, threaded
from runner.server.errors import ApiError
from runner.server.openai import batches, files
from runner.server.openai.errors import ERROR_STYLE
from runner.server.site import Site

_MODELS_SINCE = 1_700_000_000


def endpoints() -> list[Endpoint]:
    def endpoint(method: str, path: str, handler: Handler, effect: Effect = Effect.NONE) -> Endpoint:
        return Endpoint(method, path, handler, ERROR_STYLE, effect)

    return [
        endpoint("POST", "/v1/files", files.upload, Effect.UPLOAD),
        endpoint("GET", "/v1/files", threaded(files.list_files)),
        endpoint("GET", "/v1/files/{id}", threaded(files.retrieve_file)),
        endpoint("DELETE", "/v1/files/{id}", threaded(files.delete_file)),
        endpoint("GET", "/v1/files/{id}/content", threaded(files.download), Effect.DOWNLOAD),
        endpoint("POST", "/v1/batches", batches.create, Effect.CREATE),
        endpoint("GET", "/v1/batches", threaded(batches.list_batches)),
        endpoint("GET", "/v1/batches/{id}", threaded(batches.retrieve)),
        endpoint("POST", "/v1/batches/{id}/cancel", threaded(batches.cancel)),
        endpoint("GET", "/v1/models", _models),
        endpoint("GET", "/v1/models/{id}", _model),
    ]


async def _models(call: ApiCall) -> Response:
    data = [_model_shape(name) for name in _names(call.site)]
    return Response(msgspec.json.encode({"object": "list", "data": data}), media_type="application/json")


async def _model(call: ApiCall) -> Response:
    name = call.path_params["id"]
    if name not in _names(call.site):
        raise ApiError(404, f"The model '{name[:128]}' does not exist.", param="model", code="model_not_found")
    return Response(msgspec.json.encode(_model_shape(name)), media_type="application/json")


def _names(site: Site) -> list[str]:
    return sorted({*site.engines.names(), *site.asr_engines.names()})


def _model_shape(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": _MODELS_SINCE, "owned_by": "runner"}
