"""`/v1/files`: uploads, looks, downloads. Contents are never judged here."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from runner.server import multipart
from runner.server.endpoint import ApiCall
from runner.server.errors import ApiError
from runner.server.openai.errors import invalid, missing
from runner.server.openai.params import expiry_seconds, integer, page_of
from runner.server.openai.shapes import file_shape, list_shape
from runner.server.records import File

MAX_FILE_BYTES = 512 * 1024 * 1024
BATCH_FILE_SECONDS = 30 * 86_400
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")


async def upload(call: ApiCall) -> Response:
    declared = call.headers.get("content-length", "0")
    # a stand-in takes what the remote would whose part it plays; that one's limits are the client's to keep
    most = sys.maxsize if call.site.stands_in else MAX_FILE_BYTES
    if declared.isdigit() and int(declared) > most + (1 << 20):
        raise ApiError(413, f"The file has more than {most:,} bytes.")
    part = call.site.home.incoming()
    try:
        form = await multipart.receive(call.headers.get("content-type", ""), call.stream(), part, max_bytes=most)
        file = _judged(call, form)
        await run_in_threadpool(_keep, call, part, file)
    except multipart.UploadTooLarge as error:
        raise ApiError(413, f"Too large: {error}.") from error
    except multipart.BadUpload as error:
        raise ApiError(400, f"Invalid upload: {error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return _json(file_shape(file))


def _judged(call: ApiCall, form: multipart.UploadForm) -> File:
    """The record of an upload. Raises ApiError for fields that are missing or wrong."""
    purpose = form.fields.get("purpose")
    if purpose is None:
        raise missing("purpose")
    if purpose not in PURPOSES:
        raise invalid("purpose", f"'{purpose[:64]}' is not one of {list(PURPOSES)} - 'purpose'")
    if form.file is None:
        raise missing("file")
    now = call.site.now()
    anchor, seconds = form.fields.get("expires_after[anchor]"), form.fields.get("expires_after[seconds]")
    lives = BATCH_FILE_SECONDS if purpose == "batch" else 0
    if anchor is not None or seconds is not None:
        # whatever is no number goes on as the text it is, to be refused with the others
        number = int(seconds) if seconds and seconds.isdecimal() and len(seconds) < 12 else seconds
        lives = expiry_seconds({"anchor": anchor, "seconds": number}, "expires_after")
    return File(
        id=call.site.new_id("file-", 24),
        owner=call.owner,
        purpose=purpose,
        filename=form.filename or "upload",
        size_bytes=form.size_bytes,
        created_at=now,
        expires_at=now + lives if lives else 0.0,
    )


def _keep(call: ApiCall, part: Path, file: File) -> None:
    # the bytes before the record: a file that is listed can be read
    part.replace(call.site.home.content(file.id))
    call.site.world.add_file(file)
    call.site.log.file_created()


def list_files(call: ApiCall) -> Response:
    limit = integer(call, "limit", low=1, high=10_000, default=10_000)
    order = call.query_params.get("order", "desc")
    if order not in ("asc", "desc"):
        raise invalid("order", "'order' must be 'asc' or 'desc'.")
    found = call.site.world.files(
        call.owner,
        call.site.now(),
        limit=limit + 1,
        after=call.query_params.get("after", ""),
        purpose=call.query_params.get("purpose", ""),
        ascending=order == "asc",
    )
    page, has_more = page_of(found, limit)
    return _json(list_shape([file_shape(file) for file in page], has_more=has_more))


def retrieve_file(call: ApiCall) -> Response:
    return _json(file_shape(_found(call)))


def delete_file(call: ApiCall) -> Response:
    file = _found(call)
    # the record first: a file that is listed can be read, and a leftover is swept at the next start
    call.site.world.delete_file(file.id)
    call.site.home.content(file.id).unlink(missing_ok=True)
    return _json({"id": file.id, "object": "file", "deleted": True})


def download(call: ApiCall) -> Response:
    """The bytes; `Range` is honoured. A file deleted while it is read is read to its end."""
    file = _found(call)
    path = call.site.home.content(file.id)
    if not path.exists():
        raise _no_such(file.id)
    return _Download(path, media_type="application/octet-stream", stat_result=path.stat())


class _Download(FileResponse):
    chunk_size = 256 * 1024


def _found(call: ApiCall) -> File:
    file_id = call.path_params["id"]
    file = call.site.world.file(call.owner, file_id, call.site.now())
    if file is None:
        raise _no_such(file_id)
    return file


def _no_such(file_id: str) -> ApiError:
    return ApiError(404, f"No such File object: {file_id[:128]}", param="id")


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
