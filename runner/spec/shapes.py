"""The shape of a `response_format`, and params that look mistyped: what a remote would refuse a whole batch for.

Source: OpenAI "Structured outputs" and "Chat completions", Fireworks "Structured responses" (contracts, 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.job.project import Prompt, Provider
from runner.remotes.registry import declared_by
from runner.spec.declared import Entry
from runner.spec.nodes import Mapping as MappingNode
from runner.spec.nodes import data_of
from runner.spec.problems import Problems

_TYPES = ("text", "json_object", "json_schema", "grammar", "structural_tag")
_RIGHT = "write `{type: json_schema, json_schema: {name: answer, schema: {...}}}`"
_OF_A_SCHEMA = frozenset({"properties", "$schema", "items", "anyOf", "oneOf", "allOf", "$ref", "enum", "required"})


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


def warn_of_params(entry: Entry, endpoint: str, provider: Provider, problems: Problems) -> None:
    """Params that are not known, and values that are not of their kind: they are sent as they stand."""
    params, known = entry.value("params"), declared_by()[provider.kind].known_params(provider, endpoint)
    if not known or not isinstance(params, MappingNode):
        return
    for name, (key, node) in params.entries.items():
        where = f"`params.{name[:60]}` of {entry.subject}"
        if name not in known:
            near = problems.nearest(name, known)
            words = f"; did you mean `{near}`?" if near else ""
            problems.warning(key.mark, f"{where} is not known to `{endpoint}`, and is sent as it stands{words}")
        elif (value := data_of(node)) is not None and not known[name].holds(value):
            words = f"{where} is {_shown(value)}, and is sent as it stands; it should be {known[name].words}"
            problems.warning(node.mark, words)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list) else f"`{str(value)[:40]}`"


def check_schema_name(prompt: Prompt, provider: Provider, problems: Problems) -> bool:
    """Whether a schema has the name that a provider refuses every request without."""
    found = prompt.response_format or {}
    inner = found.get("json_schema")
    if found.get("type") != "json_schema" or not isinstance(inner, Mapping) or inner.get("name"):
        return True
    if not declared_by()[provider.kind].needs_schema_name(provider):
        return True
    words = f"the schema of prompt `{prompt.key}` has no `name`, which provider `{provider.name}` wants"
    problems.error(prompt.mark, words, _RIGHT)
    return False
