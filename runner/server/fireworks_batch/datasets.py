"""Datasets: create, look, list, patch, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from runner.server.bodies import read_object
from runner.server.endpoint import ApiCall
from runner.server.errors import ApiError
from runner.server.fireworks_batch import fields, names
from runner.server.fireworks_batch.dialect import NAME
from runner.server.fireworks_batch.errors import exists, invalid, not_found, wrong_state
from runner.server.fireworks_batch.listing import masked, option, page
from runner.server.fireworks_batch.records import StoredDataset
from runner.server.fireworks_batch.shapes import dataset_shape
from runner.server.fireworks_batch.store import DatasetStore
from runner.server.records import StoredBatch
from runner.server.site import Site

Found = Callable[[ApiCall], StoredDataset]
_SOURCES = ("userUploaded", "transformed", "splitted", "evaluationResult", "evalProtocol", "externalUrl")
_OUTPUT_ONLY = (
    "name",
    "state",
    "status",
    "createTime",
    "updateTime",
    "createdBy",
    "estimatedTokenCount",
    "averageTurnCount",
    "encryptionState",
)
_DATASET = fields.message(
    {
        "displayName": fields.text,
        "exampleCount": fields.int64,
        "format": fields.one_of("FORMAT_UNSPECIFIED", "CHAT", "COMPLETION", "RL"),
        "sourceJobName": fields.text,
        "externalUrl": fields.text,
        **dict.fromkeys(_SOURCES[:-1], fields.struct_of),
        **dict.fromkeys(_OUTPUT_ONLY, fields.anything),
    }
)
_CREATE = fields.message(
    {"datasetId": fields.text, "dataset": _DATASET, "sourceDatasetId": fields.text, "filter": fields.text}
)


class DatasetRoutes:
    """The handlers."""

    def __init__(self, datasets: DatasetStore) -> None:
        self._datasets = datasets

    async def create(self, call: ApiCall) -> Response:
        wanted = _CREATE("", await read_object(call))
        dataset = self._new(call, wanted)
        if not await run_in_threadpool(self._add, call, dataset):
            raise exists(names.full(dataset.account, names.DATASETS, dataset.id))
        call.site.log.dataset_created()
        return _json(dataset_shape(dataset, precise=True))

    def found(self, call: ApiCall) -> StoredDataset:
        """The dataset in the path. Raises ApiError 404."""
        dataset = self._datasets.get(call.owner, call.path_params["account"], call.path_params["dataset"])
        if dataset is None:
            raise not_found()
        return dataset

    def get(self, call: ApiCall) -> Response:
        return _json(masked(dataset_shape(self.found(call)), option(call, "readMask")))

    def list_datasets(self, call: ApiCall) -> Response:
        all_of_them = self._datasets.all(call.owner, call.path_params["account"])
        return _json(page(call, [dataset_shape(one) for one in all_of_them], "datasets", "name"))

    async def patch(self, call: ApiCall) -> Response:
        wanted = _DATASET("", await read_object(call))
        now = call.site.now()
        if wanted.get("exampleCount", 1) <= 0:
            raise invalid("example_count must be positive")

        def patched(seen: StoredDataset) -> StoredDataset:
            return msgspec.structs.replace(
                seen,
                display_name=wanted.get("displayName", seen.display_name),
                example_count=wanted.get("exampleCount", seen.example_count),
                format=wanted.get("format", seen.format),
                source_job=wanted.get("sourceJobName", seen.source_job),
                updated_at=now,
            )

        dataset = await run_in_threadpool(self.found, call)
        # read and written in one transaction: an upload may be completing at this moment
        changed = await run_in_threadpool(self._datasets.change, dataset, patched)
        if changed is None:
            raise not_found()
        return _json(dataset_shape(changed[0]))

    def delete(self, call: ApiCall) -> Response:
        """A dataset that a job still reads or writes stays."""
        dataset = self.found(call)
        user = next(using(call.site, dataset.owner, dataset.account, dataset.id), None)
        if user is not None:
            raise wrong_state(f"dataset {dataset.id} is in use by batch inference job {user.spec['job']}")
        for file_id in self._datasets.remove(dataset):
            call.site.home.content(file_id).unlink(missing_ok=True)
        return _json({})

    def _add(self, call: ApiCall, dataset: StoredDataset) -> bool:
        key = dataset.owner, dataset.account, dataset.id
        # a running job's output dataset exists by name before it exists as a record
        is_taken = any(job.spec["output"] == dataset.id for job in using(call.site, *key))
        return not is_taken and self._datasets.add(dataset)

    def _new(self, call: ApiCall, wanted: dict[str, Any]) -> StoredDataset:
        """The record of a create. Raises ApiError."""
        dataset_id = names.legal_id(wanted.get("datasetId", ""), "dataset_id")
        given = wanted.get("dataset", {})
        sources = [name for name in _SOURCES if name in given and given[name] != ""]
        if len(sources) != 1:
            raise invalid("error validating dataset: exactly one source is required, such as user_uploaded")
        if sources != ["userUploaded"] or wanted.get("sourceDatasetId"):
            raise ApiError(501, f"datasets with the source {sources[0]} are not served here")
        count, now = self.example_count(given), call.site.now()
        return StoredDataset(
            owner=call.owner,
            account=call.path_params["account"],
            id=dataset_id,
            created_at=now,
            updated_at=now,
            display_name=given.get("displayName", ""),
            format=given.get("format", "FORMAT_UNSPECIFIED"),
            example_count=count,
            source_job=given.get("sourceJobName", ""),
        )

    def example_count(self, given: dict[str, Any]) -> int:
        """What a create says of the number of its rows; it has to. Raises ApiError 400."""
        count = int(given.get("exampleCount", 0))
        if count <= 0:
            raise invalid("error validating dataset: example_count is required for uploaded datasets")
        return count


def using(site: Site, owner: str, account: str, dataset_id: str) -> Any:
    """Unfinished jobs that read or are to write a dataset."""

    def uses(batch: StoredBatch) -> bool:
        spec = batch.spec
        if batch.dialect != NAME or batch.owner != owner or spec["account"] != account:
            return False
        return dataset_id in (spec["input"], spec["output"])

    return (batch for batch in site.world.active() if uses(batch))


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
