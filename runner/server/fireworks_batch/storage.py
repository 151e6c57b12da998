"""The storage behind signed URLs: it knows signatures, not keys, and answers in XML as Google's does."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from xml.sax.saxutils import escape

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from runner.server.endpoint import ApiCall
from runner.server.errors import ApiError, ErrorStyle, bearer
from runner.server.fireworks_batch.records import StoredDataset, file_owner
from runner.server.fireworks_batch.signing import CONTENT_TYPE, RANGE, Signer
from runner.server.fireworks_batch.store import DatasetStore
from runner.server.records import File

UPLOADS = "/storage/upload"
DOWNLOADS = "/storage/download"


def _worded(error: ApiError) -> Response:
    code = error.code or ("InternalError" if error.status >= 500 else "InvalidArgument")
    text = f"<Error><Code>{escape(code)}</Code><Message>{escape(error.message)}</Message></Error>"
    body = f"<?xml version='1.0' encoding='UTF-8'?>{text}"
    return Response(body, error.status, media_type="application/xml; charset=UTF-8")


ERROR_STYLE = ErrorStyle(_worded, bearer)


class Storage:
    """The handlers."""

    def __init__(self, signer: Signer, datasets: DatasetStore) -> None:
        self._signer = signer
        self._datasets = datasets

    async def download(self, call: ApiCall) -> Response:
        """The bytes of one file; `Range` is honoured."""
        self._signer.check(call, call.site.now())
        params = call.path_params
        file = await run_in_threadpool(
            call.site.world.file, file_owner(params["owner"]), params["file"], call.site.now()
        )
        path = None if file is None else call.site.home.content(file.id)
        if path is None or not path.exists():
            raise ApiError(404, "The specified key does not exist.", code="NoSuchKey")
        return _Download(path, media_type=CONTENT_TYPE, stat_result=path.stat())

    async def upload(self, call: ApiCall) -> Response:
        """Take one announced file of a dataset, of exactly its announced size."""
        self._signer.check(call, call.site.now())
        # signed, so it is the size that was announced
        size = int(call.headers[RANGE].partition(",")[0])
        part = call.site.home.incoming()
        try:
            await _received(call, part, size)
            gone = await run_in_threadpool(self._keep, call, part, size)
        finally:
            part.unlink(missing_ok=True)
        for file_id in gone:
            call.site.home.content(file_id).unlink(missing_ok=True)
        return Response(b"")

    def _keep(self, call: ApiCall, part: Path, size: int) -> list[str]:
        site, params = call.site, call.path_params
        owner, name = params["owner"], params["name"]
        dataset = self._datasets.get(owner, params["account"], params["dataset"])
        if dataset is None:
            raise ApiError(404, "The specified bucket does not exist.", code="NoSuchBucket")
        now = site.now()
        file = File(site.new_id("file-", 24), file_owner(owner), "dataset", name, size, now)

        # two PUTs of one dataset end at the same time: each adds its file to what is there by then
        def added(seen: StoredDataset) -> StoredDataset:
            # two announcements may have crossed: a URL of the older one still has a right signature
            if seen.is_stored or seen.slots.get(name) != size:
                raise ApiError(403, "This upload was announced anew or is over.", code="AccessDenied")
            return msgspec.structs.replace(seen, files={**seen.files, name: file.id}, updated_at=now)

        # the bytes first: whoever is told of a file can read it; a record that fails takes them away again
        part.replace(site.home.content(file.id))
        try:
            changed = self._datasets.change(dataset, added, [file])
        except BaseException:
            site.home.content(file.id).unlink()
            raise
        if changed is None:
            site.home.content(file.id).unlink()
            raise ApiError(404, "The specified bucket does not exist.", code="NoSuchBucket")
        site.log.file_created()
        return changed[1]


class _Download(FileResponse):
    chunk_size = 256 * 1024


async def _received(call: ApiCall, part: Path, size: int) -> None:
    """Write the body to `part`. Raises ApiError 400 where it is not of this size."""
    refused = ApiError(400, f"The upload must have exactly {size} bytes.", code="EntityTooLarge")
    # refused before a gigabyte is read; a chunked body is counted as it comes
    declared = call.headers.get("content-length")
    if declared is not None and declared != str(size):
        raise refused
    came = 0
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=1 << 20) as out:
        async for chunk in call.stream():
            came += len(chunk)
            if came > size:
                raise refused
            out.write(chunk)
        out.flush()
        await asyncio.to_thread(os.fsync, out.fileno())
    if came != size:
        raise refused
