"""The shape of a `response_format`, and params that look mistyped: what a remote would refuse a whole batch for.

Source: OpenAI "Structured outputs" and "Chat completions", Fireworks "Structured responses" (contracts, 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.errors import Mark
from runner.job.project import ProviderBlock
from runner.remotes.registry import declared_by
from runner.spec.declared import Entry, places_in
from runner.spec.nodes import Mapping as MappingNode
from runner.spec.nodes import Node, Scalar, Sequence, data_of, kind_of
from runner.spec.problems import Problems

_TYPES = ("text", "json_object", "json_schema", "grammar", "structural_tag")
_RIGHT = "write `{type: json_schema, json_schema: {name: answer, schema: {...}}}`"
_FLAT = "write `{type: json_schema, name: answer, schema: {...}}`"  # as the responses endpoint has it
_OF_A_SCHEMA = frozenset({"properties", "$schema", "items", "anyOf", "oneOf", "allOf", "$ref", "enum", "required"})
# of JSON Schema: the types, and the keywords that hold schemas, alone or in a list, and by name
_JSON_TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")
_SCHEMAS = frozenset({"items", "prefixItems", "additionalProperties", "anyOf", "oneOf", "allOf", "not"})
_NAMED_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions"})


def check_format(entry: Entry, path: tuple[str, ...], found: Any, problems: Problems, *, is_flat: bool = False) -> bool:
    """Whether a `response_format`, which stands at `path`, has a form that remotes take. What is no mapping passes.

    is_flat: it is the `text.format` of the responses endpoint, which has the schema without a wrapper.
    """
    if not isinstance(found, Mapping):
        return True
    where = f"`{'.'.join(path)}` of {entry.subject}"
    words, hint = _wrong(found, is_flat=is_flat)
    if words:
        problems.error(entry.value_mark(*path), f"{where} {words}", hint)
        return False
    before = problems.errors
    for schema in _schemas_in(entry.value(*path, "json_schema", "schema") or entry.value(*path, "schema")):
        _check_types(schema.get("type"), where, problems)
    return problems.errors == before


def _schemas_in(node: Node | None) -> Iterator[MappingNode]:
    """A JSON Schema, or a list of them, with all that stand inside."""
    if isinstance(node, Sequence):
        for item in node.items:
            yield from _schemas_in(item)
    elif isinstance(node, MappingNode):
        yield node
        for name, (_, value) in node.entries.items():
            if name in _SCHEMAS:
                yield from _schemas_in(value)
            elif name in _NAMED_SCHEMAS and isinstance(value, MappingNode):
                for _, inner in value.entries.values():
                    yield from _schemas_in(inner)


def _check_types(node: Node | None, where: str, problems: Problems) -> None:
    for one in node.items if isinstance(node, Sequence) else [node] if node else []:
        if isinstance(one, Scalar) and one.value in _JSON_TYPES:
            continue
        if isinstance(one, Scalar) and isinstance(one.value, str):
            near = problems.nearest(one.value, _JSON_TYPES)
            listed = ", ".join(f"`{name}`" for name in _JSON_TYPES)
            hint = f"did you mean `{near}`?" if near else f"use one of {listed}"
            problems.error(one.mark, f"{where} has the unknown JSON type `{one.value[:40]}`", hint)
        else:
            hint = 'write `type: "null"`, in quotes' if isinstance(one, Scalar) and one.value is None else ""
            problems.error(one.mark, f"{where} has a JSON type that is {kind_of(one)}", hint or "write its name")


def _wrong(found: Mapping[str, Any], *, is_flat: bool) -> tuple[str, str]:
    kind, right = found.get("type"), _FLAT if is_flat else _RIGHT
    if kind not in _TYPES:
        if _OF_A_SCHEMA & found.keys():
            return "is a bare JSON Schema", right
        if kind is None:
            return "has no `type`", f"{right}, or `{{type: json_object}}`"
        listed = ", ".join(f"`{name}`" for name in _TYPES[:3])
        return f"has the unknown type `{str(kind)[:40]}`", f"use one of {listed}"
    if kind != "json_schema":
        return "", ""
    if is_flat and "json_schema" in found:
        return "has a `json_schema` around its schema, as chat has it", right
    inner = found if is_flat else found.get("json_schema")
    if not isinstance(inner, Mapping):
        return "has no `json_schema` around its schema", right
    if "schema" not in inner:
        return "has no `schema`" + ("" if is_flat else " inside `json_schema`"), right
    if not isinstance(inner["schema"], Mapping):
        return "has a `schema` that is not a mapping", right
    return "", ""


_NO_PARAMS = ("model", "messages", "input", "prompt", "stream")  # of a body, which are judged by themselves


def warn_of_params(
    entry: Entry, endpoint: str, provider: ProviderBlock, problems: Problems, field: str = "params"
) -> None:
    """Params that are not known, and values that are not of their kind: they are sent as they stand.

    field: where they are written; a `body` holds what is asked beside them.
    """
    params, known = entry.value(field), declared_by()[provider.kind].known_params(provider, endpoint)
    if not known or not isinstance(params, MappingNode):
        return
    for name, (key, node) in params.entries.items():
        where = f"`{field}.{name[:60]}` of {entry.subject}"
        if field == "body" and name in _NO_PARAMS:
            continue
        if name not in known:
            near = problems.nearest(name, known)
            words = f"; did you mean `{near}`?" if near else ""
            problems.warning(key.mark, f"{where} is not known to `{endpoint}`, and is sent as it stands{words}")
        elif places_in(node):
            continue  # each row says what it is
        elif (value := data_of(node)) is not None and not known[name].holds(value):
            words = f"{where} is {_shown(value)}, and is sent as it stands; it should be {known[name].words}"
            problems.warning(node.mark, words)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f'`"{value[:40]}"`, a text' if isinstance(value, str) else f"`{str(value)[:40]}`"


def check_schema_name(
    found: Any, owner: str, mark: Mark, provider: ProviderBlock, problems: Problems, *, is_flat: bool = False
) -> bool:
    """Whether the schema in a `response_format` has the name that a provider refuses every request without."""
    is_schema = isinstance(found, Mapping) and found.get("type") == "json_schema"
    inner = (found if is_flat else found.get("json_schema")) if is_schema else None
    if not isinstance(inner, Mapping) or inner.get("name"):
        return True
    if not declared_by()[provider.kind].needs_schema_name(provider):
        return True
    words = f"the schema of {owner} has no `name`, which provider `{provider.name}` requires"
    problems.error(mark, words, _FLAT if is_flat else _RIGHT)
    return False
