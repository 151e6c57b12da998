"""What the OpenAI API can get wrong on purpose: ids late or empty, odd status words, fields left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from runner.server.bodies import read_object
from runner.server.endpoint import Call, Endpoint, Handler
from runner.server.errors import ApiError
from runner.server.faults.http import Layer, with_edits, with_layers
from runner.server.faults.switches import FaultSwitches
from runner.server.openai import routes
from runner.server.openai.batches import judged
from runner.server.records import BatchState

_FILE_IDS = ("output_file_id", "error_file_id")
_OF_BATCHES = ("late_output_id", "empty_string_ids")


def endpoints(faults: FaultSwitches) -> list[Endpoint]:
    """The endpoints of the API, able to fail."""
    return with_layers(routes.endpoints(), _layers(faults))


def _layers(faults: FaultSwitches) -> Mapping[str, Layer]:
    looks: Counter[str] = Counter()  # at completed batches; counted only while `late_output_id` is on

    def show(shape: dict[str, Any]) -> None:
        late = faults.get("late_output_id")
        if late is not None and shape["status"] == BatchState.COMPLETED:
            looks[shape["id"]] += 1
            if looks[shape["id"]] <= late.value:
                shape.update(dict.fromkeys(_FILE_IDS))
        if faults.get("empty_string_ids"):
            shape.update({name: shape[name] or "" for name in _FILE_IDS})

    def batch(call: Call, shape: dict[str, Any]) -> None:
        show(shape)

    def retrieved(call: Call, shape: dict[str, Any]) -> None:
        show(shape)
        odd = faults.take("unknown_status")
        if odd is not None:
            shape["status"] = odd.text("word")

    def batches(call: Call, shape: dict[str, Any]) -> None:
        for one in shape["data"]:
            show(one)
        listed(call, shape)

    def listed(call: Call, shape: dict[str, Any]) -> None:
        if faults.get("no_has_more"):
            del shape["has_more"]

    def created(handler: Handler) -> Handler:
        return with_edits(faults, _OF_BATCHES, batch)(_strict(handler, faults))

    return {
        "GET /v1/files": with_edits(faults, ("no_has_more",), listed),
        "POST /v1/batches": created,
        "GET /v1/batches": with_edits(faults, (*_OF_BATCHES, "no_has_more"), batches),
        "GET /v1/batches/{id}": with_edits(faults, (*_OF_BATCHES, "unknown_status"), retrieved),
        "POST /v1/batches/{id}/cancel": with_edits(faults, _OF_BATCHES, batch),
    }


def _strict(handler: Handler, faults: FaultSwitches) -> Handler:
    """`strict_file`: an unknown input file is refused by the create, not found missing by the validation."""

    async def create(call: Call) -> Response:
        if faults.get("strict_file"):
            batch = judged(call, await read_object(call))  # what else is wrong is said first
            site = call.site
            file = await run_in_threadpool(site.world.file, call.owner, batch.input_ref, site.now())
            if file is None:
                raise ApiError(404, f"No such File object: {batch.input_ref[:128]}", param="input_file_id")
        return await handler(call)

    return create
