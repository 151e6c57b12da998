"""What a spec file holds, with the place of every part: scalars, mappings, sequences.

Our own small classes, because a value without its place cannot be complained about.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from runner.errors import Mark
from runner.fields import SourceFloat, SourceInt


class _Placed(msgspec.Struct, eq=False):
    """Lines and columns count from 1; the Mark is made when somebody asks, which is seldom."""

    file: str
    line: int
    column: int

    @property
    def mark(self) -> Mark:
        return Mark(self.file, self.line, self.column)


class Scalar(_Placed, eq=False):
    """One value. `value` is None, a bool, an int, a float or a str; `source` the text it was read from."""

    value: bool | int | float | str | None
    source: str
    is_plain: bool = True  # neither quoted nor a block
    is_block: bool = False
    size: int = 1
    height: int = 1

    @property
    def text_mark(self) -> Mark:
        """Where the text itself starts: below the `|` or `>` of a block."""
        return Mark(self.file, self.line + 1, 1) if self.is_block else self.mark


class Sequence(_Placed, eq=False):
    items: list[Node] = msgspec.field(default_factory=list)
    size: int = 1  # nodes below and including this one, aliases counted each time they are used
    height: int = 1


class Mapping(_Placed, eq=False):
    entries: dict[str, tuple[Scalar, Node]] = msgspec.field(default_factory=dict)
    size: int = 1
    height: int = 1

    def key(self, name: str) -> Scalar:
        return self.entries[name][0]

    def get(self, name: str) -> Node | None:
        entry = self.entries.get(name)
        return entry[1] if entry else None


Node = Scalar | Sequence | Mapping


def data_of(node: Node) -> Any:
    """The plain value of a node: dicts, lists and scalars; numbers keep their source text."""
    if isinstance(node, Mapping):
        return {name: data_of(value) for name, (_, value) in node.entries.items()}
    if isinstance(node, Sequence):
        return [data_of(item) for item in node.items]
    value = node.value
    if isinstance(value, float):
        number = SourceFloat(value)
        number.source = node.source
        return number
    if isinstance(value, int) and not isinstance(value, bool):
        whole = SourceInt(value)
        whole.source = node.source
        return whole
    return value


def scalars_of(node: Node, key: Scalar | None = None) -> Iterator[tuple[Scalar | None, Scalar]]:
    """Every scalar below `node`, with the nearest key above it."""
    if isinstance(node, Scalar):
        yield key, node
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from scalars_of(item, key)
    else:
        for own_key, value in node.entries.values():
            yield from scalars_of(value, own_key)


def kind_of(node: Node) -> str:
    """What a node is, in the words of an error: `a list`, `the number 3`; text is never repeated."""
    match node:
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case Scalar(value=None):
            return "empty"
        case Scalar(value=bool()):
            return f"`{node.source}`"
        case Scalar(value=int() | float()):
            return f"the number {node.source[:40]}"
        case _:
            return "text"
