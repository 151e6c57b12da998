"""What the lines of a batch file are called: OpenAI's `{custom_id, method, url, body}`, Fireworks' `{custom_id, body}`.

Source: contracts of both, section "Input file" (2026-11-21).
"""

from __future__ import annotations

from typing import Any

from runner.job.project import ENDPOINTS

CUSTOM_ID, METHOD, URL, BODY = "custom_id", "method", "url", "body"


def endpoint_of(url: Any) -> str:
    """The endpoint that a line asks; chat where it says nothing, as Fireworks has it. Some write it without `/v1`."""
    if not isinstance(url, str) or not url:
        return ENDPOINTS[0]
    return url if url.startswith("/v1/") else f"/v1/{url.lstrip('/')}"
