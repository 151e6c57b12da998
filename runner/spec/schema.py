"""The JSON Schema of a spec file, drawn from the same models that check it.

draft-07, because that is what the YAML language server documents.
"""

from __future__ import annotations

from typing import Any

from runner.spec.model import SpecFile

DRAFT = "http://json-schema.org/draft-07/schema#"


def schema() -> dict[str, Any]:
    """The schema as plain data. Names that refer to other files cannot be checked by it."""
    found = _draft_07(SpecFile.model_json_schema(mode="validation", by_alias=True))
    found["patternProperties"] = {"^x-": {}}  # anchors live there, as in compose files
    return {"$schema": DRAFT, **found, "title": "runner spec"}


def _draft_07(node: Any) -> Any:
    """2020-12 to draft-07: `definitions`, no siblings of `$ref`, and no null where we refuse it."""
    if isinstance(node, list):
        return [_draft_07(item) for item in node]
    if not isinstance(node, dict):
        return node.replace("#/$defs/", "#/definitions/") if isinstance(node, str) else node
    found: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "$defs"):  # names of fields, not words of the schema
            name = "definitions" if key == "$defs" else key
            found[name] = {field: _draft_07(inner) for field, inner in value.items()}
        elif not (key == "default" and value is None):
            found[key] = _draft_07(value)
    if "patternProperties" in found:  # a section: names that fit the pattern, and no others
        found["additionalProperties"] = False
    return _without_siblings(_one_choice(found))


def _one_choice(node: dict[str, Any]) -> dict[str, Any]:
    """`X or null` becomes `X`: an empty value is refused. Sections and built-in providers may be empty."""
    choices = node.get("anyOf", [])
    others = [choice for choice in choices if choice != {"type": "null"}]
    may_be_empty = any("patternProperties" in c or c.get("$ref", "").endswith("ProviderSpec") for c in others)
    if len(others) == len(choices) or may_be_empty:
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return {**others[0], **rest} if len(others) == 1 else {**rest, "anyOf": others}


def _without_siblings(node: dict[str, Any]) -> dict[str, Any]:
    # draft-07 ignores what stands beside a `$ref`; in an `allOf` both count
    if "$ref" not in node or len(node) == 1:
        return node
    return {**{k: v for k, v in node.items() if k != "$ref"}, "allOf": [{"$ref": node["$ref"]}]}
