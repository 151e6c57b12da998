"""Fireworks' two error shapes: the gateway's `{code, message, details}`, and the edge's `{error: {...}, request_id}`.

Both were seen on the real service (third-party captures of 2026): wrong keys and refused bodies come from the edge.
"""

from __future__ import annotations

import secrets

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from runner.server.errors import ApiError, ErrorStyle, bearer

EDGE = "edge"  # `ApiError.kind` of the second shape
_NUMBERS = {
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "UNAUTHENTICATED": 16,
}
_MEANINGS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


_EDGE_CODES = {400: "BAD_REQUEST", 404: "NOT_FOUND", 413: "PAYLOAD_TOO_LARGE", 429: "TOO_MANY_REQUESTS"}


def worded(error: ApiError) -> Response:
    """One error as a response."""
    if error.kind == EDGE:
        inner = {"message": error.message, "param": error.param, "code": error.code, "type": "error"}
        body: dict[str, object] = {"error": inner, "request_id": secrets.token_hex(16)}
    else:
        meaning = error.kind if error.kind in _NUMBERS else _MEANINGS.get(error.status, "INTERNAL")
        body = {"code": _NUMBERS[meaning], "message": error.message, "details": []}
    return Response(msgspec.json.encode(body), error.status, media_type="application/json")


def _unauthorized(request: Request) -> ApiError:
    if "authorization" not in request.headers:
        return ApiError(401, "Missing API key: send `Authorization: Bearer KEY`.", code="UNAUTHORIZED", kind=EDGE)
    return ApiError(403, "The API key you provided is invalid.", code="UNAUTHORIZED", kind=EDGE)


def _of_inference(error: ApiError) -> Response:
    """Whatever goes wrong with a call is said by the edge."""
    error.kind, error.code = EDGE, error.code or _EDGE_CODES.get(error.status, "INTERNAL_ERROR")
    return worded(error)


ERROR_STYLE = ErrorStyle(worded, bearer, _unauthorized)
INFERENCE_STYLE = ErrorStyle(_of_inference, bearer, _unauthorized)


def invalid(message: str) -> ApiError:
    return ApiError(400, message)


def wrong_state(message: str) -> ApiError:
    return ApiError(400, message, kind="FAILED_PRECONDITION")


def not_found() -> ApiError:
    return ApiError(404, "resource not found")


def exists(name: str) -> ApiError:
    return ApiError(409, f"{name} already exists")
