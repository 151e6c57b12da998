"""JSON Schemas that answers are held to: in the specs, or in a file; nothing of them lies elsewhere."""

from __future__ import annotations

import json
import math
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from runner.errors import Mark
from runner.fields import plain
from runner.spec.loader import read_text
from runner.spec.nodes import Mapping as MappingNode
from runner.spec.nodes import Node, Scalar, data_of, kind_of
from runner.spec.paths import is_below
from runner.spec.placed import Placed, text_of
from runner.spec.violations import mark_of

_REFERS = ("$ref", "$dynamicRef", "$recursiveRef")


class Schema(NamedTuple):
    content: Mapping[str, Any]
    file: str = ""


def schema_of(placed: Placed, root: Path) -> Schema | None:
    """What the value of a `json` check holds answers to; None where they only have to parse, and after a problem."""
    node = placed.value("json")
    if isinstance(node, Scalar) and node.value is True:
        return None
    if not isinstance(node, MappingNode):
        hint = "write `true`, a JSON Schema, or `{file: schemas/answer.json}`"
        if node is not None:
            placed.error(node.mark, f"`json` of {placed.subject} is {kind_of(node)}", hint)
        return None
    if node.entries.keys() == {"file"}:
        return _from_file(placed, node.entries["file"][1], root)
    content = data_of(node)
    if not _is_finite(content):
        placed.error(node.mark, f"`json` of {placed.subject} holds a number that JSON does not know")
        return None
    for path in _leaving(content):
        _refuse(placed, mark_of(node, *path))
    return Schema(plain(content))


def _refuse(placed: Placed, mark: Mark) -> None:
    words = f"the schema of {placed.subject} refers to another document, and none is fetched"
    placed.error(mark, words, "copy what it refers to below `$defs`, and refer to `#/$defs/...`")


def _leaving(content: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where a schema refers to what is not in it."""
    if isinstance(content, dict):
        inside: Iterable[tuple[str | int, Any]] = content.items()
    else:
        inside = enumerate(content) if isinstance(content, list) else ()
    for key, value in inside:
        if key in _REFERS and isinstance(value, str):
            if not value.startswith("#"):
                yield (*path, key)
        else:
            yield from _leaving(value, (*path, key))


def _from_file(placed: Placed, node: Node, root: Path) -> Schema | None:
    file = text_of(node)
    what = f"the schema of {placed.subject}"
    if file is None or not file.isprintable() or not is_below(root, file):
        hint = "give a path relative to the root, such as `schemas/answer.json`"
        placed.error(node.mark, f"`json.file` of {placed.subject} must be a file below the project root", hint)
        return None
    if not os.path.isfile(root / file):  # noqa: PTH113  # never raises: a name may be too long to ask for
        words = f"{placed.subject}: no such file: `{file[:120]}`"
        placed.error(node.mark, words, "paths start at the project root")
        return None
    name = posixpath.normpath(file)
    text = read_text(root / file, name, placed.problems, node.mark)
    if text is None:
        return None
    try:
        content = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        placed.error(Mark(name, error.lineno, error.colno), f"{what} is not JSON: {error.msg}")
        return None
    except (ValueError, RecursionError):
        placed.error(Mark(name), f"{what} is not JSON")
        return None
    if not isinstance(content, dict):
        placed.error(Mark(name, 1, 1), f"{what} must be an object", 'such as `{"type": "object"}`')
        return None
    if any(_leaving(content)):
        _refuse(placed, Mark(name))
        return None
    return Schema(content, name)


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _is_finite(content: Any) -> bool:
    if isinstance(content, dict):
        return all(map(_is_finite, content.values()))
    if isinstance(content, list):
        return all(map(_is_finite, content))
    return not isinstance(content, float) or math.isfinite(content)
