"""The JSON Schema agrees with the loader on every valid spec, and refuses what it can see."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from runner.spec.loader import parse
from runner.spec.nodes import data_of
from runner.spec.problems import Problems
from runner.spec.schema import DRAFT, schema

HERE = Path(__file__).parent
SCHEMA = schema()
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}
KNOWN = {
    "$schema", "title", "description", "default", "examples", "definitions", "$ref", "allOf", "anyOf", "oneOf", "type",
    "enum", "const", "pattern", "maxLength", "minLength", "minimum", "maximum", "minItems", "minProperties", "items",
    "required", "properties", "additionalProperties", "patternProperties", "propertyNames",
}  # fmt: skip


def is_type(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def fits(value: Any, node: Any) -> bool:
    """A small draft-07 validator: every word our schema uses, and no other."""
    if isinstance(node, bool):
        return node
    assert set(node) <= KNOWN, set(node) - KNOWN
    if "$ref" in node:
        assert len(node) == 1, "draft-07 ignores what stands beside a $ref"
        return fits(value, SCHEMA["definitions"][node["$ref"].removeprefix("#/definitions/")])
    types = node.get("type", [])
    checks = [
        not types or any(is_type(value, name) for name in ([types] if isinstance(types, str) else types)),
        all(fits(value, part) for part in node.get("allOf", [])),
        any(fits(value, part) for part in node.get("anyOf", [True])),
        sum(fits(value, part) for part in node.get("oneOf", [True])) == 1,
        value in node.get("enum", [value]),
        value == node.get("const", value),
    ]
    if isinstance(value, str):
        checks.append(re.search(node.get("pattern", ""), value) is not None)
        checks.append(node.get("minLength", 0) <= len(value) <= node.get("maxLength", len(value)))
    if isinstance(value, int | float) and not isinstance(value, bool):
        checks.append(node.get("minimum", value) <= value <= node.get("maximum", value))
    if isinstance(value, list):
        checks.append(len(value) >= node.get("minItems", 0))
        checks.extend(fits(item, node.get("items", True)) for item in value)
    if isinstance(value, dict):
        checks.extend(_fields_fit(value, node))
    return all(checks)


def _fields_fit(value: dict[str, Any], node: dict[str, Any]) -> list[bool]:
    checks = [name in value for name in node.get("required", [])] + [len(value) >= node.get("minProperties", 0)]
    for name, inner in value.items():
        checks.append(fits(name, node.get("propertyNames", True)))
        patterns = [part for pattern, part in node.get("patternProperties", {}).items() if re.search(pattern, name)]
        if name in node.get("properties", {}):
            checks.append(fits(inner, node["properties"][name]))
        elif not patterns:
            checks.append(fits(inner, node.get("additionalProperties", True)))
        checks.extend(fits(inner, part) for part in patterns)
    return checks


def data_in(file: Path) -> Any:
    problems = Problems()
    top = parse(file.read_text(encoding="utf-8"), file.name, problems)
    assert top is not None and not problems.found
    return data_of(top)


@pytest.mark.parametrize("file", sorted((HERE / "valid").glob("*.yaml")), ids=lambda file: file.stem)
def test_valid_specs_fit(file: Path) -> None:
    assert fits(data_in(file), SCHEMA)


@pytest.mark.parametrize("file", sorted((HERE / "valid").glob("*.yaml")), ids=lambda file: file.stem)
def test_valid_specs_fit_for_a_real_validator(file: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.Draft7Validator(SCHEMA).validate(data_in(file))


@pytest.mark.parametrize(
    "name",
    [
        "unknown_field", "unknown_nested_field", "unknown_section", "null_field", "null_entry",
        "section_is_list", "entry_is_text", "wrong_types", "out_of_range", "bad_choice", "version_2",
        "window_without_unit", "window_word", "endpoint", "sample_number", "no_files", "matrix_empty_list",
        "matrix_not_a_list", "matrix_unknown_key", "prompt_messages", "provider_overrides", "job_name", "project_name",
        "fireworks_overrides",
        "audio_provider",
    ],
)  # fmt: skip
def test_broken_specs_do_not_fit(name: str) -> None:
    assert not fits(data_in(HERE / f"broken/{name}.yaml"), SCHEMA)


def test_it_is_draft_07_and_has_every_section() -> None:
    assert SCHEMA["$schema"] == DRAFT
    assert {"models", "datasets", "prompts", "jobs", "providers", "budget", "project"} <= set(SCHEMA["properties"])
    assert "$defs" not in SCHEMA
    assert SCHEMA["additionalProperties"] is False
