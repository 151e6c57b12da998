"""Files and batches as OpenAI prints them."""

from __future__ import annotations

from typing import Any

from runner.server.records import BatchState, File, StoredBatch

_STAMPS = (
    BatchState.IN_PROGRESS,
    BatchState.FINALIZING,
    BatchState.COMPLETED,
    BatchState.FAILED,
    BatchState.EXPIRED,
    BatchState.CANCELLING,
    BatchState.CANCELLED,
)


def file_shape(file: File) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "id": file.id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": int(file.created_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }
    if file.expires_at:
        shape["expires_at"] = int(file.expires_at)
    return shape


def batch_shape(batch: StoredBatch) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": _errors(batch),
        "input_file_id": batch.input_ref,
        "completion_window": batch.spec["completion_window"],
        "status": batch.state.value,
        "output_file_id": batch.output_ref,
        "error_file_id": batch.error_ref,
        "created_at": int(batch.created_at),
        "expires_at": int(batch.expires_at),
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "metadata": batch.spec.get("metadata"),
    }
    for state in _STAMPS:
        at = batch.stamps.get(state.value)
        shape[f"{state.value}_at"] = None if at is None else int(at)
    if batch.model:
        shape["model"] = batch.model
    shape["usage"] = {
        "input_tokens": batch.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": batch.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": batch.input_tokens + batch.output_tokens,
    }
    return shape


def list_shape(items: list[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    return {
        "object": "list",
        "data": items,
        "first_id": items[0]["id"] if items else None,
        "last_id": items[-1]["id"] if items else None,
        "has_more": has_more,
    }


def _errors(batch: StoredBatch) -> dict[str, Any] | None:
    if not batch.problems:
        return None
    data = [{"code": one.code, "message": one.message, "param": one.param, "line": one.line} for one in batch.problems]
    return {"object": "list", "data": data}
