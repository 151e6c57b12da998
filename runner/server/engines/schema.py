"""A JSON value that satisfies a JSON Schema: what the echo engine answers when a schema is asked for."""

from __future__ import annotations

import math
from typing import Any

import msgspec

MOST_STEPS = 20_000  # of one schema that are followed; a real one takes a few hundred
MOST_CHARACTERS = 1_000_000  # of all texts together, names of properties included
_DEEP = 12  # below this only what is required is built, so that recursive schemas end
_FORMATS = {
    "date-time": "2031-02-03T04:05:06Z",
    "date": "2031-02-03",
    "time": "04:05:06Z",
    "duration": "PT1H",
    "email": "synthetic@example.test",
    "uri": "https://example.test/",
    "hostname": "example.test",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


class SchemaTooLarge(Exception):
    """What satisfies a schema is larger than an answer may be, or takes too long to find."""


def instance_of(schema: Any) -> Any:
    """The first choice everywhere: first enum value, every property, the fewest items, the smallest numbers.

    Patterns and `not` are not read. A schema that nothing can satisfy yields something all the same. Raises
    SchemaTooLarge: a schema is a stranger's, and a short one may ask for gigabytes.
    """
    return _Building(schema).value(schema, 0)


class _Building:
    """One instance in the making, and what was spent on it."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._steps = MOST_STEPS
        self._characters = MOST_CHARACTERS

    def value(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict) or depth > 4 * _DEEP:
            return None
        schema = self._flat(schema)
        if "const" in schema:
            return self._given(schema["const"])
        if schema.get("enum"):
            return self._given(schema["enum"][0])
        if "default" in schema:
            return self._given(schema["default"])
        # what stands beside the choice holds for each of them
        for word in ("anyOf", "oneOf"):
            if schema.get(word):
                rest = {key: value for key, value in schema.items() if key != word}
                return self.value(_merged(rest, self._flat(_choice(schema[word], depth))), depth + 1)
        return self._typed(schema, depth)

    def _spend(self, characters: int) -> None:
        """Count a step, and what it adds to the answer."""
        self._steps -= 1
        self._characters -= characters
        if self._steps < 0 or self._characters < 0:
            raise SchemaTooLarge(
                f"The schema asks for more than {MOST_CHARACTERS:,} characters, or takes over {MOST_STEPS:,} steps."
            )

    def _given(self, value: Any) -> Any:
        """A value that stands in the schema: many references may lead to a large one."""
        self._spend(len(msgspec.json.encode(value)))
        return value

    def _flat(self, schema: Any, depth: int = 0) -> dict[str, Any]:
        """`schema` with its reference followed and its `allOf` merged in."""
        flat: dict[str, Any] = schema if isinstance(schema, dict) else {}
        seen = 0
        # a reference may lead to itself; 32 in a row is a ring, not a schema
        while isinstance(flat.get("$ref"), str) and seen < 32:
            rest = {key: value for key, value in flat.items() if key != "$ref"}
            flat = _merged(_at(self._root, flat["$ref"]), rest)
            seen += 1
        self._spend(sum(len(flat[word]) for word in ("properties", "required") if word in flat))  # they are copied
        parts = flat.get("allOf", ()) if depth < _DEEP else ()
        for part in parts:
            flat = _merged({k: v for k, v in flat.items() if k != "allOf"}, self._flat(part, depth + 1))
        return flat

    def _typed(self, schema: dict[str, Any], depth: int) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            # `["object", "null"]` in a tree: its leaves are null
            kind = "null" if depth > _DEEP and "null" in kind else (kind or [None])[0]
        if kind is None:
            kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer" | "number":
                return _number(schema, whole=kind == "integer")
            case "boolean":
                return True
            case "null":
                return None
        return self._string(schema)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        names = [n for n in properties if n in required] if depth > _DEEP else list(properties)
        names += [n for n in required if n not in properties]
        self._spend(sum(map(len, names)))
        return {name: self.value(properties.get(name, {"type": "string"}), depth + 1) for name in names}

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        first = [self.value(item, depth + 1) for item in schema.get("prefixItems", ())]
        wanted = max(int(schema.get("minItems", 0 if depth > _DEEP else 1)), len(first))
        items = schema.get("items", {})
        if items is False or schema.get("maxItems") == 0:
            return first
        return first + [self.value(items, depth + 1) for _ in range(wanted - len(first))]

    def _string(self, schema: dict[str, Any]) -> str:
        text = _FORMATS.get(schema.get("format", ""), "synthetic")
        length = int(schema.get("minLength", 0))
        self._spend(max(length, len(text)))
        text = text.ljust(length, "-")
        return text[: schema["maxLength"]] if "maxLength" in schema else text


def _choice(options: list[Any], depth: int) -> Any:
    if depth > _DEEP:
        plain = [o for o in options if isinstance(o, dict) and o.get("type") in ("null", "string", "boolean")]
        return plain[0] if plain else options[0]
    return options[0]


def _at(root: Any, pointer: str) -> dict[str, Any]:
    found = root
    for step in pointer.removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        found = found.get(key, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def _merged(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    out = {**left, **right}
    if "properties" in left and "properties" in right:
        out["properties"] = {**left["properties"], **right["properties"]}
    if "required" in left and "required" in right:
        out["required"] = list(dict.fromkeys((*left["required"], *right["required"])))
    return out


def _number(schema: dict[str, Any], *, whole: bool) -> float | int:
    step = schema.get("multipleOf") or (1 if whole else 0)
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    # the number nearest to zero that is allowed
    if low is None:
        value: float = 0 if high is None or high > 0 else high
        if value == schema.get("exclusiveMaximum"):
            value -= step or 1
        return math.floor(value / step) * step if step else value
    value = math.ceil(low / step) * step if step else low
    if value == schema.get("exclusiveMinimum"):
        value = value + step if step else (low + high) / 2 if high is not None else low + 1
    return value
