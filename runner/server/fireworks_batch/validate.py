"""The asynchronous check of a job's rows: one bad row fails the whole job, before anything runs. And that of one call.

The wording `Dataset has a syntax error: chat dataset validation failed on FILE:LINE: ...` was seen on the real service,
and that unknown roles are found; the other texts are ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from runner.server.dialect import InputVerdict
from runner.server.errors import ApiError
from runner.server.fireworks_batch.errors import EDGE
from runner.server.records import BatchProblem, StoredBatch

ROLES = ("system", "user", "assistant", "tool")
_BYTES_PER_TOKEN = 4
_LOOK_EVERY = 2_000
_UNSET = msgspec.UNSET
_ONE_OF_BOTH = "body must have either messages or prompt_token_ids, not both"


class _Message(msgspec.Struct):
    role: Literal["system", "user", "assistant", "tool"]


class _Body(msgspec.Struct):
    messages: list[_Message] | msgspec.UnsetType = _UNSET
    prompt_token_ids: Any = _UNSET


class _Line(msgspec.Struct):
    custom_id: str
    body: _Body


class _CallBody(_Body, kw_only=True):
    model: str
    stream: bool | None = None


class _AnyBody(msgspec.Struct):
    model: str
    stream: bool | None = None


_line = msgspec.json.Decoder(_Line)
_call = {"/v1/chat/completions": msgspec.json.Decoder(_CallBody)}
_any = msgspec.json.Decoder(_AnyBody)


def model_of(endpoint: str, body: bytes) -> str:
    """The model that the body of one call asks. Raises ApiError 400 for one that no engine should see."""
    try:
        _check_utf8(body)
        read = _call.get(endpoint, _any).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(_said_of_body(body)) from error
    if isinstance(read, _CallBody) and (read.messages is _UNSET) is (read.prompt_token_ids is _UNSET):
        raise _refused(_ONE_OF_BOTH)
    if read.stream:
        raise _refused("stream is not supported by this server: leave it out, or set it to false", "stream")
    return str(read.model)


def _refused(text: str, param: str | None = None) -> ApiError:
    return ApiError(400, text, param=param, code="BAD_REQUEST", kind=EDGE)


def check(batch: StoredBatch, source: Path, stopped: Callable[[], bool], max_bytes: int) -> InputVerdict:
    """Judge every row of `source`, up to the first bad one."""
    try:
        size = source.stat().st_size
    except FileNotFoundError:
        return _bad(f"Dataset {batch.spec['input']} cannot be read")
    if size >= max_bytes:
        return _bad(f"Dataset has {size:,} bytes; a batch inference job takes less than {max_bytes:,}")
    name = f"{batch.spec['input']}.jsonl"
    seen: set[bytes] = set()
    number = 0
    with source.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            wrong = _wrong(line, seen)
            if wrong:
                return _bad(
                    f"Dataset has a syntax error: chat dataset validation failed on {name}:{number}: {wrong}", number
                )
            if number % _LOOK_EVERY == 0 and stopped():
                break
    if number == 0:
        return _bad("Dataset has no rows")
    return InputVerdict([], batch.model, number, size // _BYTES_PER_TOKEN)


def _bad(text: str, line: int | None = None) -> InputVerdict:
    return InputVerdict([BatchProblem("invalid_dataset", text, line=line)])


def _wrong(line: bytes, seen: set[bytes]) -> str:
    """What is wrong with a row; empty for a good one."""
    try:
        _check_utf8(line)
        row = _line.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _said(line)
    if (row.body.messages is _UNSET) is (row.body.prompt_token_ids is _UNSET):
        return _ONE_OF_BOTH
    # 16 bytes a row, however long the ids are
    key = hashlib.blake2b(row.custom_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    if key in seen:
        return f"duplicate custom_id {row.custom_id[:64]}"
    seen.add(key)
    return ""


# wrong UTF-8 in strings that are skipped would pass, see openai/validate.py
def _check_utf8(text: bytes) -> None:
    if not text.isascii():
        text.decode()


def _said(line: bytes) -> str:
    """Say precisely what a row lacks: slow, for rows that are wrong."""
    try:
        found = msgspec.json.decode(line.decode())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "the line is not valid JSON"
    if not isinstance(found, dict):
        return "the line is not a JSON object"
    if not isinstance(found.get("custom_id"), str):
        return "custom_id must be a string"
    body = found.get("body")
    return _wrong_messages(body) if isinstance(body, dict) else "body must be an object"


def _said_of_body(body: bytes) -> str:
    """The same of the body of a call."""
    try:
        found = msgspec.json.decode(body.decode())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "the body is not valid JSON"
    if not isinstance(found, dict):
        return "the body is not a JSON object"
    if not isinstance(found.get("model"), str):
        return "model must be a string"
    if not isinstance(found.get("stream"), bool | None):
        return "stream must be true or false"
    return _wrong_messages(found)


def _wrong_messages(body: dict[str, Any]) -> str:
    messages = body.get("messages")
    if not isinstance(messages, list):
        return "messages must be a list"
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict):
            return f"message {number} is not an object"
        if message.get("role") not in ROLES:
            return (
                f"invalid role {str(message.get('role'))[:32]} in message {number}, must be one of {', '.join(ROLES)}"
            )
    return "the body is malformed"
