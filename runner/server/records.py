"""What the server remembers about a file and a batch. Words are neutral: each dialect translates them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class BatchState(StrEnum):
    """Where a batch is, from creation to its end."""

    VALIDATING = "validating"
    QUEUED = "queued"
    STARTING = "starting"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DELETING = "deleting"

    @property
    def has_ended(self) -> bool:
        return self in (BatchState.COMPLETED, BatchState.FAILED, BatchState.EXPIRED, BatchState.CANCELLED)


class File(msgspec.Struct, frozen=True):
    """One file. Times are Unix seconds; `expires_at` 0 means never."""

    id: str
    owner: str
    purpose: str
    filename: str
    size_bytes: int
    created_at: float
    expires_at: float = 0.0


class BatchProblem(msgspec.Struct, frozen=True):
    """One thing wrong with a whole batch. `line` counts from 1."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class StoredBatch(msgspec.Struct, frozen=True, omit_defaults=True):
    """One batch. `spec` holds what only its dialect understands, `marks` the faults bound to it at creation."""

    id: str
    owner: str
    dialect: str
    state: BatchState
    created_at: float
    expires_at: float
    input_ref: str
    endpoint: str = ""
    model: str = ""
    total: int = 0
    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    enqueued_tokens: int = 0
    ending: BatchState | None = None  # EXPIRED or CANCELLED: no more rows are asked
    output_ref: str | None = None
    error_ref: str | None = None
    stamps: dict[str, float] = {}
    problems: list[BatchProblem] = []
    spec: dict[str, Any] = {}
    # written by layers around the store and read by others around the worker; between them nobody looks at it
    marks: dict[str, float] = {}

    @property
    def done(self) -> int:
        return self.completed + self.failed

    def entering(self, state: BatchState, at: float, **more: Any) -> StoredBatch:
        """The batch in another state, stamped with the time it got there."""
        return msgspec.structs.replace(self, state=state, stamps={**self.stamps, state.value: at}, **more)


class DoneRow(msgspec.Struct, frozen=True, array_like=True):
    """Where the result line of one request lies: `is_ok` picks the spool, the newline is not counted."""

    ordinal: int
    is_ok: bool
    offset: int
    size: int
