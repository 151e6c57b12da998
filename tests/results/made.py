"""Raw result lines and rows for the tests of this folder."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runner.compile.compiled import RowView
from runner.job.outcomes import Outcome
from runner.job.packed import keys_of
from runner.mending import NOT_SO
from runner.remotes.reading.lines import COMMON
from runner.remotes.reading.verdict import Parsed, tokens_of
from runner.remotes.vendor import Reader
from runner.results import columns, export, kinds

ORIGIN = "openai@api.openai.com"


def digest(name: object) -> bytes:
    return hashlib.sha256(str(name).encode()).digest()


def key(name: object) -> bytes:
    return digest(name)[:16]


def keys(*names: object) -> bytes:
    """In the order given, as the rows of a job are."""
    return b"".join(key(name) for name in names)


def expected(*names: object) -> bytes:
    return keys_of(keys(*names))


def wire_id(name: object, readable: str = "r") -> str:
    return f"{readable}-{base64.urlsafe_b64encode(key(name)).decode().rstrip('=')}"


def chat(text: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 40, "completion_tokens": 3, "total_tokens": 43},
    }


def ok(name: object, text: Any = "hello") -> bytes:
    """A success line in the wrapped form."""
    return line(name, response={"status_code": 200, "request_id": "req_1", "body": chat(text)})


def bare(name: object, text: Any = "hello") -> bytes:
    """A success line without a wrapper."""
    return msgspec.json.encode({"custom_id": wire_id(name), "response": chat(text)})


def refused(name: object, status: int = 400) -> bytes:
    body = {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "bad"}}
    return line(name, response={"status_code": status, "request_id": "req_1", "body": body})


def never_ran(name: object, code: str = "batch_expired") -> bytes:
    return line(name, error={"code": code, "message": "not executed"})


def line(name: object, response: Any = None, error: Any = None) -> bytes:
    whole = {"id": "batch_req_1", "custom_id": wire_id(name), "response": response, "error": error}
    return msgspec.json.encode(whole)


def raw(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(one + b"\n" for one in lines))
    return path


def writer(path: Path, root: Path, names: Sequence[str] = (), rows: Iterable[RowView] = ()) -> Any:
    """A writer of a job's usual columns. names: of the input's columns, all text; rows: what tells them, and kinds."""
    given = columns.Input(dict.fromkeys(names, kinds.TEXT))
    if not names:
        given = columns.input_of((row.row_json for row in rows), typed=path.suffix == ".parquet")
    return export.writer_for(path, root, columns.table(path.suffix, columns.About(), given))


def row(name: object, **cells: Any) -> RowView:
    return RowView(str(name), msgspec.json.encode(cells or {"n": str(name)}), digest(name))


def read(line: bytes, reader: Reader = COMMON) -> Parsed:
    """A line as an index takes it: by a shape where one fits, else with care."""
    for shape in reader.shapes:
        try:
            seen = shape.read(line)
        except NOT_SO:
            continue
        return Parsed(seen.custom_id, Outcome.OK, *tokens_of([shape.usage_of(seen)])[:2])
    return reader.parse(line)
