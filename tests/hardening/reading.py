"""A simple reader of result files, to compare with: the standard library, a line at a time, nothing kept back.

It shares no code with the product. What it can read, the product has to record; what it cannot, the product may not
attribute to anybody.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_SHAPES = ("choices", "output", "data", "text")
_AGAIN = (408, 409, 425, 429)
_AGAIN_CODES = ("batch_expired", "request_timeout", "server_error", "rate_limit_exceeded")
_EMPTY = (None, "", {})


@dataclass
class Reading:
    """What the files of one batch say about its rows."""

    ok: dict[str, Any] = field(default_factory=dict)  # custom_id -> answer, of its first success
    error: set[str] = field(default_factory=set)  # failed for good
    again: set[str] = field(default_factory=set)  # failed, and may be asked again
    foreign: int = 0
    unreadable: list[str] = field(default_factory=list)  # `1.jsonl:17`
    lines: int = 0

    @property
    def is_something_else(self) -> bool:
        return not self.lines - self.foreign - len(self.unreadable)


def read(files: Iterable[bytes], ids: set[str]) -> Reading:
    """ids: of the rows that were asked. A row is known by the digest at the end of its id, whatever stands before."""
    found, ends = Reading(), {wire[-23:]: wire for wire in ids}
    for number, data in enumerate(files):
        for at, line in _lines(data):
            found.lines += 1
            _take(found, line, f"{number}.jsonl:{at}", ends)
    return found


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    for at, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            yield at, line


def _take(found: Reading, line: bytes, place: str, ends: Mapping[str, str]) -> None:
    try:
        row = parse(line)
    except (ValueError, RecursionError):
        row = None
    custom_id = row.get("custom_id") if isinstance(row, dict) else None
    verdict = verdict_of(row) if isinstance(row, dict) and isinstance(custom_id, str) else "unreadable"
    own = ends.get(custom_id[-23:], "") if isinstance(custom_id, str) else ""
    if verdict == "unreadable":
        found.unreadable.append(place)
    elif verdict == "request":
        pass
    elif not own:
        found.foreign += 1
    elif verdict == "ok":
        found.ok.setdefault(own, answer_of(row))
        found.error.discard(own)
        found.again.discard(own)
    elif own not in found.ok:
        found.error.discard(own)
        found.again.discard(own)
        (found.again if verdict == "again" else found.error).add(own)


def parse(line: bytes) -> Any:
    """JSON as vendors write it. Raises ValueError, RecursionError."""
    text = line.removeprefix(b"\xef\xbb\xbf").strip(b"\0 \t\r").decode("utf-8", "replace")
    return json.loads(text, strict=False, parse_int=whole_number, parse_constant=lambda word: None)


def whole_number(digits: str) -> int | str:
    """A JSON integer, which may have any number of digits."""
    return int(digits) if len(digits) < 19 else f"a number of {len(digits)} digits"


def _status_of(said: Any) -> int | None:
    """A status as a number, from a number or its digits; None where it is no such thing."""
    is_number = isinstance(said, int | float) and math.isfinite(said)
    return int(said) if is_number or (isinstance(said, str) and said.isdecimal()) else None


def verdict_of(row: dict[str, Any]) -> str:
    """`ok`, `error`, `again`, `request` or `unreadable`."""
    response, error = row.get("response"), row.get("error")
    if error in _EMPTY:
        error = None
    if response is None:
        if error is None:
            return "request" if "body" in row else "again"
        return _failure(error, None)
    if not isinstance(response, dict):
        return "unreadable"
    status = response.get("status_code")
    number = _status_of(status)
    if status is not None and (number is None or number >= 1 << 53):
        return "unreadable"
    is_wrapped = response.get("body") is not None or status is not None
    body = response.get("body") if is_wrapped else response
    error = error or next((part["error"] for part in (body, response) if _names_error(part)), None)
    if error is not None:
        return _failure(error, number)
    if number is None:
        if body != {} and not (isinstance(body, dict) and any(shape in body for shape in _SHAPES)):
            return "unreadable"
        return "ok" if _holds_something(body) else "again"
    if 200 <= number < 300:
        return "ok" if _holds_something(body) else "again"
    return _failure({}, number)


def _holds_something(body: Any) -> bool:
    """Whether the body of a success is one."""
    if isinstance(body, str):
        return bool(body.strip())
    if not isinstance(body, dict) or not body:
        return False
    there = [shape for shape in ("choices", "output", "data") if shape in body]
    filled = any(body.get(shape) not in (None, [], [None]) for shape in _SHAPES)
    return filled or not there or body.get("status") == "incomplete"


def _names_error(part: Any) -> bool:
    return isinstance(part, dict) and part.get("error") not in _EMPTY


def _failure(error: Any, status: int | None) -> str:
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, int) and 400 <= code < 600:
        status = code
    is_transient = code in _AGAIN_CODES or (status is not None and (status in _AGAIN or status >= 500))
    return "again" if is_transient else "error"


def answer_of(row: Any) -> Any:
    """The text of an answer; None for one without."""
    response = row["response"]
    body = response.get("body", response)
    if body is None and response.get("status_code") is None:
        body = response
    if isinstance(body, str):
        return _text(body)
    choices = body.get("choices") if isinstance(body, dict) else None
    message = choices[0].get("message") if isinstance(choices, list) and choices else None
    content = message.get("content") if isinstance(message, dict) else None
    return _text(content) if isinstance(content, str) else None


def _text(text: str) -> str:
    """Each lone surrogate as U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
