"""The endpoints of Fireworks' inference API, which answers at once. Streams are off.

Errors are those of the edge (shape 2); headers as on the page of rate limits: there are three, and none for tokens.
"""

from __future__ import annotations

from runner.server.endpoint import Effect, Endpoint
from runner.server.errors import ApiError
from runner.server.fireworks_batch.errors import EDGE, INFERENCE_STYLE
from runner.server.fireworks_batch.validate import model_of
from runner.server.models import list_models
from runner.server.online import OnlineCalls, OnlineStyle
from runner.server.rates import Admission, waiting

PREFIX = "/inference"
ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings")


def endpoints(calls: OnlineCalls) -> list[Endpoint]:
    style = OnlineStyle(model_of, limit_headers, too_many)
    posts = [
        Endpoint("POST", PREFIX + path, calls.handler(path, style), INFERENCE_STYLE, Effect.ANSWER)
        for path in ENDPOINTS
    ]
    return [Endpoint("GET", f"{PREFIX}/v1/models", list_models, INFERENCE_STYLE), *posts]


def limit_headers(admission: Admission) -> dict[str, str]:
    """Source: Fireworks, "Rate limits", as the contract has it."""
    headers = {
        "x-ratelimit-limit-requests": str(admission.requests.limit),
        "x-ratelimit-remaining-requests": str(admission.requests.remaining),
    }
    return {**headers, "x-ratelimit-over-limit": "yes"} if admission.over else headers


def too_many(model: str, admission: Admission) -> ApiError:
    text = "rate limit exceeded, please try again later"
    return ApiError(429, text, code="TOO_MANY_REQUESTS", kind=EDGE, headers=waiting(admission.wait_seconds))
