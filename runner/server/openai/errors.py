"""Errors in OpenAI's shape: always all four keys."""

from __future__ import annotations

import msgspec
from starlette.responses import Response


class ApiError(Exception):
    """Raised by a handler; the gate turns it into an answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.kind = kind

    def response(self) -> Response:
        return answer(self.status, self.message, param=self.param, code=self.code, kind=self.kind)


def answer(status: int, message: str, *, param: str | None = None, code: str | None = None, kind: str = "") -> Response:
    """One error as a response; `kind` defaults to what the status means."""
    body = {"error": {"message": message, "type": kind or _kind(status), "param": param, "code": code}}
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _kind(status: int) -> str:
    if status == 429:
        return "requests"
    return "server_error" if status >= 500 else "invalid_request_error"


def missing(param: str) -> ApiError:
    return ApiError(400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def invalid(param: str, message: str, code: str = "invalid_value") -> ApiError:
    return ApiError(400, message, param=param, code=code)
