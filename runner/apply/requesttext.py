"""A request as lines that a person reads: each of its params, each message under its role."""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.mending import NOT_SO, values_of
from runner.spec.secrets import redact

_LONGEST = 2_000  # characters of one line
_MOST_LINES = 200  # of one request, or of one diff
_AROUND = 3  # lines around what differs
_TEXTS = ("messages", "input")  # of the body: what is said, and by whom
_TEXT_PARTS = ("text", "input_text", "output_text")
_DATA_URL = re.compile(r"(data:[a-z]+/[a-z0-9.+-]+;base64,)")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_LONGEST_WORD = 200  # of what may be base64 and nothing that a person reads


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
    for part in content if isinstance(content, list) else [content]:
        yield from (f"  {line}" for line in _of_part(part))
    more = {key: value for key, value in message.items() if key not in ("role", "content")}
    if more:
        yield f"  {_json(more)}"


def _of_part(part: Any) -> Iterator[str]:
    """A text; one of a list of texts, pictures and other files; or whatever it is."""
    if isinstance(part, str):
        yield from part.splitlines() or [""]
        return
    if isinstance(part, Mapping) and part.get("type") in _TEXT_PARTS and isinstance(part.get("text"), str):
        yield from part["text"].splitlines() or [""]
        return
    yield _json(_in_words(part) or _without_bytes(part))


def _in_words(part: Any) -> str:
    """`image: cat.png, 48,211 bytes, sha256 ab12…`, of a part whose form is known; else empty."""
    match part:
        case {"type": "image_url", "image_url": {"url": str(data), **rest}}:
            what, more = "image", rest
        case {"type": "input_image", "image_url": str(data), **rest}:
            what, more = "image", rest
        case {"type": "file", "file": {"file_data": str(data)}} | {"type": "input_file", "file_data": str(data)}:
            what, more = "file", {}
        case {"type": "input_audio", "input_audio": {"data": str(data)}}:
            what, more = "audio", {}
        case _:
            return ""
    found = _DATA_URL.match(data)
    words = _without_bytes(data).partition(",")[2] if found else _without_bytes(data)
    return f"{what}: {words.removeprefix('<').removesuffix('>')}" + (f" {json.dumps(more)}" if more else "")


def _without_bytes(value: Any) -> Any:
    """With a few words in the place of what is base64: of a data URL, and of the fields of a file."""
    match value:
        case Mapping():
            return {name: _without_bytes(one) for name, one in value.items()}
        case list():
            return [_without_bytes(one) for one in value]
        case str() if found := _DATA_URL.match(value):
            return found[1] + _words_of(value[found.end() :])
        case str() if len(value) > _LONGEST_WORD and _BASE64.fullmatch(value):
            return _words_of(value)
    return value


def _words_of(encoded: str) -> str:
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError:
        return encoded  # words of ours, which stand for a file
    return f"<{len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()[:12]}…>"


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} … {len(line) - _LONGEST:,} more characters"
