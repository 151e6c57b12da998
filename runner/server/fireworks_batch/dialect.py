"""Fireworks' input and result rows, as the worker needs them, and the output dataset that goes with a job."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from runner.server.dialect import InputVerdict
from runner.server.engines.base import EngineReply, EngineRequest
from runner.server.fireworks_batch import names, store, validate
from runner.server.fireworks_batch.records import ERRORS, RESULTS, StoredDataset, file_owner
from runner.server.records import BatchState, File, StoredBatch

NAME = "fireworks"
MAX_INPUT_BYTES = 10**9
_ENDPOINT = "/v1/chat/completions"
_RUNNING = (BatchState.IN_PROGRESS, BatchState.FINALIZING)


class _Line(msgspec.Struct):
    custom_id: str
    body: msgspec.Raw


class _Inner(msgspec.Struct):
    message: str = ""


class _Failed(msgspec.Struct):
    error: _Inner | str = ""


_line = msgspec.json.Decoder(_Line)
_failed = msgspec.json.Decoder(_Failed)
_encode = msgspec.json.Encoder().encode


class FireworksDialect:
    """The `Dialect` of Fireworks' batch inference jobs."""

    name = NAME
    is_queued = True
    keeps_empty_files = True

    def __init__(self, max_input_bytes: int = MAX_INPUT_BYTES) -> None:
        self._max_input_bytes = max_input_bytes

    def check(self, batch: StoredBatch, source: Path, stopped: Callable[[], bool]) -> InputVerdict:
        return validate.check(batch, source, stopped, self._max_input_bytes)

    def request_of(self, batch: StoredBatch, line: bytes) -> EngineRequest:
        read = _line.decode(line)
        model = batch.spec["model"]
        created = int(batch.stamps.get(BatchState.IN_PROGRESS.value, batch.created_at))
        return EngineRequest(_ENDPOINT, model, _whole(batch.spec, model, bytes(read.body)), created, read.custom_id)

    def result_line(self, batch: StoredBatch, ordinal: int, custom_id: str, reply: EngineReply) -> bytes:
        if reply.is_ok:
            return b'{"custom_id":%b,"response":%b}' % (_encode(custom_id), reply.body)
        code, message = _error_of(reply)
        return b'{"custom_id":%b,"error":{"code":%d,"message":%b}}' % (_encode(custom_id), code, _encode(message))

    def unfinished_lines(
        self, batch: StoredBatch, rows: Iterator[tuple[int, bytes]], ending: BatchState
    ) -> Iterator[bytes]:
        """Rows that were never asked are in neither file."""
        return iter(())

    def result_file(self, batch: StoredBatch, file_id: str, *, is_output: bool, size_bytes: int, now: float) -> File:
        return File(
            id=file_id,
            owner=file_owner(batch.owner),
            purpose="batch_output",
            filename=RESULTS if is_output else ERRORS,
            size_bytes=size_bytes,
            created_at=now,
        )

    def record(self, db: sqlite3.Connection, before: StoredBatch, after: StoredBatch) -> None:
        """The output dataset begins with the run, and is ready when the job has ended with whatever was done."""
        # a client that lists datasets while a job runs sees its output, still UPLOADING
        if after.state is BatchState.IN_PROGRESS and before.state is not BatchState.IN_PROGRESS:
            if store.find(db, after.owner, after.spec["account"], after.spec["output"]) is None:
                store.insert(db, _output(after))
            return
        is_written = after.output_ref is not None and before.output_ref is None
        is_lost = after.state is BatchState.FAILED and before.state in _RUNNING
        if not (is_written or is_lost):
            return
        dataset = store.find(db, after.owner, after.spec["account"], after.spec["output"])
        if dataset is None:
            return
        if is_lost:
            store.delete(db, dataset)
        else:
            store.update(db, self.written(dataset, after))

    def written(self, dataset: StoredDataset, batch: StoredBatch) -> StoredDataset:
        """The output dataset of a job whose files have just been written."""
        files = {RESULTS: batch.output_ref, ERRORS: batch.error_ref}
        return msgspec.structs.replace(
            dataset,
            updated_at=max(batch.stamps.values()),
            example_count=batch.completed,
            is_stored=True,
            files={name: file_id for name, file_id in files.items() if file_id},
        )


def _output(batch: StoredBatch) -> StoredDataset:
    spec = batch.spec
    now = batch.stamps[BatchState.IN_PROGRESS.value]
    return StoredDataset(
        owner=batch.owner,
        account=spec["account"],
        id=spec["output"],
        created_at=now,
        updated_at=now,
        is_uploaded=False,
        source_job=names.full(spec["account"], names.JOBS, spec["job"]),
    )


def _whole(spec: dict[str, Any], model: str, body: bytes) -> bytes:
    """A row's body as an engine gets it: the job's parameters under its own, the system prompt, and the model."""
    defaults, prompt = spec["defaults"], spec["system_prompt"]
    if not defaults and not prompt and b'"model"' not in body:  # nothing to be merged: spliced, not decoded
        # the body's own brace goes, ours stands before the model
        rest = body.strip()[1:].lstrip()
        return b'{"model":%b%b%b' % (_encode(model), b"" if rest.startswith(b"}") else b",", rest)
    whole = {**defaults, **msgspec.json.decode(body), "model": model}
    messages = whole.get("messages")
    if prompt and isinstance(messages, list) and not (messages and messages[0].get("role") == "system"):
        whole["messages"] = [{"role": "system", "content": prompt}, *messages]
    return _encode(whole)


def _error_of(reply: EngineReply) -> tuple[int, str]:
    """The code and message of a row that failed."""
    if reply.failure is not None:
        return 408, reply.failure[1]
    try:
        error = _failed.decode(reply.body).error
    except (msgspec.MsgspecError, RecursionError):
        error = reply.body[:256].decode("utf-8", "replace")
    return reply.status, error if isinstance(error, str) else error.message
