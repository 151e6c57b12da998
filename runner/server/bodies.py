"""JSON request bodies, read with a cap."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request

from runner.server.errors import ApiError

MAX_BYTES = 1 << 20


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in the body. Raises ApiError 400 and 413."""
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > MAX_BYTES:
            raise ApiError(413, f"The body has more than {MAX_BYTES:,} bytes.")
    try:
        found = msgspec.json.decode(read or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "We could not parse the JSON body of your request.") from error
    if not isinstance(found, dict):
        raise ApiError(400, "The body must be a JSON object.")
    return found
