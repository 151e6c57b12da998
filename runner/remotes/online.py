"""A row as a call of its own: what is sent, the answer, and the line of results it makes."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from runner import mending
from runner.job.capabilities import Capabilities, Content, Delivery, Limits, Search, Transport, Windows
from runner.job.project import ENDPOINTS
from runner.remotes.audio import error_line

PARALLELISM = 8  # calls at once, where nobody says
MOST_PARALLELISM = 64
_BATCH_LINES = (
    100_000  # of one calls batch: its answers come home together, and its requests lie on this disk till then
)
_BATCH_BYTES = 2_000_000_000
_YEAR = 24 * 365


class Request(msgspec.Struct, frozen=True):
    """One row to be asked for: its body byte for byte, as a line of a batch would hold it."""

    custom_id: str
    endpoint: str  # such as `/v1/chat/completions`
    body: bytes
    model: str


class Answered(msgspec.Struct, frozen=True):
    """What a call gave at once."""

    line: bytes  # of results, with its newline
    headers: Mapping[str, str] = {}  # of the reply: what the remote says of its limits


def capabilities_of(
    limits: Limits,
    endpoints: tuple[str, ...] = ENDPOINTS,
    *,
    tiers: Mapping[str, float] = {},
    is_free: bool = False,
) -> Capabilities:
    """The card of an online side: it keeps nothing, so there is nothing to search, name or delete.

    limits: of a batch, of which those of one request hold here too.
    """
    return Capabilities(
        search=Search.NONE,
        endpoints=endpoints,
        content=Content.TEXT,
        delivery=Delivery.CALLS,
        windows=Windows(allowed=(), low=1, high=_YEAR),
        limits=replace(limits, lines=_BATCH_LINES, size_bytes=_BATCH_BYTES, output_bytes=0),
        is_free=is_free,
        transport=Transport.ONLINE,
        consistency_seconds=0.0,
        min_poll_seconds=0.2,
        max_poll_seconds=5.0,
        tiers=tiers,
    )


def answer_line(custom_id: str, status: int, request_id: str, body: bytes) -> bytes:
    """The line of an answer, as results of batches have it, with its newline: the body as the remote wrote it.

    Raises ValueError for a body that is no JSON.
    """
    reply = {"status_code": status, "request_id": request_id, "body": msgspec.Raw(_on_one_line(body))}
    return _encode({"custom_id": custom_id, "response": reply, "error": None}) + b"\n"


def refusal_line(custom_id: str, status: int | None, code: str, message: str) -> bytes:
    """The same for a row that the remote refused, or did not answer however often it was asked."""
    if status is None:
        return error_line(custom_id, code, message)
    body = {"error": {"message": message, "code": code}}
    reply = {"status_code": status, "request_id": "", "body": body}
    return _encode({"custom_id": custom_id, "response": reply, "error": None}) + b"\n"


def with_model(body: bytes, model: str) -> bytes:
    """A body that leaves the model to its batch, with the model: as it goes on the wire, and into no digest."""
    rest = body.lstrip()[1:].lstrip()
    return b'{"model":' + _encode(model) + (b"" if rest[:1] == b"}" else b",") + rest


def _on_one_line(body: bytes) -> bytes:
    body = body.strip()
    try:
        body.decode()
        msgspec.json.decode(body, type=msgspec.Raw)
        return msgspec.json.format(body, indent=-1) if b"\n" in body or b"\r" in body else body
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _encode(mending.decode(body))


_encode = msgspec.json.Encoder().encode
