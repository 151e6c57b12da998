"""What the OpenAI API can get wrong on purpose: ids late or empty, odd status words, fields left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from runner.server.bodies import read_object
from runner.server.endpoint import ApiCall, Endpoint, Handler
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
    shown = _Shown(faults)

    def created(handler: Handler) -> Handler:
        return with_edits(faults, _OF_BATCHES, shown.batch)(_strict(handler, faults))

    return {
        "GET /v1/files": with_edits(faults, ("no_has_more",), shown.page),
        "POST /v1/batches": created,
        "GET /v1/batches": with_edits(faults, (*_OF_BATCHES, "no_has_more"), shown.batches),
        "GET /v1/batches/{id}": with_edits(faults, (*_OF_BATCHES, "unknown_status"), shown.retrieved),
        "POST /v1/batches/{id}/cancel": with_edits(faults, _OF_BATCHES, shown.batch),
    }


class _Shown:
    """Edits of what is shown: of one batch, of a page of files or batches."""

    def __init__(self, faults: FaultSwitches) -> None:
        self._faults = faults
        self._looks: Counter[str] = Counter()  # at completed batches; counted only while `late_output_id` is on

    # In the order in which they hide each other: an id that comes late is not there, and what is not there may be an
    # empty string; `unknown_status` comes last, so that looks at completed batches are counted by their true status.
    def batch(self, call: ApiCall, shape: dict[str, Any]) -> None:
        late = self._faults.get("late_output_id")
        if late is not None and shape["status"] == BatchState.COMPLETED:
            self._looks[shape["id"]] += 1
            if self._looks[shape["id"]] <= late.value:
                shape.update(dict.fromkeys(_FILE_IDS))
        if self._faults.get("empty_string_ids"):
            shape.update({name: shape[name] or "" for name in _FILE_IDS})

    def retrieved(self, call: ApiCall, shape: dict[str, Any]) -> None:
        self.batch(call, shape)
        odd = self._faults.take("unknown_status")
        if odd is not None:
            shape["status"] = odd.text("word")

    def batches(self, call: ApiCall, shape: dict[str, Any]) -> None:
        for one in shape["data"]:
            self.batch(call, one)
        self.page(call, shape)

    def page(self, call: ApiCall, shape: dict[str, Any]) -> None:
        if self._faults.get("no_has_more"):
            del shape["has_more"]


def _strict(handler: Handler, faults: FaultSwitches) -> Handler:
    """`strict_file`: an unknown input file is refused by the create, not found missing by the validation."""

    async def create(call: ApiCall) -> Response:
        if faults.get("strict_file"):
            batch = judged(call, await read_object(call))  # what else is wrong is said first
            site = call.site
            file = await run_in_threadpool(site.world.file, call.owner, batch.input_ref, site.now())
            if file is None:
                raise ApiError(404, f"No such File object: {batch.input_ref[:128]}", param="input_file_id")
        return await handler(call)

    return create
