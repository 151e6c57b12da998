"""The endpoints of Fireworks' control plane, and of the storage behind its signed URLs."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route, compile_path

from runner.server.endpoint import ApiCall, Counted, Effect, Endpoint, EndpointApp, Handler, threaded
from runner.server.errors import ApiError
from runner.server.fireworks_batch import storage
from runner.server.fireworks_batch.datasets import DatasetRoutes
from runner.server.fireworks_batch.downloads import Downloads
from runner.server.fireworks_batch.errors import EDGE, ERROR_STYLE, not_found
from runner.server.fireworks_batch.jobs import JobRoutes
from runner.server.fireworks_batch.signing import Signer
from runner.server.fireworks_batch.store import DatasetStore
from runner.server.fireworks_batch.uploads import Uploads
from runner.server.site import Site

PREFIX = "/v1/accounts/{account}"
DOWNLOAD = f"{storage.DOWNLOADS}/{{owner}}/{{file}}/{{key:path}}"
UPLOAD = f"{storage.UPLOADS}/{{owner}}/{{account}}/{{dataset}}/{{name}}"
_ALL = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


def endpoints(signer: Signer, datasets: DatasetStore, sets: DatasetRoutes, jobs: JobRoutes) -> list[Endpoint]:
    """All but `fallback`; `sets` and `jobs` are the handlers of what lies in `datasets` and runs over it."""
    store = storage.Storage(signer, datasets)
    uploads, downloads = Uploads(signer, datasets, sets.found), Downloads(signer, datasets, sets.found)

    def endpoint(method: str, path: str, handler: Handler, effect: Effect = Effect.NONE) -> Endpoint:
        handler = _bodyless(handler) if method == "GET" else handler
        return Endpoint(method, f"{PREFIX}/{path}", handler, ERROR_STYLE, effect)

    return [
        endpoint("POST", "datasets", sets.create, Effect.CREATE),
        endpoint("GET", "datasets", threaded(sets.list_datasets)),
        endpoint("POST", "datasets/{dataset}:upload", uploads.upload, Effect.UPLOAD),
        endpoint("POST", "datasets/{dataset}:getUploadEndpoint", uploads.endpoint),
        endpoint("POST", "datasets/{dataset}:validateUpload", uploads.validate),
        endpoint("GET", "datasets/{dataset}:getDownloadEndpoint", threaded(downloads.endpoint)),
        endpoint("GET", "datasets/{dataset}", threaded(sets.get)),
        endpoint("PATCH", "datasets/{dataset}", sets.patch),
        endpoint("DELETE", "datasets/{dataset}", threaded(sets.delete)),
        endpoint("POST", "batchInferenceJobs", jobs.create, Effect.CREATE),
        endpoint("GET", "batchInferenceJobs", threaded(jobs.list_jobs)),
        endpoint("GET", "batchInferenceJobs/{job}", threaded(jobs.get)),
        endpoint("DELETE", "batchInferenceJobs/{job}", threaded(jobs.delete)),
        Endpoint("GET", DOWNLOAD, store.download, storage.ERROR_STYLE, Effect.DOWNLOAD, is_open=True),
        Endpoint("PUT", UPLOAD, store.upload, storage.ERROR_STYLE, Effect.UPLOAD, is_open=True),
    ]


def fallback(site: Site, known: list[Endpoint]) -> Route:
    """Takes what no other knows below the accounts; to be the last of them."""
    stray = Endpoint("ANY", "/v1/accounts", _unmatched(known), ERROR_STYLE)
    return Route("/v1/accounts/{rest:path}", Counted(EndpointApp(site, stray), stray.name, site.log), methods=_ALL)


def _bodyless(handler: Handler) -> Handler:
    """The real service's front end refuses a GET that has a body, even an empty JSON object."""

    async def checked(call: ApiCall) -> Response:
        if call.headers.get("content-length", "0") != "0" or "transfer-encoding" in call.headers:
            raise ApiError(400, "A GET request must not have a body.", code="BAD_REQUEST", kind=EDGE)
        return await handler(call)

    return checked


def _unmatched(known: list[Endpoint]) -> Handler:
    # a path that is known, with a method that is not, is a 405 in this API's words and not in Starlette's
    paths = [compile_path(endpoint.path)[0] for endpoint in known if endpoint.path.startswith(PREFIX)]

    async def refuse(call: ApiCall) -> Response:
        if any(path.match(call.scope["path"]) for path in paths):
            raise ApiError(405, "Method Not Allowed")
        raise not_found()

    return refuse
