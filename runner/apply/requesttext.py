"""A request as lines that a person reads: each of its params, each message under its role."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.mending import NOT_SO, values_of
from runner.spec.secrets import redact

_LONGEST = 2_000  # characters of one line
_MOST_LINES = 200  # of one request, or of one diff
_AROUND = 3  # lines around what differs
_TEXTS = ("messages", "input")  # of the body: what is said, and by whom


def text_of(line: bytes) -> tuple[str, ...]:
    """The lines of one request, without its id."""
    try:
        whole = values_of(line)
    except NOT_SO:
        return (_cut(line.decode("utf-8", "replace")),)
    if not isinstance(whole, dict):
        return (_cut(json.dumps(whole, ensure_ascii=False)),)
    body = whole.get("body", {name: value for name, value in whole.items() if name != "custom_id"})
    lines = [redact(_cut(one)) for one in _body(body)]
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = [f"… {len(lines) - _MOST_LINES:,} more lines"]
    return tuple(lines)


def diff(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """A unified diff of two requests, without the names of files."""
    found = list(difflib.unified_diff(before, after, n=_AROUND, lineterm=""))[2:]
    if len(found) > _MOST_LINES:
        found[_MOST_LINES:] = [f"@ … {len(found) - _MOST_LINES:,} more lines"]
    if found and found[0].startswith("@@") and sum(line.startswith("@@") for line in found) == 1:
        del found[0]  # where it stands says something only beside another place
    return tuple(found)


def _body(body: Any) -> Iterator[str]:
    if not isinstance(body, dict):
        yield _json(body)
        return
    texts = [name for name in _TEXTS if _is_said(body.get(name))]
    for name, value in body.items():
        if name in texts:
            continue
        if isinstance(value, Mapping) and value:
            yield f"{name}:"
            yield from (f"  {key}: {_json(one)}" for key, one in value.items())
        else:
            yield from _of_text(name, value)
    for name in texts:
        for message in body[name]:
            yield from _of_message(message)


def _of_text(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, str) and "\n" in value:
        yield f"{name}:"
        yield from (f"  {line}" for line in value.splitlines())
    else:
        yield f"{name}: {_json(value)}"


def _is_said(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and "role" in one for one in value)


def _of_message(message: Mapping[str, Any]) -> Iterator[str]:
    content = message.get("content")
    yield f"{message['role']}:"
    if isinstance(content, str):
        yield from (f"  {line}" for line in content.splitlines() or [""])
    else:
        yield f"  {_json(content)}"
    more = {key: value for key, value in message.items() if key not in ("role", "content")}
    if more:
        yield f"  {_json(more)}"


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} … {len(line) - _LONGEST:,} more characters"
