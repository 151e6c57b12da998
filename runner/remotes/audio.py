"""A recording as a request of its own: what is sent, what the remote says of it, and the line of results it makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from runner import mending
from runner.job.observed import Phase

TEXT_FORMATS = ("text", "srt", "vtt")  # whose results are no JSON


class Recording(msgspec.Struct, frozen=True):
    """One recording to be transcribed or translated: its bytes on disk, and how it is asked for."""

    source: Path
    filename: str  # as the remote is told; its suffix says the format
    size_bytes: int
    path: str  # of the API, such as `v1/audio/transcriptions`
    endpoint_id: str  # where the remote runs it; empty where it has no such thing
    fields: Mapping[str, str]  # the form, text by text, in the order it is sent; without the file
    sha256: bytes = b""  # of the file; where given, other bytes are not sent to their end
    custom_id: str = ""  # of the line that its answer will be


class Receipt(msgspec.Struct, frozen=True):
    """What the remote gave us for one recording: all that `look` needs."""

    remote_id: str
    account: str


class Heard(msgspec.Struct, frozen=True):
    """One recording as its remote shows it. `body` is its answer as it was sent, once there is one."""

    phase: Phase  # RUNNING, COMPLETED, FAILED, or UNKNOWN for a word we do not know (still in flight)
    raw_status: str
    body: str | None = None
    content_type: str = ""
    message: str = ""  # why it failed, in the remote's own words
    code: str = ""  # the same for machines; decides whether asking again may help


def line_of(custom_id: str, recording: Recording, receipt: Receipt, heard: Heard) -> bytes:
    """The raw-file line of a recording that was COMPLETED or FAILED, with its newline.

    A JSON body stands in it as the remote wrote it; text becomes `{"text", "format"}`, so that both have a `text`.
    """
    if heard.phase is not Phase.COMPLETED or heard.body is None:
        return error_line(custom_id, heard.code or heard.raw_status, heard.message)
    reply = {"status_code": 200, "request_id": receipt.remote_id, "body": _body_of(recording, heard)}
    return _encode({"custom_id": custom_id, "response": reply, "error": None}) + b"\n"


def error_line(custom_id: str, code: str, message: str) -> bytes:
    """The same for one that has no answer: refused, or failed."""
    return _encode({"custom_id": custom_id, "response": None, "error": {"code": code, "message": message}}) + b"\n"


def _body_of(recording: Recording, heard: Heard) -> object:
    """A JSON object on one line, numbers and all as they were; else the text, with the format that was asked for."""
    text = heard.body or ""
    asked = recording.fields.get("response_format", "json")
    if not is_plain_text(heard.content_type) and asked not in TEXT_FORMATS:
        found = json_object_in(text)
        if found is not None:
            return _as_written(text) or found
    return {"text": text, "format": asked if asked in TEXT_FORMATS else "text"}


def is_plain_text(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "text/plain"


def json_object_in(text: str) -> dict[str, Any] | None:
    """The object a text is the JSON of, mended where it has to be; None for anything else."""
    try:
        found = mending.decode(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _as_written(text: str) -> msgspec.Raw | None:
    """JSON on one line with its numbers as they were; None where it had to be mended."""
    try:
        msgspec.json.decode(text)
        return msgspec.Raw(msgspec.json.format(text.encode(), indent=-1))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


_encode = msgspec.json.Encoder().encode
