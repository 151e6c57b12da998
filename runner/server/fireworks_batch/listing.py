"""Lists as Google's API rules have them: filter (AIP-160, a part of it), order, page, and masks of fields."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from runner.server.endpoint import ApiCall
from runner.server.fireworks_batch.errors import invalid
from runner.server.fireworks_batch.fields import camel

DEFAULT_PAGE = 50
MAX_PAGE = 200
_FILTERABLE = ("state", "model", "displayName", "createTime")
_TERM = re.compile(r'\s*([A-Za-z_.]+)\s*(!=|=|<|>)\s*("[^"]*"|[^\s"]+)\s*')
_ALIASES = {"createdTime": "createTime"}

Shape = dict[str, Any]


def option(call: ApiCall, name: str) -> str:
    """A query parameter in camelCase or snake_case; empty where it is not given."""
    snake = re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)
    return call.query_params.get(name) or call.query_params.get(snake) or ""


# Everything is filtered and ordered anew for each page, in memory: accounts here hold hundreds of jobs, not millions,
# and a page token then needs no state in the server.
def page(call: ApiCall, shapes: list[Shape], key: str, order: str) -> Shape:
    """The answer to a list call: `shapes` filtered and ordered, one page of them under `key`.

    `order` is the order without `orderBy`. Raises ApiError 400.
    """
    wanted, by = option(call, "filter"), option(call, "orderBy")
    found = _ordered([shape for shape in shapes if _matches(shape, wanted)], by or order)
    # a token belongs to one question: with another filter its place means nothing
    same = hashlib.blake2b(f"{wanted}\0{by}".encode(), digest_size=8).hexdigest()
    start = _start(option(call, "pageToken"), found, same)
    end = start + _size(option(call, "pageSize"))
    token = _token(end, found[end - 1]["name"], same) if end < len(found) else ""
    mask = option(call, "readMask")
    return {key: [masked(shape, mask) for shape in found[start:end]], "nextPageToken": token, "totalSize": len(found)}


def masked(shape: Shape, mask: str) -> Shape:
    """The fields named in a mask; all of them where it is empty or `*`."""
    if mask in ("", "*"):
        return shape
    fields = [camel(part.strip()).partition(".")[0] for part in mask.split(",")]
    unknown = [name for name in fields if name not in shape]
    if unknown:
        raise invalid(f'invalid read_mask: unknown field "{unknown[0][:80]}"')
    return {name: value for name, value in shape.items() if name in fields}


def _size(text: str) -> int:
    if not text:
        return DEFAULT_PAGE
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise invalid(f'invalid page_size "{text[:20]}"')
    return min(int(text) or DEFAULT_PAGE, MAX_PAGE)


def _token(end: int, last: str, same: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([end, last, same])).decode()


def _start(token: str, found: list[Shape], same: str) -> int:
    """Behind the last one shown, wherever that is now; at its old place where it is gone."""
    if not token:
        return 0
    try:
        end, last, theirs = msgspec.json.decode(base64.urlsafe_b64decode(token), type=tuple[int, str, str])
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise invalid("invalid page_token") from error
    if theirs != same:
        raise invalid("page_token belongs to a list with another filter or order_by")
    # what was created or deleted since the last page moves places, so the last one shown is found by name
    for position, shape in enumerate(found):
        if shape["name"] == last:
            return position + 1
    return max(end, 0)


def _ordered(shapes: list[Shape], order: str) -> list[Shape]:
    # the least significant first: Python's sort keeps what an earlier one arranged
    for part in reversed(order.split(",")):
        words = part.split()
        if not words or len(words) > 2 or words[1:] not in ([], ["desc"], ["asc"]):
            raise invalid(f'invalid order_by "{order[:80]}"')
        path = [camel(word) for word in words[0].split(".")]
        path[0] = _ALIASES.get(path[0], path[0])
        shapes = sorted(shapes, key=lambda shape: _sortable(_value(shape, path)), reverse=words[1:] == ["desc"])
    return shapes


def _value(shape: Mapping[str, Any], path: list[str]) -> Any:
    value: Any = shape
    for name in path:
        if value is None:
            return None
        if not isinstance(value, Mapping) or name not in value:
            raise invalid(f'invalid order_by: unknown field "{".".join(path)[:80]}"')
        value = value[name]
    return value


def _sortable(value: Any) -> tuple[int, float, str]:
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, (int, float)) or (isinstance(value, str) and value.isdecimal()):
        return 1, float(value), ""
    return 2, 0.0, str(value)


def _matches(shape: Shape, wanted: str) -> bool:
    return not wanted.strip() or all(_holds(shape, term) for term in re.split(r"\s+AND\s+", wanted.strip()))


def _holds(shape: Shape, term: str) -> bool:
    found = _TERM.fullmatch(term)
    if found is None:
        raise invalid(f'invalid filter "{term[:80]}"')
    name, sign, given = camel(found[1]), found[2], found[3].strip('"')
    if name not in _FILTERABLE or name not in shape:
        raise invalid(f'invalid filter: unknown field "{found[1][:80]}"')
    have = str(shape[name])
    if name == "state":
        have, given = have.removeprefix("JOB_STATE_"), given.removeprefix("JOB_STATE_")
    match sign:
        case "=":
            return have == given
        case "!=":
            return have != given
        case "<":
            return have < given
    return have > given
