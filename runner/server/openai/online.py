"""The endpoints of OpenAI's API that answer at once. Streams are off."""

from __future__ import annotations

from runner.server.endpoint import Effect, Endpoint
from runner.server.errors import ApiError
from runner.server.online import OnlineCalls, OnlineStyle
from runner.server.openai.errors import ERROR_STYLE
from runner.server.openai.validate import model_of
from runner.server.rates import Admission, duration, waiting

ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/moderations")
_UNITS = {"requests": "requests per min (RPM)", "tokens": "tokens per min (TPM)"}


def endpoints(calls: OnlineCalls) -> list[Endpoint]:
    return [Endpoint("POST", path, calls.handler(path, STYLE), ERROR_STYLE, Effect.ANSWER) for path in ENDPOINTS]


def limit_headers(admission: Admission) -> dict[str, str]:
    """Source: OpenAI, "Rate limits", "Rate limits in headers" (general knowledge, 2026-11-30)."""
    headers = {}
    for name, allowance in (("requests", admission.requests), ("tokens", admission.tokens)):
        headers[f"x-ratelimit-limit-{name}"] = str(allowance.limit)
        headers[f"x-ratelimit-remaining-{name}"] = str(allowance.remaining)
        headers[f"x-ratelimit-reset-{name}"] = duration(allowance.reset_seconds)
    return headers


def too_many(model: str, admission: Admission) -> ApiError:
    limit = admission.tokens.limit if admission.over == "tokens" else admission.requests.limit
    text = (
        f"Rate limit reached for {model[:64]} in organization org-runner on {_UNITS[admission.over]}: Limit {limit}."
        f" Please try again in {duration(admission.wait_seconds)}."
    )
    headers = waiting(admission.wait_seconds)
    return ApiError(429, text, code="rate_limit_exceeded", kind=admission.over, headers=headers)


STYLE = OnlineStyle(model_of, limit_headers, too_many)
