"""OpenAI's input and result lines, as the worker needs them."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from runner.server.dialect import InputVerdict
from runner.server.engines.base import EngineReply, EngineRequest
from runner.server.openai import validate
from runner.server.records import BatchState, File, StoredBatch

NAME = "openai"
_MESSAGES = {
    BatchState.EXPIRED: ("batch_expired", "This request could not be executed before the completion window expired."),
    BatchState.CANCELLED: ("batch_cancelled", "This request was not executed because the batch was cancelled."),
}


class _Line(msgspec.Struct):
    custom_id: str
    url: str
    body: msgspec.Raw


_line = msgspec.json.Decoder(_Line)
_encode = msgspec.json.Encoder().encode


class OpenAIDialect:
    """The `Dialect` of OpenAI's batch API."""

    name = NAME
    is_queued = False
    keeps_empty_files = False

    def __init__(self, max_lines: int = validate.MAX_LINES, max_bytes: int = validate.MAX_BYTES) -> None:
        self._max_lines = max_lines
        self._max_bytes = max_bytes

    def check(self, batch: StoredBatch, source: Path, stopped: Callable[[], bool]) -> InputVerdict:
        return validate.check(batch, source, stopped, self._max_lines, self._max_bytes)

    def request_of(self, batch: StoredBatch, line: bytes) -> EngineRequest:
        read = _line.decode(line)
        created = int(batch.stamps.get(BatchState.IN_PROGRESS.value, batch.created_at))
        return EngineRequest(read.url, batch.model, bytes(read.body), created, read.custom_id)

    def result_line(self, batch: StoredBatch, ordinal: int, custom_id: str, reply: EngineReply) -> bytes:
        request, answer = _names(batch.id, ordinal)
        if reply.failure is not None:
            return _failed(request, custom_id, *reply.failure)
        return (
            b'{"id":"batch_req_%b","custom_id":%b,"response":{"status_code":%d,"request_id":"req_%b","body":%b},"error":null}'
            % (request, _encode(custom_id), reply.status, answer, reply.body)
        )

    def unfinished_lines(
        self, batch: StoredBatch, rows: Iterator[tuple[int, bytes]], ending: BatchState
    ) -> Iterator[bytes]:
        for ordinal, line in rows:
            yield _failed(_names(batch.id, ordinal)[0], _line.decode(line).custom_id, *_MESSAGES[ending])

    def record(self, db: sqlite3.Connection, before: StoredBatch, after: StoredBatch) -> None:
        return None

    def result_file(self, batch: StoredBatch, file_id: str, *, is_output: bool, size_bytes: int, now: float) -> File:
        seconds = batch.spec.get("output_expires_seconds")
        return File(
            id=file_id,
            owner=batch.owner,
            purpose="batch_output",
            filename=f"{batch.id}_{'output' if is_output else 'error'}.jsonl",
            size_bytes=size_bytes,
            created_at=now,
            expires_at=now + seconds if seconds else 0.0,
        )


# Drawn by lot they would change with each restart in the middle of a batch, and a test of restarts could not compare
# bytes.
def _names(batch_id: str, ordinal: int) -> tuple[bytes, bytes]:
    """The ids of a batch request and of its answer: the same ones after a restart."""
    digest = hashlib.blake2b(b"%b %d" % (batch_id.encode(), ordinal), digest_size=24).hexdigest().encode()
    return digest[:24], digest[24:]


def _failed(request: bytes, custom_id: str, code: str, message: str) -> bytes:
    return b'{"id":"batch_req_%b","custom_id":%b,"response":null,"error":{"code":%b,"message":%b}}' % (
        request,
        _encode(custom_id),
        _encode(code),
        _encode(message),
    )
