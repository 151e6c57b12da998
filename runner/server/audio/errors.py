"""Errors of the audio API: `{error: {message, param, code, type}, request_id}`; and where its requests carry the key.

Source: Fireworks "Create batch request": the bare key in `Authorization`, or "provided as a query param", whose name is
not documented: `api_key` here (2026-11-21).
"""

from __future__ import annotations

import secrets

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from runner.server.errors import ApiError, ErrorStyle, bearer

_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "UNAUTHORIZED",
    404: "NOT_FOUND",
    413: "PAYLOAD_TOO_LARGE",
    429: "TOO_MANY_REQUESTS",
}


def worded(error: ApiError) -> Response:
    """One error as a response."""
    code = error.code or _CODES.get(error.status, "INTERNAL_ERROR")
    inner = {"message": error.message, "param": error.param, "code": code, "type": "error"}
    body = {"error": inner, "request_id": secrets.token_hex(16)}
    return Response(msgspec.json.encode(body), error.status, media_type="application/json")


def _key(request: Request) -> str:
    header = request.headers.get("authorization", "").strip()
    return bearer(request) or header or request.query_params.get("api_key", "")


def _unauthorized(request: Request) -> ApiError:
    if not _key(request):
        return ApiError(401, "Missing API key: send it as `Authorization: KEY`.")
    return ApiError(403, "The API key you provided is invalid.")


ERROR_STYLE = ErrorStyle(worded, _key, _unauthorized)


def invalid(param: str, message: str) -> ApiError:
    return ApiError(400, message, param=param)
