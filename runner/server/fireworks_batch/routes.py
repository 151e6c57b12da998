"""The routes of Fireworks' control plane, and of the storage behind its signed URLs."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from runner.server.errors import ApiError
from runner.server.fireworks_batch import storage
from runner.server.fireworks_batch.datasets import DatasetRoutes
from runner.server.fireworks_batch.downloads import Downloads
from runner.server.fireworks_batch.errors import EDGE, MANNERS, not_found
from runner.server.fireworks_batch.jobs import Jobs
from runner.server.fireworks_batch.signing import Signer
from runner.server.fireworks_batch.store import Datasets
from runner.server.fireworks_batch.uploads import Uploads
from runner.server.gate import Call, Gate, Handler, threaded
from runner.server.site import Site

PREFIX = "/v1/accounts/{account}"
_ALL = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


def routes(site: Site) -> list[Route]:
    """One Gate per route; a path's name in logs and faults is its template. The last one takes what no other knows."""
    signer, datasets = Signer(site.tokens[0].encode()), Datasets(site.world)
    sets, jobs, store = DatasetRoutes(datasets), Jobs(datasets), storage.Storage(signer, datasets)
    uploads, downloads = Uploads(signer, datasets, sets.found), Downloads(signer, datasets, sets.seen)

    def route(method: str, path: str, handler: Handler, losing: str = "") -> Route:
        path = f"{PREFIX}/{path}"
        handler = _bodyless(handler) if method == "GET" else handler
        return Route(path, Gate(site, f"{method} {path}", handler, MANNERS, losing=losing), methods=[method])

    known = [
        route("POST", "datasets", sets.create, "lose_create_reply"),
        route("GET", "datasets", threaded(sets.list_datasets)),
        route("POST", "datasets/{dataset}:upload", uploads.upload, "lose_upload_reply"),
        route("POST", "datasets/{dataset}:getUploadEndpoint", uploads.endpoint),
        route("POST", "datasets/{dataset}:validateUpload", uploads.validate),
        route("GET", "datasets/{dataset}:getDownloadEndpoint", threaded(downloads.endpoint)),
        route("GET", "datasets/{dataset}", threaded(sets.get)),
        route("PATCH", "datasets/{dataset}", sets.patch),
        route("DELETE", "datasets/{dataset}", threaded(sets.delete)),
        route("POST", "batchInferenceJobs", jobs.create, "lose_create_reply"),
        route("GET", "batchInferenceJobs", threaded(jobs.list_jobs)),
        route("GET", "batchInferenceJobs/{job}", threaded(jobs.get)),
        route("DELETE", "batchInferenceJobs/{job}", threaded(jobs.delete)),
    ]
    rest = Gate(site, "ANY /v1/accounts", _unmatched(known), MANNERS, fails=False)
    return [*known, Route("/v1/accounts/{rest:path}", rest, methods=_ALL), *_storage(site, store)]


def _storage(site: Site, store: storage.Storage) -> list[Route]:
    down = f"{storage.DOWNLOADS}/{{owner}}/{{file}}/{{key:path}}"
    up = f"{storage.UPLOADS}/{{owner}}/{{account}}/{{dataset}}/{{name}}"
    getting = Gate(site, f"GET {down}", store.download, storage.MANNERS, is_open=True, downloads=True)
    putting = Gate(site, f"PUT {up}", store.upload, storage.MANNERS, is_open=True, losing="lose_upload_reply")
    return [Route(down, getting, methods=["GET"]), Route(up, putting, methods=["PUT"])]


def _bodyless(handler: Handler) -> Handler:
    """The real service's front end refuses a GET that has a body, even an empty JSON object."""

    async def checked(call: Call) -> Response:
        if call.headers.get("content-length", "0") != "0" or "transfer-encoding" in call.headers:
            raise ApiError(400, "A GET request must not have a body.", code="BAD_REQUEST", kind=EDGE)
        return await handler(call)

    return checked


def _unmatched(known: list[Route]) -> Handler:
    async def refuse(call: Call) -> Response:
        if any(route.path_regex.match(call.scope["path"]) for route in known):
            raise ApiError(405, "Method Not Allowed")
        raise not_found()

    return refuse
