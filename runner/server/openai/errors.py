"""Errors in OpenAI's shape: always all four keys."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from runner.server.errors import ApiError, ErrorStyle, bearer


def worded(error: ApiError) -> Response:
    """One error as a response."""
    body = {
        "error": {
            "message": error.message,
            "type": error.kind or _kind(error.status),
            "param": error.param,
            "code": error.code,
        }
    }
    return Response(msgspec.json.encode(body), error.status, media_type="application/json")


ERROR_STYLE = ErrorStyle(worded, bearer)


def _kind(status: int) -> str:
    if status == 429:
        return "requests"
    return "server_error" if status >= 500 else "invalid_request_error"


def missing(param: str) -> ApiError:
    return ApiError(400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def invalid(param: str, message: str, code: str = "invalid_value") -> ApiError:
    return ApiError(400, message, param=param, code=code)
