"""The JSON Schema of a spec file, drawn from the same models that check it.

draft-07, because that is what the YAML language server documents.
"""

from __future__ import annotations

from typing import Any

from runner.spec.specfile import SpecFile

DRAFT = "http://json-schema.org/draft-07/schema#"


def schema() -> dict[str, Any]:
    """The schema as plain data. Names that refer to other files cannot be checked by it."""
    found = _draft_07(SpecFile.model_json_schema(mode="validation", by_alias=True))
    found["definitions"] = _with_parts(found["definitions"])
    found["definitions"]["JobSpec"].pop("required")  # what a job lacks may stand in the defaults
    own = {name: found["properties"].pop(name) for name in ("version", "vars", "environments")}
    own |= {name: _names_or_nothing(own[name]) for name in ("vars", "environments")}
    found = _or_var(found)
    found["properties"] |= own
    found["definitions"][_VAR] = _VAR_TEXT
    found["patternProperties"] = {"^x-": {}}  # anchors live there, as in compose files
    return {"$schema": DRAFT, **found, "title": "runner spec"}


# --- what stands for a value, and what is said over one -----------------------------------------------------------

_VAR = "VarText"
_VAR_TEXT = {"type": "string", "pattern": r"\{\{ *var\.[A-Za-z_][A-Za-z0-9_]* *\}\}"}
_OF_A_VAR = ("VarSpec", "EnvironmentSpec")
_WHOLE = ("Options", "Overrides")  # of a vendor: long, and nothing in them is required
_SCALARS = {"string", "integer", "number", "boolean"}


def _or_var(node: Any) -> Any:
    """The same, with `{{ var.x }}` wherever one value stands and another text would be refused."""
    if isinstance(node, list):
        return [_or_var(item) for item in node]
    if not isinstance(node, dict):
        return node
    found: dict[str, Any] = {}
    for key, value in node.items():
        match key:
            case "definitions":
                found[key] = {name: one if name in _OF_A_VAR else _or_var(one) for name, one in value.items()}
            case "properties":
                found[key] = {name: _open(_or_var(one)) for name, one in value.items()}
            case "items" | "additionalProperties" if isinstance(value, dict):
                found[key] = _open(_or_var(value))
            case "patternProperties":
                found[key] = {name: _open(_or_var(one)) for name, one in value.items()}
            case "enum" | "const" | "default" | "examples" | "required":
                found[key] = value
            case _:
                found[key] = _or_var(value)
    return found


def _open(node: dict[str, Any]) -> dict[str, Any]:
    choices = node.get("anyOf", [node])
    if not any(map(_is_scalar, choices)) or any(map(_takes_text, choices)):
        return node
    told = {key: value for key, value in node.items() if key in ("description", "title", "default")}
    rest = {key: value for key, value in node.items() if key not in told and key != "anyOf"}
    alone = [] if "anyOf" in node else [rest]
    return {**told, **(rest if "anyOf" in node else {}), "anyOf": [*node.get("anyOf", []), *alone, _OF_VAR]}


_OF_VAR = {"$ref": f"#/definitions/{_VAR}"}


def _is_scalar(node: dict[str, Any]) -> bool:
    kinds = node.get("type", [])
    return bool(_SCALARS & {*([kinds] if isinstance(kinds, str) else kinds)}) or "enum" in node or "const" in node


def _takes_text(node: dict[str, Any]) -> bool:
    kinds = node.get("type", [])
    is_text = "string" in ([kinds] if isinstance(kinds, str) else kinds)
    return not node or (is_text and not node.keys() & {"pattern", "enum", "const"})


def _with_parts(definitions: dict[str, Any]) -> dict[str, Any]:
    """With what an environment may say of each: any part of it, and nothing to take a part away."""
    found = dict(definitions)
    environment = found["EnvironmentSpec"]
    waiting = [f"{name}Spec" for name in ("Model", "Dataset", "Prompt", "Job", "Provider", "Defaults")]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            found[f"{name}Part"] = _part(definitions[name], definitions, waiting)
    sections = environment["properties"]
    for section, one in sections.items():
        if section in ("defaults", "budget", "repay_usd", "retention"):
            sections[section] = _or_nothing(_to_parts(one, definitions, []))
        elif section != "vars":
            sections[section] = _names_or_nothing(_to_parts(one, definitions, []))
    return found


def _names_or_nothing(node: dict[str, Any]) -> dict[str, Any]:
    """A section whose entries may be empty."""
    choices = [
        {**one, "patternProperties": {name: _or_nothing(value) for name, value in one["patternProperties"].items()}}
        if "patternProperties" in one
        else one
        for one in node.get("anyOf", [])
    ]
    return {**node, "anyOf": choices} if choices else node


def _part(node: dict[str, Any], definitions: dict[str, Any], waiting: list[str]) -> dict[str, Any]:
    part = {key: value for key, value in _to_parts(node, definitions, waiting).items() if key != "required"}
    properties = part.get("properties", {})
    return {**part, "properties": {name: _or_nothing(one) for name, one in properties.items()}}


def _or_nothing(node: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in node:
        return {**node, "anyOf": [*node["anyOf"], {"type": "null"}]}
    told = {key: value for key, value in node.items() if key in ("description", "title", "default")}
    return {**told, "anyOf": [{key: value for key, value in node.items() if key not in told}, {"type": "null"}]}


def _to_parts(node: Any, definitions: dict[str, Any], waiting: list[str]) -> Any:
    """The same, but with parts of what it refers to."""
    if isinstance(node, list):
        return [_to_parts(item, definitions, waiting) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: _to_parts(value, definitions, waiting) for key, value in node.items()}
    name = str(found.get("$ref", "")).removeprefix("#/definitions/")
    if "properties" in definitions.get(name, {}) and not name.endswith(_WHOLE):
        waiting.append(name)
        found["$ref"] = f"#/definitions/{name}Part"
    return found


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
