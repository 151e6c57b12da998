"""A look-alike in a dictionary, for units: just enough to see what a provider sends and how it reads."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec


def batch(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A batch object as OpenAI sends it, all fields present."""
    raw = {
        "id": f"batch_{number}",
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "errors": None,
        "input_file_id": f"file-{number}",
        "completion_window": "24h",
        "status": "in_progress",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": 1_900_000_000 + number,
        "in_progress_at": 1_900_000_003,
        "expires_at": 1_900_086_400,
        "finalizing_at": None,
        "completed_at": None,
        "failed_at": None,
        "expired_at": None,
        "cancelling_at": None,
        "cancelled_at": None,
        "request_counts": {"total": 3, "completed": 1, "failed": 0},
        "metadata": {"runner_project": "capitals"},
    }
    return {**raw, **fields}


class Remote:
    """Answers by `METHOD /path` (below `/v1`); a callable gets the request. Keeps what it was asked."""

    def __init__(self, routes: dict[str, Any], prefix: str = "/v1") -> None:
        self.routes = routes
        self.prefix = prefix
        self.calls: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.calls.append(request)
        found = self.routes.get(f"{request.method} {request.url.path.removeprefix(self.prefix)}")
        answer = found(request) if callable(found) else found
        if answer is None:
            return httpx.Response(404, json={"error": {"message": f"no {request.url.path}"}})
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    @property
    def last_json(self) -> dict[str, Any]:
        return msgspec.json.decode(self.calls[-1].content)

    @property
    def paths(self) -> list[str]:
        return [f"{call.method} {call.url.path.removeprefix(self.prefix)}" for call in self.calls]
