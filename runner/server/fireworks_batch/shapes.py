"""How datasets and jobs look on the wire: lowerCamelCase, unset fields printed, 64-bit integers as strings."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import Any

from runner.server.fireworks_batch import names
from runner.server.fireworks_batch.records import StoredDataset
from runner.server.records import BatchProblem, BatchState, StoredBatch

_BY = "dev@runner.invalid"
_STATES = {
    BatchState.VALIDATING: "VALIDATING",
    BatchState.QUEUED: "PENDING",
    BatchState.STARTING: "CREATING",
    BatchState.IN_PROGRESS: "RUNNING",
    BatchState.FINALIZING: "WRITING_RESULTS",
    BatchState.CANCELLING: "CANCELLING",
    BatchState.COMPLETED: "COMPLETED",
    BatchState.FAILED: "FAILED",
    BatchState.EXPIRED: "EXPIRED",
    BatchState.CANCELLED: "CANCELLED",
    BatchState.DELETING: "DELETING_CLEANING_UP",
}
_NO_PARAMS = {"maxTokens": 0, "temperature": 0, "topP": 0, "topK": 0, "n": 0, "extraBody": "{}"}
_ENDS = (BatchState.COMPLETED, BatchState.FAILED, BatchState.EXPIRED, BatchState.CANCELLED)
_CODES = {
    "engine_unavailable": "UNAVAILABLE",
    "server_error": "INTERNAL",
    "token_limit_exceeded": "RESOURCE_EXHAUSTED",
}


def instant(at: float, *, precise: bool = False) -> str:
    """RFC 3339 in UTC. The answer to a create has nine digits, later looks have six, of the same instant."""
    text = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}"
    return f"{text}{zlib.crc32(text.encode()) % 1000:03d}Z" if precise else f"{text}Z"


def dataset_shape(dataset: StoredDataset, *, precise: bool = False) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "name": names.full(dataset.account, names.DATASETS, dataset.id),
        "displayName": dataset.display_name,
        "createTime": instant(dataset.created_at, precise=precise),
        "updateTime": instant(dataset.updated_at, precise=precise),
        "createdBy": _BY,
        "state": "READY" if dataset.is_ready else "UPLOADING",
        "status": {"code": dataset.status_code, "message": dataset.status_message},
        "format": dataset.format,
        "exampleCount": str(dataset.example_count),
        "estimatedTokenCount": "0",
        "averageTurnCount": 0,
        "externalUrl": "",
        "sourceJobName": dataset.source_job,
        "encryptionState": "ENCRYPTION_STATE_PLAINTEXT",
    }
    if dataset.is_uploaded:  # one of several sources; of those only the one that is set is printed
        shape["userUploaded"] = {}
    return shape


def job_shape(batch: StoredBatch, *, precise: bool = False) -> dict[str, Any]:
    spec = batch.spec
    account = spec["account"]
    parent = spec["parent"]
    return {
        "name": names.full(account, names.JOBS, spec["job"]),
        "displayName": spec["display_name"],
        "createdBy": _BY,
        "createTime": instant(batch.created_at, precise=precise),
        "updateTime": instant(max(batch.stamps.values(), default=batch.created_at), precise=precise),
        "expireTime": instant(batch.expires_at),
        "state": f"JOB_STATE_{_word(batch)}",
        "status": _status(batch.problems),
        "waitingOnCapacity": False,
        "model": spec["model"],
        "precision": spec["precision"],
        "systemPrompt": spec["system_prompt"],
        "inputDatasetId": names.full(account, names.DATASETS, spec["input"]),
        "outputDatasetId": names.full(account, names.DATASETS, spec["output"]),
        "inferenceParameters": {
            **_NO_PARAMS,
            **spec["params"],
        },
        "continuedFromJobName": names.full(account, names.JOBS, parent) if parent else "",
        "maxJobDuration": spec["window"],
        "placement": spec["placement"],
        "lifecycle": _lifecycle(batch),
        "jobProgress": _progress(batch),
    }


def _word(batch: StoredBatch) -> str:
    if batch.state is BatchState.EXPIRED:
        return str(batch.spec.get("ends_as") or "EXPIRED")
    return _STATES[batch.state]


def _status(problems: list[BatchProblem]) -> dict[str, str]:
    if not problems:
        return {"code": "OK", "message": ""}
    return {"code": _CODES.get(problems[0].code, "INVALID_ARGUMENT"), "message": problems[0].message}


def _lifecycle(batch: StoredBatch) -> dict[str, str | None] | None:
    stamps = batch.stamps

    def at(*states: BatchState) -> str | None:
        return next((instant(stamps[state.value]) for state in states if state.value in stamps), None)

    shown = {"validatedTime": at(BatchState.QUEUED), "runStartTime": at(BatchState.IN_PROGRESS), "endTime": at(*_ENDS)}
    return shown if any(shown.values()) else None


def _progress(batch: StoredBatch) -> dict[str, int] | None:
    """`totalInputRequests` repeats what the dataset's creator declared, not what was counted."""
    if BatchState.QUEUED.value not in batch.stamps:
        return None
    return {
        "percent": 100 if batch.state is BatchState.COMPLETED else 100 * batch.done // max(batch.total, 1),
        "epoch": 0,
        "totalInputRequests": batch.spec["declared"],
        "totalProcessedRequests": batch.done,
        "successfullyProcessedRequests": batch.completed,
        "failedRequests": batch.failed,
        "outputRows": batch.completed,
        "inputTokens": batch.input_tokens,
        "outputTokens": batch.output_tokens,
        "cachedInputTokenCount": 0,
    }
