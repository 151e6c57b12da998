"""How rows get into a dataset: one small multipart request, or signed PUTs of announced parts and a last word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from runner.server import multipart
from runner.server.bodies import read_object
from runner.server.endpoint import ApiCall
from runner.server.errors import ApiError
from runner.server.fireworks_batch import fields, names
from runner.server.fireworks_batch.datasets import Found
from runner.server.fireworks_batch.errors import EDGE, invalid, not_found, wrong_state
from runner.server.fireworks_batch.records import StoredDataset, file_owner
from runner.server.fireworks_batch.signing import UPLOAD_SECONDS, Signer
from runner.server.fireworks_batch.storage import UPLOADS
from runner.server.fireworks_batch.store import DatasetStore
from runner.server.records import File

MAX_UPLOAD_BYTES = 150 * 1024 * 1024
_FIRST_LINE_BYTES = 16 * 1024 * 1024
_ENDPOINT = fields.message({"filenameToSize": fields.struct_of, "readMask": fields.text})
_NOTHING = fields.message({})


# Two ways in. Up to 150 MB come in one multipart request, after which the dataset is ready by itself. More, or several
# files, are announced with their sizes, put to signed URLs one by one, and declared complete with `:validateUpload`:
# nobody but the client knows when the last part has come.
class Uploads:
    """The handlers."""

    def __init__(self, signer: Signer, datasets: DatasetStore, found: Found) -> None:
        self._signer = signer
        self._datasets = datasets
        self._found = found

    async def upload(self, call: ApiCall) -> Response:
        """`:upload`: one file of up to 150 MB; the dataset gets ready by itself."""
        dataset = await run_in_threadpool(self._open, call)
        declared = call.headers.get("content-length", "0")
        too_large = ApiError(413, f"Request body has more than {MAX_UPLOAD_BYTES:,} bytes.", kind=EDGE)
        if declared.isdigit() and int(declared) > MAX_UPLOAD_BYTES + (1 << 20):
            raise too_large
        part = call.site.home.incoming()
        try:
            form = await multipart.receive(
                call.headers.get("content-type", ""), call.stream(), part, max_bytes=MAX_UPLOAD_BYTES
            )
            if form.file is None:
                raise invalid("missing form file: file")
            if not form.filename.endswith(".jsonl"):
                raise invalid(f'invalid file name "{form.filename[:80]}": must end in .jsonl')
            file = await run_in_threadpool(self._keep, call, dataset, part, form)
        except multipart.UploadTooLarge as error:
            raise too_large from error
        except multipart.BadUpload as error:
            raise invalid(str(error)) from error
        finally:
            part.unlink(missing_ok=True)
        return _json(
            {
                "id": names.full(dataset.account, names.DATASETS, dataset.id),
                "object": "file",
                "bytes": file.size_bytes,
                "created_at": int(file.created_at),
                "filename": file.filename,
                "purpose": "dataset",
            }
        )

    async def endpoint(self, call: ApiCall) -> Response:
        """`:getUploadEndpoint`: announce all files at once; each call replaces what was announced before."""
        wanted = _ENDPOINT("", await read_object(call))
        sizes = {_basename(name): _size(name, size) for name, size in wanted.get("filenameToSize", {}).items()}
        if not sizes:
            raise invalid("filename_to_size is required")
        dataset = await run_in_threadpool(self._announce, call, sizes)
        return _json(
            {"filenameToSignedUrls": {name: self._url(call, dataset, name, size) for name, size in sizes.items()}}
        )

    async def validate(self, call: ApiCall) -> Response:
        """`:validateUpload`: everything announced is there; the dataset gets ready."""
        _NOTHING("", await read_object(call))
        await run_in_threadpool(self._complete, call)
        return _json({})

    def _open(self, call: ApiCall) -> StoredDataset:
        dataset = self._found(call)
        _fillable(dataset)
        return dataset

    def _keep(self, call: ApiCall, dataset: StoredDataset, part: Path, form: multipart.UploadForm) -> File:
        site = call.site
        name = Path(form.filename).name
        file = File(site.new_id("file-", 24), file_owner(call.owner), "dataset", name, form.size_bytes, site.now())
        # judged before it is moved, and outside of the transaction: it reads the file
        wrong = _wrong(name, part)
        path = site.home.content(file.id)
        part.replace(path)

        def filled(seen: StoredDataset) -> StoredDataset:
            _fillable(seen)
            return _settled(call, msgspec.structs.replace(seen, files={name: file.id}, slots={}), wrong)

        try:
            self._change(call, dataset, filled, [file])
        except BaseException:
            path.unlink()
            raise
        site.log.file_created()
        return file

    def _announce(self, call: ApiCall, sizes: dict[str, int]) -> StoredDataset:
        dataset = self._found(call)
        stored = {name: call.site.world.file(file_owner(call.owner), ref, 0) for name, ref in dataset.files.items()}
        # an upload that broke off goes on with what is missing: parts of the same name and size stay
        kept = {name for name, file in stored.items() if file is not None and sizes.get(name) == file.size_bytes}

        def announced(seen: StoredDataset) -> StoredDataset:
            _fillable(seen)
            files = {name: file_id for name, file_id in seen.files.items() if name in kept}
            return msgspec.structs.replace(seen, slots=sizes, files=files, updated_at=call.site.now())

        return self._change(call, dataset, announced)

    def _complete(self, call: ApiCall) -> None:
        dataset = self._found(call)
        if dataset.is_stored:
            return
        missing = sorted(set(dataset.slots) - set(dataset.files)) if dataset.slots else ["any file"]
        if missing:
            raise wrong_state(f"upload is not complete: {', '.join(missing)[:256]} missing")
        home = call.site.home
        wrongs = [_wrong(name, home.content(file_id)) for name, file_id in sorted(dataset.files.items())]
        self._change(call, dataset, lambda seen: _settled(call, seen, next(filter(None, wrongs), "")))

    def _change(self, call: ApiCall, dataset: StoredDataset, how: Any, new_files: Any = ()) -> StoredDataset:
        changed = self._datasets.change(dataset, how, new_files)
        if changed is None:
            raise not_found()
        for file_id in changed[1]:
            call.site.home.content(file_id).unlink(missing_ok=True)
        return changed[0]

    def _url(self, call: ApiCall, dataset: StoredDataset, name: str, size: int) -> str:
        path = f"{UPLOADS}/{call.owner}/{dataset.account}/{dataset.id}/{name}"
        return self._signer.url(str(call.base_url), "PUT", path, call.site.now(), UPLOAD_SECONDS, f"{size},{size}")


def _fillable(dataset: StoredDataset) -> None:
    if dataset.is_stored or not dataset.is_uploaded:
        raise wrong_state(f"dataset {dataset.id} is not waiting for an upload")


def _settled(call: ApiCall, dataset: StoredDataset, wrong: str) -> StoredDataset:
    """The dataset with all its files: ready, or still UPLOADING with the reason in its status."""
    now = call.site.now()
    if wrong:
        return msgspec.structs.replace(
            dataset, status_code="INVALID_ARGUMENT", status_message=wrong, slots={}, updated_at=now
        )
    return msgspec.structs.replace(
        dataset,
        is_stored=True,
        status_code="OK",
        status_message="",
        slots={},
        updated_at=now,
    )


def _wrong(name: str, path: Path) -> str:
    """What keeps a file from being a dataset; its rows are judged by the job that reads them."""
    with path.open("rb") as lines:
        first = lines.readline(_FIRST_LINE_BYTES)
    if not first:
        return f"{name} is empty"
    try:
        found = msgspec.json.decode(first)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    return "" if isinstance(found, dict) else f"{name}:1 is not a JSON object"


def _basename(name: str) -> str:
    if "/" in name or "\\" in name or not name.endswith(".jsonl") or len(name) > 200 or not name.isprintable():
        raise invalid(f'invalid file name "{name[:80]}": must be a base name that ends in .jsonl')
    return name


def _size(name: str, size: Any) -> int:
    read = fields.int64(f"filename_to_size[{name[:80]}]", size)
    if read <= 0:
        raise invalid(f"{name[:80]} is empty")
    return read


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
