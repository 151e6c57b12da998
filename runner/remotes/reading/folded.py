"""Bodies of answers, out of what is written around them: a wrapper with a status, and JSON that stands as text."""

from __future__ import annotations

from typing import Any

import msgspec

from runner.mending import NOT_SO, values_of

LISTS = ("choices", "output", "data", "results")  # what the body of an answer holds, by endpoint
SHAPES = (*LISTS, "text")
_decode_text = msgspec.json.Decoder(str).decode


def body_of(response: Any) -> Any:
    """The answer's body: out of its `{"status_code", "body"}` wrapper where there is one.

    Some look-alikes write the body, or the response, as text that holds JSON (llama-stack): that is read as what it
    holds.
    """
    response = object_in(response)
    if isinstance(response, dict) and (response.get("body") is not None or response.get("status_code") is not None):
        return object_in(response.get("body"))
    return response


def object_in(value: Any) -> Any:
    """The object that a text holds as JSON; any other value itself."""
    if not isinstance(value, str):
        return value
    try:
        found = values_of(unfolded(msgspec.json.encode(value)))
    except NOT_SO:
        return value
    return found if isinstance(found, dict) else value


def unfolded(body: bytes) -> bytes:
    """The JSON object, on one line, that a JSON text holds where it is the body of an answer or of an error.

    Whatever else it is stays as it is: a transcript as text, say.
    """
    try:
        text = _decode_text(body).strip()
        found = values_of(text.encode()) if text.startswith("{") and text.endswith("}") else None
        is_body = isinstance(found, dict) and any(name in found for name in (*SHAPES, "error", "body"))
        return msgspec.json.format(text.encode(), indent=-1) if is_body else body
    except NOT_SO:
        return body
