"""What a handler raises, before an API puts it into its own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response


class ApiError(Exception):
    """A refusal: an HTTP status and what to say. `kind` empty: what the status means."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.kind = kind
        self.headers = headers or {}


def unauthorized(request: Request) -> ApiError:
    """What OpenAI says to a request without a key, or with a wrong one."""
    if "authorization" not in request.headers:
        return ApiError(401, "You didn't provide an API key: send it as `Authorization: Bearer KEY`.")
    return ApiError(401, "Incorrect API key provided.", code="invalid_api_key")


@dataclass(frozen=True, slots=True)
class ErrorStyle:
    """How one API words its errors, where a request carries its key, and what it says when that is wrong."""

    wording: Callable[[ApiError], Response]
    token_of: Callable[[Request], str]
    unauthorized: Callable[[Request], ApiError] = unauthorized


def bearer(request: Request) -> str:
    """The key of `Authorization: Bearer KEY`; empty where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
