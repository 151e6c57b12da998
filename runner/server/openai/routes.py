"""The endpoints below `/v1`."""

from __future__ import annotations

from runner.server import models
from runner.server.endpoint import Effect, Endpoint, Handler, threaded
from runner.server.openai import batches, files
from runner.server.openai.errors import ERROR_STYLE


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
        endpoint("GET", "/v1/models", models.list_models),
        endpoint("GET", "/v1/models/{id}", models.retrieve),
    ]
