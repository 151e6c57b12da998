"""The batches of the remote: made from an uploaded file, answered row by row, ended in one of the ways batches end.

Written from the vendors' contract of OpenAI-style batches, not from `runner`.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.histories.ledger import Book, key_of
from tests.histories.manners import Manners

ENDED = ("completed", "failed", "expired", "cancelled")


@dataclass(slots=True)
class Row:
    custom_id: str
    key: str
    text: str
    due: float = 0.0
    line: dict[str, Any] | None = None  # of its result
    is_ok: bool = False


@dataclass(slots=True)
class File:
    id: str
    name: str
    data: bytes
    purpose: str
    created_at: int
    cuts: int = 0  # downloads that will still be spoilt
    missing_until: float = 0.0
    served: int = 0

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.data),
            "created_at": self.created_at,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


@dataclass(slots=True)
class Batch:
    id: str
    asked: dict[str, Any]
    made_at: float  # monotonic
    created_at: int  # by the remote's own clock
    rows: list[Row] = field(default_factory=list)
    status: str = "validating"
    begins: float = 0.0
    over: float = 0.0  # when its window ends, for one that will expire
    fate: str = "completed"
    errors: list[dict[str, Any]] | None = None
    stamps: dict[str, int] = field(default_factory=dict)
    output: str = ""
    error: str = ""
    output_named_at: float = 0.0
    error_named_at: float = 0.0
    cancels_at: float = 0.0
    hidden: list[tuple[float, float]] = field(default_factory=list)  # spans in which it answers 404

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    def is_hidden(self, now: float) -> bool:
        return any(since <= now < until for since, until in self.hidden)

    def count(self, *, ok: bool) -> int:
        return sum(row.line is not None and row.is_ok == ok and row.line["response"] is not None for row in self.rows)


class Site:
    """All files and batches. Callers hold its lock; `tick` moves time on."""

    def __init__(self, book: Book, manners: Manners, rng: random.Random) -> None:
        self.book = book
        self.manners = manners
        self.rng = rng
        self.files: dict[str, File] = {}
        self.batches: dict[str, Batch] = {}
        self.late: list[tuple[float, dict[str, Any]]] = []
        self.serial = 0

    def wall(self) -> int:
        """Its own clock."""
        return int(time.time() + self.manners.clock)

    def name(self, prefix: str) -> str:
        self.serial += 1
        return f"{prefix}{self.serial:04d}{self.rng.getrandbits(64):016x}"

    # -- files

    def store(self, name: str, data: bytes, purpose: str) -> File:
        file = File(self.name("file-"), name, data, purpose, self.wall())
        self.files[file.id] = file
        return file

    # -- creates

    def create(self, asked: dict[str, Any]) -> Batch:
        """What was asked is paid for from here on. The input is judged afterwards, as OpenAI does."""
        now, manners, rng = time.monotonic(), self.manners, self.rng
        batch = Batch(self.name("batch_"), asked, now, self.wall())
        file = self.files.get(asked.get("input_file_id", ""))
        batch.begins = now + manners.validating
        if file is None:
            self._fail(batch, "invalid_request", "Cannot find file, or organization does not have access.", "file_id")
        elif rng.random() < manners.quota:
            self._fail(batch, "token_limit_exceeded", "Enqueued token limit reached for m-1. Limit: 90.")
        elif rng.random() < manners.failures:
            self._fail(batch, "server_error", "The server had an error while processing your batch.")
        elif rng.random() < manners.blind_to_file:
            self._fail(batch, "invalid_request", "Cannot find file, or organization does not have access.", "file_id")
        else:
            self._fill(batch, file)
        if rng.random() < manners.hidden:
            at = now
            while at < now + manners.hidden_seconds:  # on and off
                span = rng.uniform(0.05, 0.3)
                batch.hidden.append((at, min(at + span, now + manners.hidden_seconds)))
                at += span + rng.uniform(0.05, 0.2)
        self.batches[batch.id] = batch
        rows = [[row.key, row.text] for row in batch.rows]
        self.book.write({"what": "create", "at": time.time(), "batch": batch.id, "rows": rows, "fate": batch.fate})
        return batch

    def _fail(self, batch: Batch, code: str, message: str, param: str | None = None) -> None:
        batch.fate = "failed"
        batch.errors = [{"code": code, "message": message, "param": param, "line": None}]

    def _fill(self, batch: Batch, file: File) -> None:
        at = batch.begins
        for line in file.data.split(b"\n"):
            if line:
                asked = json.loads(line)
                at += self.manners.row_seconds * self.rng.uniform(0.5, 1.5)
                text = asked["body"]["messages"][-1]["content"]
                batch.rows.append(Row(asked["custom_id"], key_of(asked["body"]), text, at))
        if self.rng.random() < self.manners.expiries and batch.rows:
            batch.fate = "expired"
            batch.over = batch.begins + (at - batch.begins) * self.rng.uniform(0.0, 0.9)

    # -- time

    def tick(self) -> None:
        now = time.monotonic()
        for at, asked in [one for one in self.late if one[0] <= now]:
            self.late.remove((at, asked))
            self.create(asked)
        for batch in self.batches.values():
            if not batch.has_ended:
                self._advance(batch, now)

    def _advance(self, batch: Batch, now: float) -> None:
        if batch.cancels_at:
            if now >= batch.cancels_at:
                self._end(batch, "cancelled", "batch_cancelled")
            return
        if batch.status == "validating" and now >= batch.begins:
            self._enter(batch, "in_progress")
        if batch.status == "validating":
            return
        if batch.fate == "failed":
            self._enter(batch, "failed")
            return
        self._answer(batch, min(now, batch.over) if batch.over else now)
        if batch.over and now >= batch.over:
            self._end(batch, "expired", "batch_expired")
        elif all(row.line for row in batch.rows):
            self._end(batch, "completed", "")

    def _enter(self, batch: Batch, status: str) -> None:
        batch.status = status
        batch.stamps[f"{status}_at"] = self.wall()

    def _answer(self, batch: Batch, now: float) -> None:
        entries = []
        for row in batch.rows:
            if row.line is None and row.due <= now:
                row.line, row.is_ok = self._line(row)
                text = row.line["response"]["body"]["choices"][0]["message"]["content"] if row.is_ok else ""
                entries.append({"what": "answer", "batch": batch.id, "key": row.key, "ok": row.is_ok, "text": text})
        if entries:
            self.book.write(*entries)

    def _line(self, row: Row) -> tuple[dict[str, Any], bool]:
        request = self.name("req_")
        failed = 503 if self.rng.random() < self.manners.row_errors else 0
        failed = 400 if self.rng.random() < self.manners.row_refusals else failed
        body: dict[str, Any]
        if failed:
            body = {"error": {"message": "It did not work.", "type": "x", "param": None, "code": None}}
        else:
            message = {"role": "assistant", "content": f"{row.text} :: {request}"}
            body = {
                "id": f"chatcmpl-{request}",
                "object": "chat.completion",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
            }
        response = {"status_code": failed or 200, "request_id": request, "body": body}
        line = {"id": f"batch_{request}", "custom_id": row.custom_id, "response": response, "error": None}
        return line, not failed

    def _end(self, batch: Batch, status: str, code: str) -> None:
        now, manners = time.monotonic(), self.manners
        self._enter(batch, status)
        outputs = [row.line for row in batch.rows if row.line and row.is_ok]
        errors = [row.line for row in batch.rows if row.line and not row.is_ok]
        if manners.tells_unasked:
            errors += [_unasked(row.custom_id, code) for row in batch.rows if row.line is None]
        self.rng.shuffle(outputs)
        batch.output = self._result_file(batch, "output", outputs)
        batch.error = self._result_file(batch, "error", errors)
        batch.output_named_at = now + manners.unnamed_seconds
        batch.error_named_at = batch.output_named_at + manners.error_file_late
        self.book.write({"what": "end", "at": time.time(), "batch": batch.id, "status": status})

    def _result_file(self, batch: Batch, kind: str, lines: Sequence[dict[str, Any]]) -> str:
        if not lines:
            return ""
        data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        file = self.store(f"{batch.id}_{kind}.jsonl", data, "batch_output")
        file.cuts = self.rng.choice((1, 2, 3)) if self.rng.random() < self.manners.cuts else 0
        file.missing_until = time.monotonic() + self.manners.missing_content
        return file.id

    # -- what is shown

    def shown(self, batch: Batch) -> dict[str, Any]:
        manners, now = self.manners, time.monotonic()
        status = batch.status
        if not batch.has_ended and self.rng.random() < manners.odd_status:
            status = "pondering"
        counts = {"total": len(batch.rows), "completed": batch.count(ok=True), "failed": batch.count(ok=False)}
        metadata = {"kept": batch.asked.get("metadata"), "dropped": None, "replaced": {"tenant": "7"}}[manners.labels]
        shown = {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.asked["endpoint"],
            "errors": {"object": "list", "data": batch.errors} if batch.errors and batch.has_ended else None,
            "completion_window": batch.asked["completion_window"],
            "status": status,
            "output_file_id": batch.output if batch.output and now >= batch.output_named_at else None,
            "error_file_id": batch.error if batch.error and now >= batch.error_named_at else None,
            "created_at": batch.created_at,
            "expires_at": batch.created_at + 86_400,
            "request_counts": counts if manners.shows_counts else None,
            "metadata": metadata,
            **batch.stamps,
        }
        if manners.echoes_input:
            shown["input_file_id"] = batch.asked["input_file_id"]
        if not manners.shows_completed_at:
            shown["completed_at"] = None
        return shown

    def cancel(self, batch: Batch) -> None:
        batch.cancels_at = time.monotonic() + self.rng.uniform(0.0, 0.3)
        self._enter(batch, "cancelling")


def _unasked(custom_id: str, code: str) -> dict[str, Any]:
    return {"id": None, "custom_id": custom_id, "response": None, "error": {"code": code, "message": "not asked"}}
