"""Request bodies: JSON read with a cap, and what nobody wants read to its end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request

from runner.server.errors import ApiError

MAX_BYTES = 1 << 20
_MAX_DRAINED = 600 * 1024 * 1024
_DRAIN_SECONDS = 120.0


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in the body, the same one to each layer that asks. Raises ApiError 400 and 413."""
    known: dict[str, Any] | None = getattr(request.state, "object", None)
    # a body can be read once; a layer around a handler may have to see it first
    if known is not None:
        return known
    read = await read_bytes(request, MAX_BYTES)
    try:
        found = msgspec.json.decode(read or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "We could not parse the JSON body of your request.") from error
    if not isinstance(found, dict):
        raise ApiError(400, "The body must be a JSON object.")
    request.state.object = found
    return found


async def read_bytes(request: Request, max_bytes: int) -> bytes:
    """The body as it was sent. Raises ApiError 413 as soon as it is, or says it will be, longer than that."""
    too_large = ApiError(413, f"The body has more than {max_bytes:,} bytes.")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > max_bytes:
        raise too_large
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > max_bytes:
            raise too_large
    return bytes(read)


async def drain(request: Request) -> None:
    """Read what the client is still sending: closing on unread data would lose the answer on its way."""
    size = 0
    with suppress(RuntimeError, ClientDisconnect, TimeoutError):  # read already, gone, or slow on purpose
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > _MAX_DRAINED:
                    return
