"""The shape of a `response_format`, and params that look mistyped: what a remote would refuse a whole batch for.

Source: OpenAI "Structured outputs" and "Chat completions", Fireworks "Structured responses" (contracts, 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.job.project import ENDPOINTS
from runner.spec.declared import Entry
from runner.spec.nodes import Mapping as MappingNode
from runner.spec.problems import Problems

_TYPES = ("text", "json_object", "json_schema", "grammar", "structural_tag")
_RIGHT = "write `{type: json_schema, json_schema: {name: answer, schema: {...}}}`"
_OF_A_SCHEMA = frozenset({"properties", "$schema", "items", "anyOf", "oneOf", "allOf", "$ref", "enum", "required"})
_CHAT = (
    "audio",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "min_p",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "repetition_penalty",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "temperature",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
)


def check_format(entry: Entry, found: Mapping[str, Any] | None, problems: Problems) -> bool:
    """Whether a `response_format` has a form that remotes take."""
    if found is None:
        return True
    words, hint = _wrong(found)
    if words:
        problems.error(entry.value_mark("response_format"), f"`response_format` of {entry.subject} {words}", hint)
    return not words


def _wrong(found: Mapping[str, Any]) -> tuple[str, str]:
    kind, inner = found.get("type"), found.get("json_schema")
    if kind not in _TYPES:
        if _OF_A_SCHEMA & found.keys():
            return "is a bare JSON Schema", _RIGHT
        if kind is None:
            return "has no `type`", f"{_RIGHT}, or `{{type: json_object}}`"
        listed = ", ".join(f"`{name}`" for name in _TYPES[:3])
        return f"has the unknown type `{str(kind)[:40]}`", f"use one of {listed}"
    if kind != "json_schema":
        return "", ""
    if not isinstance(inner, Mapping):
        return "has no `json_schema` around its schema", _RIGHT
    if "schema" not in inner:
        return "has no `schema` inside `json_schema`", _RIGHT
    if not isinstance(inner["schema"], Mapping):
        return "has a `schema` that is no mapping", _RIGHT
    return "", ""


def warn_of_params(entry: Entry, endpoint: str, problems: Problems) -> None:
    """Params that look like others which are known: they are sent as they stand."""
    params = entry.value("params")
    if endpoint != ENDPOINTS[0] or not isinstance(params, MappingNode):
        return
    for name in params.entries:
        near = None if name in _CHAT else problems.nearest(name, _CHAT)
        if near:
            words = f"`params.{name}` of {entry.subject} is sent as it stands: did you mean `{near}`?"
            problems.warning(params.key(name).mark, words)
