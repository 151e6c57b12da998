"""What kind of values a column holds: said outright, found in the values themselves, or read from a JSON schema.

A kind is as narrow as all values allow. Where they differ beyond that (text here, a list there) it is JSON text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any
from urllib.parse import unquote

import msgspec

DEEPEST = 8  # what is nested deeper is JSON text
_LARGEST, _EXACT = 1 << 63, 1 << 53
_encode = msgspec.json.Encoder().encode


class Of(Enum):
    """The kinds, without what they hold."""

    NOTHING = "nothing"  # only nulls
    FLAG = "flag"
    WHOLE = "whole"  # 64 bits
    NUMBER = "number"
    TEXT = "text"
    JSON = "json"  # text that holds any JSON
    LIST = "list"
    RECORD = "record"
    VECTOR = "vector"  # a list of numbers, as an embedding is one
    SOURCE = "source"  # as the input's own file has it


class Kind(msgspec.Struct, frozen=True):
    """One kind; `item` of a list, `fields` of a record; `source`, of a column of a parquet input, is its arrow type."""

    of: Of
    item: Kind | None = None
    fields: Mapping[str, Kind] = {}
    source: Any = None


class Unfit(Exception):
    """A value that is not of a kind."""


NOTHING, FLAG, WHOLE, NUMBER, TEXT, JSON = map(Kind, (Of.NOTHING, Of.FLAG, Of.WHOLE, Of.NUMBER, Of.TEXT, Of.JSON))
VECTOR = Kind(Of.VECTOR)


def list_of(item: Kind) -> Kind:
    return Kind(Of.LIST, item)


def record_of(**fields: Kind) -> Kind:
    return Kind(Of.RECORD, fields=fields)


# --- found in values ----------------------------------------------------------------------------------------------


def of_value(value: Any, depth: int = 0) -> Kind:
    """The narrowest kind of a value of JSON."""
    match value:
        case None:
            return NOTHING
        case bool():
            return FLAG
        case int():
            return WHOLE if -_LARGEST <= value < _LARGEST else JSON
        case float():
            return NUMBER
        case str():
            return TEXT
        case list() if depth < DEEPEST:
            return list_of(widest(of_value(item, depth + 1) for item in value))
        case dict() if depth < DEEPEST and value:
            return Kind(Of.RECORD, fields={name: of_value(item, depth + 1) for name, item in value.items()})
        case _:
            return JSON  # an empty object has no form in a typed column


def widest(kinds: Iterable[Kind]) -> Kind:
    """A kind that holds the values of all these."""
    found = NOTHING
    for kind in kinds:
        found = _either(found, kind)
    return found


def _either(one: Kind, other: Kind) -> Kind:
    if one == other or other.of is Of.NOTHING:
        return one
    if one.of is Of.NOTHING:
        return other
    if {one.of, other.of} == {Of.WHOLE, Of.NUMBER}:
        return NUMBER
    if one.of is other.of is Of.LIST and one.item and other.item:
        return list_of(_either(one.item, other.item))
    if one.of is other.of is Of.RECORD:
        names = dict.fromkeys((*one.fields, *other.fields))
        absent = NOTHING
        fields = {name: _either(one.fields.get(name, absent), other.fields.get(name, absent)) for name in names}
        return Kind(Of.RECORD, fields=fields)
    return JSON


# --- read from a JSON schema --------------------------------------------------------------------------------------

_TYPES: Mapping[str, Kind] = {"string": TEXT, "integer": WHOLE, "number": NUMBER, "boolean": FLAG, "null": NOTHING}
_ADDING = frozenset({"properties", "anyOf", "oneOf", "allOf"})
_MOST = 10_000  # parts of a schema that are read; then references are JSON


def of_schema(schema: Any) -> Kind:
    """The kind of what a JSON schema describes; JSON for what it leaves open.

    References are followed inside of the schema. One that leads out of it, or into what it stands in, is JSON.
    """
    return _Document(schema).kind(schema)


class _Document:
    """One schema with what it refers to."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._read = 0

    def kind(self, schema: Any, depth: int = 0, inside: frozenset[str] = frozenset()) -> Kind:
        """The kind of a part, which is read `inside` of these references."""
        self._read += 1
        if not isinstance(schema, dict) or depth > DEEPEST:
            return JSON
        if (reference := _reference_of(schema)) is not None:
            return self._referred(reference, depth, inside)
        for name in ("anyOf", "oneOf"):
            if isinstance(ways := schema.get(name), list):
                return widest(self.kind(one, depth + 1, inside) for one in ways) if ways else JSON
        if isinstance(choices := schema.get("enum"), list):
            return widest(map(of_value, choices))
        if "const" in schema:
            return of_value(schema["const"])
        types = schema.get("type")
        if isinstance(types, list):
            return widest(self.kind({**schema, "type": one}, depth + 1, inside) for one in types) if types else JSON
        if types == "array":
            return list_of(self.kind(schema.get("items"), depth + 1, inside))
        if types == "object":
            fields = schema.get("properties")
            if not isinstance(fields, dict) or not fields:
                return JSON
            kinds = {str(name): self.kind(one, depth + 1, inside) for name, one in fields.items()}
            return Kind(Of.RECORD, fields=kinds)
        return _TYPES.get(types, JSON) if isinstance(types, str) else JSON

    def _referred(self, reference: Any, depth: int, inside: frozenset[str]) -> Kind:
        # a few definitions that each refer to the next many times describe billions of columns
        if not isinstance(reference, str) or reference in inside or self._read > _MOST:
            return JSON
        return self.kind(self._at(reference), depth, inside | {reference})

    def _at(self, reference: str) -> Any:
        """What stands where a JSON pointer (RFC 6901, as a fragment) leads, or None."""
        document, _, pointer = reference.partition("#")
        found = self._root if not document and (not pointer or pointer[0] == "/") else None
        for part in unquote(pointer).split("/")[1:]:
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found


def _reference_of(schema: Mapping[str, Any]) -> Any:
    """What a part refers to, or None where it refers to nothing. Titles, defaults and the like beside it say no kind.

    Source: pydantic 1 writes a reference with a title beside it as an `allOf` of one, pydantic 2 as it is.
    """
    every = schema.get("allOf")
    only = every[0] if isinstance(every, list) and len(every) == 1 else None
    where = schema if "$ref" in schema else only if isinstance(only, dict) and "$ref" in only else None
    if where is None:
        return None
    # fields that are added to those of the definition: reading one of the two would lose the other
    return where["$ref"] if not _ADDING & (schema.keys() - ({"allOf"} if where is only else set())) else False


# --- values made to fit -------------------------------------------------------------------------------------------


def fitting(kind: Kind) -> Callable[[Any], Any]:
    """A function from a value of JSON to the value as its column holds it. It raises Unfit."""
    match kind.of:
        case Of.LIST:
            return _lists(fitting(kind.item or JSON))
        case Of.VECTOR:
            return _lists(_number)
        case Of.RECORD:
            return _records({name: fitting(one) for name, one in kind.fields.items()})
        case Of.JSON | Of.NOTHING:
            return _json
        case Of.NUMBER:
            return _number
        case Of.WHOLE:
            return _whole
        case of:
            return _of_type(str if of is Of.TEXT else bool)


def _json(value: Any) -> str | None:
    return None if value is None else _encode(value).decode()


def _number(value: Any) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e308):
        return None if value is None else float(value)
    raise Unfit


def _whole(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and -_LARGEST <= value < _LARGEST):
        return value
    raise Unfit


def _of_type(wanted: type) -> Callable[[Any], Any]:
    def fit(value: Any) -> Any:
        if value is None or isinstance(value, wanted):
            return value
        raise Unfit

    return fit


def _lists(fit: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def fit_all(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, list):
            raise Unfit
        return [fit(item) for item in value]

    return fit_all


def _records(fits: Mapping[str, Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """What a record has no field for is left out."""

    def fit_all(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise Unfit
        return {name: fit(value.get(name)) for name, fit in fits.items()}

    return fit_all
