"""JSON Schemas: whether one is right, and whether JSON is what it wants. One validator for answers and for checks.

Needs `jsonschema-rs` (extra `schema`), which is imported when the first schema is made ready.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from importlib.util import find_spec
from typing import Any, NoReturn

import msgspec

from runner.mending import NOT_SO

PACKAGE = "jsonschema_rs"
INSTALL = "run `pip install 'runner-batch[schema]'`"
NAMES = ("object", "array", "string", "number", "integer", "boolean")  # of types, but for null

_REFERS = ("$ref", "$dynamicRef", "$recursiveRef")
_decode = msgspec.json.Decoder().decode


class BadSchema(ValueError):
    """What is wrong with a schema, in a line; `path` leads to the part that is meant, as far as that is known."""

    def __init__(self, words: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(words)
        self.path = path


def is_installed() -> bool:
    """Whether answers can be held to schemas here."""
    return find_spec(PACKAGE) is not None


def validator_of(schema: Mapping[str, Any]) -> Callable[[object], bool]:
    """Whether a parsed value is valid. Of the draft that `$schema` names, else 2020-12. Raises BadSchema.

    Nothing is ever fetched: a reference that leaves the document makes the schema a bad one.
    """
    import jsonschema_rs

    try:
        validator = jsonschema_rs.validator_for(dict(schema), retriever=_refused)
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        path = tuple(getattr(error, "instance_path", ()))
        raise BadSchema(str(error).partition("\n")[0][:300], path) from error
    is_valid: Callable[[object], bool] = validator.is_valid
    return is_valid


def _refused(uri: str) -> NoReturn:
    raise ValueError(f"nothing is fetched, such as {uri}")


def leaving(schema: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where a schema refers to what is not in it."""
    if isinstance(schema, dict):
        inside: Iterable[tuple[str | int, Any]] = schema.items()
    else:
        inside = enumerate(schema) if isinstance(schema, list) else ()
    for key, value in inside:
        if key in _REFERS and isinstance(value, str):
            if not value.startswith("#"):
                yield (*path, key)
        else:
            yield from leaving(value, (*path, key))


class AnswerSchema:
    """Whether JSON, as bytes, is what one schema wants. Two of the same schema are one in print."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema

    @cached_property
    def sha256(self) -> str:
        """Of the schema, as hex."""
        return hashlib.sha256(msgspec.json.encode(self._schema)).hexdigest()

    @cached_property
    def _is_valid(self) -> Callable[[object], bool]:
        return validator_of(self._schema)

    def fits(self, value: bytes) -> bool:
        """False also for what is no JSON, or is nested so deeply that nobody reads it."""
        try:
            return self._is_valid(_decode(value))
        except (*NOT_SO, OverflowError):
            return False

    def __repr__(self) -> str:
        return f"AnswerSchema({self.sha256})"
