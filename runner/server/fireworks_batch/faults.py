"""What the Fireworks API can get wrong on purpose: states, windows, counts, files of datasets, and hostile storage."""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from runner.server.bodies import read_object
from runner.server.endpoint import ApiCall, Endpoint, Handler
from runner.server.faults.http import Layer, with_edits, with_layers
from runner.server.faults.switches import FaultSwitches
from runner.server.fireworks_batch import params, routes
from runner.server.fireworks_batch.datasets import DatasetRoutes
from runner.server.fireworks_batch.dialect import MAX_INPUT_BYTES, FireworksDialect
from runner.server.fireworks_batch.errors import invalid
from runner.server.fireworks_batch.jobs import JobRoutes
from runner.server.fireworks_batch.records import ERRORS, StoredDataset
from runner.server.fireworks_batch.routes import DOWNLOAD, PREFIX, UPLOAD
from runner.server.fireworks_batch.signing import CONTENT_TYPE, Signer
from runner.server.fireworks_batch.store import DatasetStore
from runner.server.records import BatchState, File, StoredBatch
from runner.server.site import Site
from runner.server.world import World

_BOMB_BYTES = 256 * 1024 * 1024


def bound(faults: FaultSwitches, job: StoredBatch) -> StoredBatch:
    """A new job, with the word it is to end in should its window close."""
    ends_as = faults.take("ends_as")
    if ends_as is None:
        return job
    return msgspec.structs.replace(job, spec={**job.spec, "ends_as": ends_as.text("state").upper()})


class FaultyFireworksDialect(FireworksDialect):
    """The dialect, with output datasets that show late that they are ready."""

    def __init__(self, faults: FaultSwitches, max_input_bytes: int = MAX_INPUT_BYTES) -> None:
        super().__init__(max_input_bytes)
        self._faults = faults

    def written(self, dataset: StoredDataset, batch: StoredBatch) -> StoredDataset:
        return _late(super().written(dataset, batch), self._faults, "late_output_id")


class FaultyDatasetStore(DatasetStore):
    """The store, in which filled datasets show late that they are ready."""

    def __init__(self, world: World, faults: FaultSwitches) -> None:
        super().__init__(world)
        self._faults = faults

    def change(
        self, dataset: StoredDataset, how: Callable[[StoredDataset], StoredDataset], new_files: Iterable[File] = ()
    ) -> tuple[StoredDataset, list[str]] | None:
        def changed(seen: StoredDataset) -> StoredDataset:
            after = how(seen)
            # what a job writes comes another way, see `FaultyFireworksDialect`
            is_filled = after.is_stored and not seen.is_stored
            return _late(after, self._faults, "dataset_uploading") if is_filled else after

        return super().change(dataset, changed, new_files)


class FaultyDatasetRoutes(DatasetRoutes):
    """The handlers of a service that does not ask for a count of rows."""

    def __init__(self, datasets: DatasetStore, faults: FaultSwitches) -> None:
        super().__init__(datasets)
        self._faults = faults

    def example_count(self, given: dict[str, Any]) -> int:
        if self._faults.get("lenient_example_count"):
            return max(int(given.get("exampleCount", 0)), 0)
        return super().example_count(given)


class FaultyJobRoutes(JobRoutes):
    """The handlers of a service whose running jobs may wait for capacity."""

    def __init__(self, datasets: DatasetStore, faults: FaultSwitches) -> None:
        super().__init__(datasets)
        self._faults = faults

    def shape(self, batch: StoredBatch, *, precise: bool = False) -> dict[str, Any]:
        waits = batch.state is BatchState.IN_PROGRESS and self._faults.get("waiting_on_capacity") is not None
        return {**super().shape(batch, precise=precise), "waitingOnCapacity": waits}


class FaultySigner(Signer):
    """Signs URLs that lead elsewhere, or live for a moment only."""

    def __init__(self, secret: bytes, faults: FaultSwitches) -> None:
        super().__init__(secret)
        self._faults = faults

    def url(self, base: str, method: str, path: str, now: float, seconds: float, size_range: str = "") -> str:
        hostile, short = self._faults.get("hostile_urls"), self._faults.get("signed_url_seconds")
        if hostile is not None and hostile.text("kind") == "host":
            base = f"https://{hostile.text('host')}"
        return super().url(base, method, path, now, seconds if short is None else short.value, size_range)


def endpoints(site: Site, faults: FaultSwitches) -> list[Endpoint]:
    """The endpoints of the API, able to fail."""
    signer, datasets = FaultySigner(site.tokens[0].encode(), faults), FaultyDatasetStore(site.world, faults)
    sets, jobs = FaultyDatasetRoutes(datasets, faults), FaultyJobRoutes(datasets, faults)
    return with_layers(routes.endpoints(signer, datasets, sets, jobs), _layers(faults, signer, datasets))


def _layers(faults: FaultSwitches, signer: Signer, datasets: DatasetStore) -> Mapping[str, Layer]:

    def odd(call: ApiCall, shape: dict[str, Any]) -> None:
        word = faults.take("unknown_status")
        if word is not None and "state" in shape:  # a mask may have left it out
            shape["state"] = f"JOB_STATE_{word.text('word').upper()}"

    def hostile(handler: Handler) -> Handler:
        return _hostile(handler, faults, signer)

    def looking(handler: Handler) -> Handler:
        return _looking(handler, datasets)

    def downloads(handler: Handler) -> Handler:
        names = ("ignore_lineage", "no_error_file", "hostile_urls")
        edited = with_edits(faults, names, lambda call, shape: _mislead(faults, call, shape))
        return looking(edited(handler))

    return {
        f"GET {PREFIX}/datasets": looking,
        f"GET {PREFIX}/datasets/{{dataset}}": looking,
        f"GET {PREFIX}/datasets/{{dataset}}:getDownloadEndpoint": downloads,
        f"POST {PREFIX}/batchInferenceJobs": lambda handler: _windowless(handler, faults),
        f"GET {PREFIX}/batchInferenceJobs/{{job}}": with_edits(faults, ("unknown_status",), odd),
        f"GET {DOWNLOAD}": hostile,
        f"PUT {UPLOAD}": hostile,
    }


def _late(dataset: StoredDataset, faults: FaultSwitches, name: str) -> StoredDataset:
    late = faults.get(name)
    return msgspec.structs.replace(dataset, looks_left=int(late.value) if late else 0)


def _looking(handler: Handler, datasets: DatasetStore) -> Handler:
    """Each look at a dataset that hides that it is ready brings it nearer to showing it.

    What is left is in the dataset's record, so that it outlives both the fault and the server.
    """

    async def look(call: ApiCall) -> Response:
        try:
            return await handler(call)
        finally:
            await run_in_threadpool(count, call)

    def count(call: ApiCall) -> None:
        account, name = call.path_params["account"], call.path_params.get("dataset")
        seen = [datasets.get(call.owner, account, name)] if name else datasets.all(call.owner, account)
        for dataset in seen:
            if dataset is not None and dataset.is_stored and dataset.looks_left > 0:
                datasets.change(dataset, lambda d: msgspec.structs.replace(d, looks_left=max(d.looks_left - 1, 0)))

    return look


def _windowless(handler: Handler, faults: FaultSwitches) -> Handler:
    """`no_max_job_duration`: a service that knows no windows."""

    async def create(call: ApiCall) -> Response:
        if faults.get("no_max_job_duration") and "maxJobDuration" in params.JOB("", await read_object(call)):
            raise invalid('unknown field "maxJobDuration"')
        return await handler(call)

    return create


def _mislead(faults: FaultSwitches, call: ApiCall, shape: dict[str, Any]) -> None:
    """The signed URLs of a dataset without those of its lineage, or its error file, or under names that climb."""
    urls: dict[str, str] = shape["filenameToSignedUrls"]
    if faults.get("ignore_lineage"):
        own = f"dataset/{call.path_params['dataset']}/"
        urls = {name: url for name, url in urls.items() if name.startswith(own)}
    if faults.get("no_error_file"):
        urls = {name: url for name, url in urls.items() if not name.endswith(f"/{ERRORS}")}
    hostile = faults.get("hostile_urls")
    if hostile is not None and hostile.text("kind") == "names":
        urls = {f"{folder}/../../../../{name}": url for (folder, _, name), url in _parted(urls)}
    shape["filenameToSignedUrls"] = urls


def _parted(urls: Mapping[str, str]) -> Iterable[tuple[tuple[str, str, str], str]]:
    return ((name.rpartition("/"), url) for name, url in urls.items())


def _hostile(handler: Handler, faults: FaultSwitches, signer: Signer) -> Handler:
    """What storage answers to a right signature under the fault `hostile_urls`."""

    async def misbehaving(call: ApiCall) -> Response:
        hostile = faults.get("hostile_urls")
        if hostile is None:
            return await handler(call)
        # storage that misbehaves still asks for a signature: a wrong one is told as ever
        signer.check(call, call.site.now())
        match hostile.text("kind"):
            case "redirect":
                return Response(b"", 307 if call.method == "PUT" else 302, headers={"location": hostile.text("to")})
            case "challenge":
                return Response(b"", 401, headers={"www-authenticate": 'Bearer realm="send your API key"'})
            case "gzip":
                return Response(_bomb(), media_type=CONTENT_TYPE, headers={"content-encoding": "gzip"})
        return await handler(call)

    return misbehaving


@functools.cache
def _bomb() -> bytes:
    """A quarter of a gigabyte of zeros, in about 260 kB of gzip."""
    block, blocks = bytes(1 << 20), _BOMB_BYTES >> 20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    # behind a full flush nothing refers back, so one packed block may stand there any number of times: to pack them all
    # takes a second, or ten where the machine is busy
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = functools.reduce(lambda so_far, _: zlib.crc32(block, so_far), range(blocks), 0)
    head, tail = b"\x1f\x8b\x08\0\0\0\0\0\0\xff", struct.pack("<II", checksum, _BOMB_BYTES)
    return head + packed * blocks + b"\x03\0" + tail
