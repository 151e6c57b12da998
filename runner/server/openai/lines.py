"""OpenAI's input and result lines, as the worker needs them."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from runner.server.dialect import Verdict
from runner.server.engines.base import Ask, Reply
from runner.server.openai import validate
from runner.server.records import Batch, File, State

NAME = "openai"
_MESSAGES = {
    State.EXPIRED: ("batch_expired", "This request could not be executed before the completion window expired."),
    State.CANCELLED: ("batch_cancelled", "This request was not executed because the batch was cancelled."),
}


class _Line(msgspec.Struct):
    custom_id: str
    url: str
    body: msgspec.Raw


_line = msgspec.json.Decoder(_Line)
_encode = msgspec.json.Encoder().encode


class OpenAILines:
    """The `Dialect` of OpenAI's batch API."""

    name = NAME
    is_queued = False
    keeps_empty_files = False

    def __init__(self, max_lines: int = validate.MAX_LINES, max_bytes: int = validate.MAX_BYTES) -> None:
        self._max_lines = max_lines
        self._max_bytes = max_bytes

    def check(self, batch: Batch, source: Path, stopped: Callable[[], bool]) -> Verdict:
        return validate.check(batch, source, stopped, self._max_lines, self._max_bytes)

    def ask_of(self, batch: Batch, line: bytes) -> Ask:
        read = _line.decode(line)
        created = int(batch.stamps.get(State.IN_PROGRESS.value, batch.created_at))
        return Ask(read.url, batch.model, bytes(read.body), created, read.custom_id)

    def result_line(self, batch: Batch, ordinal: int, custom_id: str, reply: Reply) -> bytes:
        request, answer = _names(batch.id, ordinal)
        if reply.failure is not None:
            return _failed(request, custom_id, *reply.failure)
        return (
            b'{"id":"batch_req_%b","custom_id":%b,"response":{"status_code":%d,"request_id":"req_%b","body":%b},"error":null}'
            % (request, _encode(custom_id), reply.status, answer, reply.body)
        )

    def unfinished_lines(self, batch: Batch, rows: Iterator[tuple[int, bytes]], ending: State) -> Iterator[bytes]:
        for ordinal, line in rows:
            yield _failed(_names(batch.id, ordinal)[0], _line.decode(line).custom_id, *_MESSAGES[ending])

    def record(self, db: sqlite3.Connection, before: Batch, after: Batch) -> None:
        return None

    def result_file(self, batch: Batch, file_id: str, *, is_output: bool, size_bytes: int, now: float) -> File:
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
