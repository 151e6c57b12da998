"""Batch inference jobs: create, look, list, delete. Rows are judged later, by the worker."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from runner.server.bodies import read_object
from runner.server.endpoint import ApiCall
from runner.server.fireworks_batch import names, params
from runner.server.fireworks_batch.continuation import copy_rows, find_job, keeps, parent_of
from runner.server.fireworks_batch.datasets import using
from runner.server.fireworks_batch.dialect import NAME
from runner.server.fireworks_batch.errors import exists, invalid, not_found, wrong_state
from runner.server.fireworks_batch.listing import masked, option, page
from runner.server.fireworks_batch.records import StoredDataset
from runner.server.fireworks_batch.shapes import job_shape
from runner.server.fireworks_batch.store import DatasetStore
from runner.server.records import BatchState, StoredBatch

_INHERITED = ("inferenceParameters", "systemPrompt", "precision")
_EVERYTHING = 1 << 62


class JobRoutes:
    """The handlers."""

    def __init__(self, datasets: DatasetStore) -> None:
        self._datasets = datasets
        self._lock = threading.Lock()

    async def create(self, call: ApiCall) -> Response:
        body = await read_object(call)
        batch = await run_in_threadpool(self._created, call, body)
        return _json(self.shape(batch, precise=True))

    def get(self, call: ApiCall) -> Response:
        return _json(masked(self.shape(_found(call)), option(call, "readMask")))

    def list_jobs(self, call: ApiCall) -> Response:
        batches = call.site.world.batches(call.owner, NAME, limit=_EVERYTHING) or []
        mine = [self.shape(b) for b in batches if b.spec["account"] == call.path_params["account"]]
        return _json(page(call, mine[::-1], "batchInferenceJobs", "createTime"))

    def shape(self, batch: StoredBatch, *, precise: bool = False) -> dict[str, Any]:
        """A job as it is shown; `precise`: by the answer to its create."""
        return job_shape(batch, precise=precise)

    def delete(self, call: ApiCall) -> Response:
        """Stop a job: what it has finished is saved, then it is gone. Its datasets stay."""
        now = call.site.now()
        try:
            call.site.world.change(_found(call).id, lambda seen: _deleting(seen, now), even_ended=True)
        except KeyError as error:  # gone just now
            raise not_found() from error
        call.site.wake()
        return _json({})

    def _created(self, call: ApiCall, body: dict[str, Any]) -> StoredBatch:
        site, account = call.site, call.path_params["account"]
        wanted = params.JOB("", body)
        job_id = option(call, "batchInferenceJobId") or names.allocated("bij", site.random.getrandbits(48))
        batch_id = names.batch_id(call.owner, account, names.legal_id(job_id, "batch_inference_job_id"))
        if site.world.batch(call.owner, batch_id) is not None:
            raise exists(names.full(account, names.JOBS, job_id))
        parent = None
        if wanted.get("continuedFromJobName"):
            parent = parent_of(call, wanted["continuedFromJobName"])
            wanted = _inherited(wanted, parent)
        spec = _spec(call, job_id, wanted, parent)
        source = self._source(call, spec)
        now = site.now()
        batch = StoredBatch(
            id=batch_id,
            owner=call.owner,
            dialect=NAME,
            state=BatchState.VALIDATING,
            created_at=now,
            expires_at=now + params.window_seconds(wanted.get("maxJobDuration", "")),
            input_ref=spec["input"],
            model=names.engine_of(spec["model"]),
            spec=spec,
        )
        self._keep(call, batch, source, parent)
        site.log.batch_created()
        site.wake()
        return batch

    def _source(self, call: ApiCall, spec: dict[str, Any]) -> StoredDataset:
        """The input dataset; and the output dataset must be a new one. Raises ApiError."""
        source = self._datasets.get(call.owner, spec["account"], spec["input"])
        if source is None:
            raise not_found()
        if not source.is_ready:
            raise wrong_state(f"dataset {source.id} is not ready")
        self._must_be_free(call, spec)
        return source

    def _must_be_free(self, call: ApiCall, spec: dict[str, Any]) -> None:
        account, output = spec["account"], spec["output"]
        is_promised = any(job.spec["output"] == output for job in using(call.site, call.owner, account, output))
        if is_promised or self._datasets.get(call.owner, account, output) is not None:
            raise exists(names.full(account, names.DATASETS, output))

    # The create of a job reads a dataset that may be a gigabyte, so its rows are laid out beside the event loop and
    # without a lock. A link costs nothing and survives the dataset's deletion. The job is recorded last: before that, a
    # killed server leaves a folder that nobody knows, and its name is free.
    def _keep(self, call: ApiCall, batch: StoredBatch, source: StoredDataset, parent: StoredBatch | None) -> None:
        """Lay out the rows in the job's own folder and record the job, once."""
        site = call.site
        part = site.home.incoming()
        try:
            count = self._lay_out(call, part, source, parent)
            if parent is not None:
                batch = msgspec.structs.replace(batch, spec={**batch.spec, "declared": count})
            else:
                batch = msgspec.structs.replace(batch, spec={**batch.spec, "declared": source.example_count})
            # rows were laid out without the lock, which takes long: whether the names are still free is asked again
            # with it
            with self._lock:
                if site.world.batch(call.owner, batch.id) is not None:
                    raise exists(names.full(batch.spec["account"], names.JOBS, batch.spec["job"]))
                self._must_be_free(call, batch.spec)
                folder = site.home.work(batch.id)
                # of a create that was killed, or of a deleted job of the same name
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(mode=0o700)
                part.replace(folder / "input.jsonl")
                site.world.add_batch(batch)
        finally:
            part.unlink(missing_ok=True)

    def _lay_out(self, call: ApiCall, part: Path, source: StoredDataset, parent: StoredBatch | None) -> int:
        """The rows to be asked, at `part`: a link where they are one whole file. How many, where they were counted."""
        paths = [call.site.home.content(file_id) for _, file_id in sorted(source.files.items())]
        if parent is None and len(paths) == 1:
            _link(paths[0], part)
            return 0
        is_wanted = (lambda line: True) if parent is None else keeps(call, self._datasets, parent)
        count = 0
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=1 << 20) as out:
            for path in paths:
                with path.open("rb") as lines:
                    count += copy_rows(lines, out, is_wanted)
            out.flush()
            os.fsync(out.fileno())
        if parent is not None and count == 0:
            raise wrong_state(f"batch inference job {parent.spec['job']} has no unfinished or failed requests")
        return count


def _spec(call: ApiCall, job_id: str, wanted: dict[str, Any], parent: StoredBatch | None) -> dict[str, Any]:
    """What a job is, checked. Raises ApiError."""
    account = call.path_params["account"]
    for name, what in (("model", "model"), ("inputDatasetId", "input_dataset_id")):
        if not wanted.get(name):
            raise invalid(f"{what} is required")
    names.engine_of(wanted["model"])
    output = wanted.get("outputDatasetId") or names.allocated("bij-", call.site.random.getrandbits(48))
    window = wanted.get("maxJobDuration", "")
    precision = wanted.get("precision", "")
    return {
        "account": account,
        "job": job_id,
        "model": wanted["model"],
        "input": names.id_in(wanted["inputDatasetId"], account, names.DATASETS, "input_dataset_id"),
        "output": names.id_in(output, account, names.DATASETS, "output_dataset_id"),
        "display_name": wanted.get("displayName", ""),
        "params": wanted.get("inferenceParameters", {}),
        "defaults": params.defaults(wanted.get("inferenceParameters", {})),
        "system_prompt": wanted.get("systemPrompt", ""),
        "window": f"{params.window_seconds(window):g}s" if window else None,
        "precision": precision if precision not in ("", params.PRECISIONS[0]) else "BF16",
        "placement": wanted.get("placement"),
        "parent": parent.spec["job"] if parent is not None else "",
    }


def _inherited(wanted: dict[str, Any], parent: StoredBatch) -> dict[str, Any]:
    """What a continuation does not say is as in its parent; it has the parent's input in any case."""
    spec = parent.spec
    source = names.full(spec["account"], names.DATASETS, spec["input"])
    given = wanted.get("inputDatasetId")
    if given and names.id_in(given, spec["account"], names.DATASETS, "input_dataset_id") != spec["input"]:
        raise invalid("input_dataset_id of a continuation must be that of the job it continues")
    # what is said anew wins, field by field; the input is not for saying: the rows left are those of the first job
    theirs = dict(zip(_INHERITED, (spec["params"], spec["system_prompt"], spec["precision"]), strict=True))
    return {"model": spec["model"], **theirs, **wanted, "inputDatasetId": source}


def _deleting(batch: StoredBatch, now: float) -> StoredBatch:
    if batch.state is BatchState.DELETING:
        return batch
    # a job that has not begun, or has ended, has nothing to save
    is_running = batch.state in (BatchState.IN_PROGRESS, BatchState.FINALIZING)
    return batch.entering(BatchState.DELETING, now, ending=BatchState.CANCELLED if is_running else None)


def _found(call: ApiCall) -> StoredBatch:
    batch = find_job(call.site.world, call.owner, call.path_params["account"], call.path_params["job"])
    if batch is None:
        raise not_found()
    return batch


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError as error:  # deleted just now
        raise not_found() from error
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
