"""The parameters of a job: what may be said, and how it becomes part of every row."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from runner.server.fireworks_batch import fields
from runner.server.fireworks_batch.errors import invalid

DEFAULT_WINDOW_SECONDS = 24 * 3600
_WINDOW = (12 * 3600, 72 * 3600)
_DURATION = re.compile(r"(\d{1,9})(\.\d{1,9})?s")
_WIRE = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p", "topK": "top_k", "n": "n"}
_RANGES = {"maxTokens": (1, 2**31), "temperature": (0, 2), "topP": (0, 1), "topK": (0, 2**31), "n": (1, 128)}
_OUTPUT_ONLY = (
    "name",
    "createTime",
    "updateTime",
    "expireTime",
    "createdBy",
    "state",
    "status",
    "jobProgress",
    "lifecycle",
    "waitingOnCapacity",
)
PRECISIONS = (
    "PRECISION_UNSPECIFIED",
    "FP16",
    "FP8",
    "FP8_MM",
    "FP8_AR",
    "FP8_MM_KV_ATTN",
    "FP8_KV",
    "FP8_MM_V2",
    "FP8_V2",
    "FP8_MM_KV_ATTN_V2",
    "NF4",
    "FP4",
    "BF16",
    "FP4_BLOCKSCALED_MM",
    "FP4_MX_MOE",
)
JOB = fields.message(
    {
        "displayName": fields.text,
        "model": fields.text,
        "inputDatasetId": fields.text,
        "outputDatasetId": fields.text,
        "inferenceParameters": fields.message(
            {
                "maxTokens": fields.int64,
                "temperature": fields.number,
                "topP": fields.number,
                "topK": fields.int64,
                "n": fields.int64,
                "extraBody": fields.text,
            }
        ),
        "systemPrompt": fields.text,
        "maxJobDuration": fields.text,
        "precision": fields.one_of(*PRECISIONS),
        "continuedFromJobName": fields.text,
        "placement": fields.message(
            {"multiRegion": fields.text, "region": fields.text, "regions": fields.texts},
        ),
        **dict.fromkeys(_OUTPUT_ONLY, fields.anything),
    }
)


def window_seconds(text: str) -> float:
    """A window, bounded to 12 to 72 hours; 24 hours where none is given. Raises ApiError 400."""
    if not text:
        return DEFAULT_WINDOW_SECONDS
    found = _DURATION.fullmatch(text)
    if found is None:
        raise invalid(f'invalid value for field max_job_duration: "{text[:40]}"; want seconds such as "86400s"')
    # brought into bounds and not refused: what counts is shown in the answer, and clients have to read it there
    return min(max(float(text[:-1]), _WINDOW[0]), _WINDOW[1])


def defaults(given: dict[str, Any]) -> dict[str, Any]:
    """The body fields that rows get where they do not say otherwise. Raises ApiError 400."""
    for name, value in given.items():
        low, high = _RANGES.get(name, (None, None))
        if low is not None and high is not None and not low <= value <= high:
            raise invalid(f"inference_parameters.{_WIRE[name]} must be from {low} to {high}")
    known = {_WIRE[name]: value for name, value in given.items() if name in _WIRE}
    return {**_extra(given.get("extraBody", "")), **known}


def _extra(text: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text or "{}")
    except (msgspec.MsgspecError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise invalid("inference_parameters.extra_body must be a JSON object in a string")
    if "messages" in found or "model" in found:
        raise invalid("inference_parameters.extra_body may not hold messages or model")
    return found
