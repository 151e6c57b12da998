"""JSON Schemas that answers are held to: in the specs, or in a file; nothing of them lies elsewhere.

What is wrong in one is said at its place, in the specs or in the file: before anything is asked for with it.
"""

from __future__ import annotations

import json
import math
import os
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runner import schemas
from runner.errors import Mark
from runner.fields import plain
from runner.spec.loader import read_text
from runner.spec.nodes import Mapping as MappingNode
from runner.spec.nodes import Node, data_of, kind_of
from runner.spec.paths import is_below
from runner.spec.placed import text_of
from runner.spec.problems import Problems
from runner.spec.violations import Subject, mark_of

_Path = Sequence[str | int]
_TYPES = (*schemas.NAMES, "null")


class Schema(msgspec.Struct, frozen=True):
    content: Mapping[str, Any]
    file: str = ""


def file_in(node: Node | None) -> Node | None:
    """Where a file is named that holds a schema; None where the schema itself is written, or nothing."""
    if isinstance(node, MappingNode):
        return node.entries["file"][1] if node.entries.keys() == {"file"} else None
    return node if text_of(node) is not None else None


def schema_of(node: Node, field: str, subject: Subject, problems: Problems, root: Path) -> Schema | None:
    """The schema that is written at a node, or in the file that is named there; None after a problem.

    field: what the node is called, such as `answer.schema`, of `subject`.
    """
    about = _About(field, subject, problems)
    if (named := file_in(node)) is not None:
        return _from_file(about, named, root)
    if not isinstance(node, MappingNode):
        words = f"`{field}` of {subject} is {kind_of(node)}"
        problems.error(node.mark, words, "write a JSON Schema, or a file such as `schemas/answer.json`")
        return None
    content = data_of(node)
    if not _is_finite(content):
        problems.error(node.mark, f"`{field}` of {subject} holds a number that JSON does not know")
        return None
    content = plain(content)
    fault = about.fault_in(content)
    if fault is not None:
        problems.error(mark_of(node, *fault.path), fault.words, fault.hint)
        return None
    return Schema(content)


class _Fault(msgspec.Struct, frozen=True):
    path: _Path
    words: str
    hint: str = ""


class _About(msgspec.Struct, frozen=True):
    """Whose schema it is."""

    field: str
    subject: Subject
    problems: Problems

    @property
    def what(self) -> str:
        return f"the schema of {self.subject}"

    def fault_in(self, content: Mapping[str, Any]) -> _Fault | None:
        """The first thing that is wrong in a schema. Where no validator is installed, whoever needs it says so."""
        for path in schemas.leaving(content):
            words = f"{self.what} refers to another document, and none is fetched"
            return _Fault(path, words, "copy what it refers to below `$defs`, and refer to `#/$defs/...`")
        if not schemas.is_installed():
            return None
        try:
            schemas.validator_of(content)
        except schemas.BadSchema as error:
            at = f" at `{'.'.join(map(str, error.path))}`" if error.path else ""
            return _Fault(error.path, f"{self.what} is not a JSON Schema{at}: {error}", self._hint(error.path))
        return None

    def _hint(self, path: _Path) -> str:
        """The validator's words say little of a type that is misspelt."""
        return f"types are {', '.join(f'`{name}`' for name in _TYPES)}" if path and path[-1] == "type" else ""


def _from_file(about: _About, node: Node, root: Path) -> Schema | None:
    problems, file = about.problems, text_of(node)
    if file is None or not file.isprintable() or not is_below(root, file):
        hint = "give a path relative to the root, such as `schemas/answer.json`"
        words = f"the file of `{about.field}` of {about.subject} must lie below the project root"
        problems.error(node.mark, words, hint)
        return None
    if not os.path.isfile(root / file):  # noqa: PTH113  # never raises: a name may be too long to ask for
        words = f"{about.subject}: no such file: `{file[:120]}`"
        problems.error(node.mark, words, "paths start at the project root")
        return None
    name = posixpath.normpath(file)
    text = read_text(root / file, name, problems, node.mark)
    if text is None:
        return None
    try:
        content = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        problems.error(Mark(name, error.lineno, error.colno), f"{about.what} is not JSON: {error.msg}")
        return None
    except (ValueError, RecursionError):
        problems.error(Mark(name, 1, 1), f"{about.what} is not JSON")
        return None
    if not isinstance(content, dict):
        problems.error(Mark(name, 1, 1), f"{about.what} must be an object", 'such as `{"type": "object"}`')
        return None
    fault = about.fault_in(content)
    if fault is not None:
        problems.error(Mark(name, *place_in(text, fault.path)), fault.words, fault.hint)
        return None
    return Schema(content, name)


def place_in(text: str, path: _Path) -> tuple[int, int]:
    """Line and column, from 1, of the value at `path` of a JSON text; of the deepest part that is there."""
    at = _space(text, 0)
    for part in path:
        found = _inside(text, at, part)
        if found is None:
            break
        at = found
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _inside(text: str, at: int, part: str | int) -> int | None:
    """Where the value named `part` begins in the object, or as number `part` in the list, that begins at `at`."""
    skip = json.JSONDecoder().raw_decode
    found, number, is_object = None, 0, text[at] == "{"
    if text[at] not in "{[":
        return None
    at = _space(text, at + 1)
    while text[at] not in "}]":
        name: str | int = number
        if is_object:
            name, end = skip(text, at)
            at = _space(text, _space(text, end) + 1)  # past the colon
        if name == part:
            found = at  # of a key that is there twice the last one holds
        at = _space(text, skip(text, at)[1])
        at = _space(text, at + 1) if text[at] == "," else at
        number += 1
    return found


def _space(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _is_finite(content: Any) -> bool:
    if isinstance(content, dict):
        return all(map(_is_finite, content.values()))
    if isinstance(content, list):
        return all(map(_is_finite, content))
    return not isinstance(content, float) or math.isfinite(content)
