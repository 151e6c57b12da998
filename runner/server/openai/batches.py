"""`/v1/batches`: only parameters are judged here; the file is judged later, by the worker."""

from __future__ import annotations

import os
import re
import shutil
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from runner.server.bodies import read_object
from runner.server.endpoint import ApiCall
from runner.server.errors import ApiError
from runner.server.openai.dialect import NAME
from runner.server.openai.errors import invalid
from runner.server.openai.params import expiry_seconds, integer, metadata, page_of, required_text
from runner.server.openai.shapes import batch_shape, list_shape
from runner.server.records import BatchState, StoredBatch

WINDOW_SECONDS = {"24h": 86_400}
_WINDOW = re.compile(r"([1-9][0-9]{0,4})([hd])")
_UNIT_SECONDS = {"h": 3_600, "d": 86_400}
ENDPOINTS = (
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/videos",
)
# A cancelled batch is not among them: to cancel it again is no mistake, and shows it as it is.
_DEFINITE = (BatchState.COMPLETED, BatchState.FAILED, BatchState.EXPIRED)


async def create(call: ApiCall) -> Response:
    batch = judged(call, await read_object(call))
    await run_in_threadpool(_keep, call, batch)
    return _json(batch_shape(batch))


def retrieve(call: ApiCall) -> Response:
    return _json(batch_shape(_found(call)))


def list_batches(call: ApiCall) -> Response:
    limit = integer(call, "limit", low=1, high=100, default=20)
    after = call.query_params.get("after", "")
    page, has_more = page_of(call.site.world.batches(call.owner, NAME, limit=limit + 1, after=after), limit)
    return _json(list_shape([batch_shape(batch) for batch in page], has_more=has_more))


def cancel(call: ApiCall) -> Response:
    now = call.site.now()
    batch = call.site.world.change(_found(call).id, lambda seen: _cancelling(seen, now))
    if batch.state in _DEFINITE:
        raise ApiError(409, f"Cannot cancel a batch with status '{batch.state.value}'.")
    call.site.wake()
    return _json(batch_shape(batch))


def judged(call: ApiCall, body: dict[str, Any]) -> StoredBatch:
    """The batch that a create asks for. Raises ApiError for parameters that are missing or wrong; keeps nothing."""
    site = call.site
    input_ref = required_text(body, "input_file_id")
    endpoint = required_text(body, "endpoint")
    if endpoint not in ENDPOINTS:
        raise invalid("endpoint", f"Invalid value: '{endpoint[:64]}'. Supported values are: {', '.join(ENDPOINTS)}.")
    window = required_text(body, "completion_window")
    seconds = _seconds_in(window, is_any=site.stands_in)
    if seconds is None:
        raise invalid("completion_window", f"Invalid value: '{window[:64]}'. Supported values are: '24h'.")
    spec: dict[str, Any] = {"completion_window": window, "metadata": metadata(body.get("metadata"))}
    if body.get("output_expires_after") is not None:
        spec["output_expires_seconds"] = expiry_seconds(body["output_expires_after"], "output_expires_after")
    now = site.now()
    return StoredBatch(
        id=site.new_id("batch_", 32),
        owner=call.owner,
        dialect=NAME,
        state=BatchState.VALIDATING,
        created_at=now,
        expires_at=now + seconds,
        input_ref=input_ref,
        endpoint=endpoint,
        spec=spec,
    )


# A batch is recorded last, when its folder is whole: a server killed before leaves a folder that nobody knows.
def _keep(call: ApiCall, batch: StoredBatch) -> None:
    _lay_out(call, batch)
    call.site.world.add_batch(batch)
    call.site.log.batch_created()
    call.site.wake()


def _seconds_in(window: str, *, is_any: bool) -> int | None:
    """The length of a completion window; None for one that is not offered. is_any: whole hours or days are."""
    if is_any and (found := _WINDOW.fullmatch(window)):
        return int(found[1]) * _UNIT_SECONDS[found[2]]
    return WINDOW_SECONDS.get(window)


def _lay_out(call: ApiCall, batch: StoredBatch) -> None:
    """Give the batch its own link to the input, so that the file may be deleted while the batch runs."""
    site = call.site
    file = site.world.file(call.owner, batch.input_ref, site.now())
    if file is not None and file.purpose != "batch":
        raise invalid("input_file_id", f"The file's purpose is '{file.purpose}', but must be 'batch'.")
    folder = site.home.work(batch.id)
    # also without an input: the worker looks for it there, and says that it cannot be found
    folder.mkdir(mode=0o700)
    # not refused here: a real service takes such a batch and fails it in validation
    if file is None:
        return
    source, target = site.home.content(file.id), folder / "input.jsonl"
    try:
        os.link(source, target)
    except FileNotFoundError:  # deleted just now
        return
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _cancelling(batch: StoredBatch, now: float) -> StoredBatch:
    if batch.state is BatchState.CANCELLING:
        return batch
    return batch.entering(BatchState.CANCELLING, now, ending=BatchState.CANCELLED)


def _found(call: ApiCall) -> StoredBatch:
    batch_id = call.path_params["id"]
    batch = call.site.world.batch(call.owner, batch_id)
    if batch is None or batch.dialect != NAME:
        raise ApiError(404, f"No batch found with id '{batch_id[:128]}'.", param="id")
    return batch


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
