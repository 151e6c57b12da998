"""Parameters that several routes share, checked as OpenAI does: a 400 that names the parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from runner.server.endpoint import ApiCall
from runner.server.openai.errors import invalid, missing

T = TypeVar("T")

MIN_EXPIRY_SECONDS = 3_600
MAX_EXPIRY_SECONDS = 2_592_000


def integer(call: ApiCall, name: str, *, low: int, high: int, default: int) -> int:
    text = call.query_params.get(name)
    if text is None:
        return default
    # `isdigit` alone takes `²`, which `int` does not, and thousands of digits, which `int` takes long over
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise invalid(name, f"Invalid '{name}': expected an integer.", "invalid_type")
    if not low <= int(text) <= high:
        raise invalid(name, f"Invalid '{name}': expected a value from {low} to {high}, but got {text}.")
    return int(text)


def page_of(found: list[T] | None, limit: int) -> tuple[list[T], bool]:
    """A page of `limit` and whether there is more, from one item more than that. None: the cursor is unknown."""
    if found is None:
        raise invalid("after", "Invalid 'after': no such object.")
    # one more was asked for: whether there is a next page is known without counting all
    return found[:limit], len(found) > limit


def expiry_seconds(value: Any, param: str) -> int:
    """The seconds of an `expires_after` object."""
    if not isinstance(value, Mapping):
        raise invalid(param, f"Invalid '{param}': expected an object.", "invalid_type")
    if value.get("anchor") != "created_at":
        raise invalid(f"{param}.anchor", f"Invalid '{param}.anchor': only 'created_at' is supported.")
    seconds = value.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise invalid(f"{param}.seconds", f"Invalid '{param}.seconds': expected an integer.", "invalid_type")
    if not MIN_EXPIRY_SECONDS <= seconds <= MAX_EXPIRY_SECONDS:
        text = f"expected a value from {MIN_EXPIRY_SECONDS} to {MAX_EXPIRY_SECONDS}, but got {seconds}."
        raise invalid(f"{param}.seconds", f"Invalid '{param}.seconds': {text}")
    return seconds


def required_text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        raise missing(name)
    if not isinstance(value, str) or not value:
        raise invalid(name, f"Invalid type for '{name}': expected a string.", "invalid_type")
    return value


def metadata(value: Any) -> dict[str, str] | None:
    """At most 16 pairs; keys up to 64 characters, string values up to 512."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise invalid("metadata", "Invalid type for 'metadata': expected an object.", "invalid_type")
    if len(value) > 16:
        raise invalid("metadata", f"Invalid 'metadata': at most 16 pairs, but got {len(value)}.")
    for key, text in value.items():
        if len(key) > 64:
            raise invalid("metadata", f"Invalid 'metadata': the key '{key[:64]}...' has more than 64 characters.")
        if not isinstance(text, str):
            raise invalid(f"metadata.{key}", f"Invalid type for 'metadata.{key}': expected a string.", "invalid_type")
        if len(text) > 512:
            raise invalid(f"metadata.{key}", f"Invalid 'metadata.{key}': more than 512 characters.")
    return value
