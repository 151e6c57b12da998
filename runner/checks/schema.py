"""Whether JSON is what a JSON Schema wants. Needs `jsonschema-rs` (extra `evals`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn


class BadSchema(ValueError):
    """What is wrong with a schema, in a line; `path` leads to the part that is meant, as far as that is known."""

    def __init__(self, words: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(words)
        self.path = path


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
