"""YAML events to nodes, under caps that hold whatever the file says.

Duplicate keys, unknown tags and keys that are not text are collected; what leaves no way to go on
(a cap, an alias to nowhere) raises Stop after its problem was recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import yaml

from runner.errors import Mark
from runner.spec.nodes import Mapping, Node, Scalar, Sequence
from runner.spec.problems import Problems
from runner.spec.scalars import resolve

MAX_DEPTH = 64
MAX_NODES = 200_000
MAX_ALIASES = 10_000
MAX_SCALAR_CHARS = 1_000_000
MAX_PROBLEMS = 200  # of one file; more are of no help

_CORE = "tag:yaml.org,2002:"
_KINDS = {"str", "int", "float", "bool", "null"}
_SECTIONS = "`models`, `datasets`, `prompts`, `jobs`"


class Stop(Exception):  # not an error of its own: the problem is recorded already
    """This file cannot be read any further."""


# Specs may be a stranger's: a pull request that CI plans. A few hundred bytes of aliases to aliases expand to billions
# of values, and deep nesting ends an interpreter. So sizes and heights are counted while nodes are built, and an alias
# counts as all that it stands for; a node is shared, never copied.
class Composer:
    """Builds the nodes of one file. Used once."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._anchors: dict[str, Node | None] = {}  # None: still open, so an alias to it is a cycle
        self._nodes = 0
        self._aliases = 0
        self._count = 0
        self._next: Callable[[], yaml.Event]

    def compose(self, next_event: Callable[[], yaml.Event]) -> Mapping | None:
        """The one document of the stream. Raises Stop, or yaml.YAMLError out of `next_event`."""
        self._next = next_event
        self._next()  # the start of the stream
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            self._empty()
            return None
        top = self._node(self._next(), 1)
        self._next()  # the end of the document
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            self._stop(self._mark(after), "a second document starts here", "put it into a file of its own")
        if isinstance(top, Scalar) and top.value is None:
            self._empty()
            return None
        if not isinstance(top, Mapping):
            self._stop(top.mark, "a spec file is a mapping", f"start with one of {_SECTIONS}")
        return top

    def _empty(self) -> None:
        self._problems.warning(Mark(self._file), "the file is empty")

    def _mark(self, event: yaml.Event) -> Mark:
        return Mark(*self._place(event))

    def _place(self, event: yaml.Event) -> tuple[str, int, int]:
        start = event.start_mark
        assert start is not None  # both parsers place every event
        return self._file, start.line + 1, start.column + 1

    def _stop(self, mark: Mark, message: str, hint: str = "") -> NoReturn:
        self._problems.error(mark, message, hint)
        raise Stop

    def _complain(self, mark: Mark, message: str, hint: str = "") -> None:
        self._problems.error(mark, message, hint)
        self._count += 1
        if self._count >= MAX_PROBLEMS:
            self._stop(mark, f"more than {MAX_PROBLEMS} problems in this file, stopped here")

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if type(event) is yaml.AliasEvent:
            return self._alias(event, depth)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._stop(self._mark(event), f"more than {MAX_NODES:,} values in one file", "split the file")
        if depth > MAX_DEPTH:
            self._stop(self._mark(event), f"nested more than {MAX_DEPTH} levels deep")
        assert isinstance(event, yaml.NodeEvent)
        anchor = event.anchor
        if anchor is not None:
            # open until its node is complete: an alias to it from inside would be a circle
            self._anchors[anchor] = None
        node: Node
        if type(event) is yaml.ScalarEvent:
            node = self._scalar(event)
        elif type(event) is yaml.SequenceStartEvent:
            node = self._sequence(event, depth)
        else:
            assert isinstance(event, yaml.MappingStartEvent)
            node = self._mapping(event, depth)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        name, mark = str(event.anchor), self._mark(event)
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            self._stop(mark, f"more than {MAX_ALIASES:,} aliases in one file")
        if name not in self._anchors:
            near = self._problems.nearest(name, self._anchors)
            hint = f"did you mean `*{near}`?" if near else "quote the value if it is meant as text"
            self._stop(mark, f"`*{name}` refers to an anchor `&{name}` that is not above it", hint)
        node = self._anchors[name]
        if node is None:
            self._stop(mark, f"`*{name}` refers to itself")
        self._nodes += node.size
        if self._nodes > MAX_NODES:
            self._stop(mark, f"aliases expand to more than {MAX_NODES:,} values")
        if depth + node.height - 1 > MAX_DEPTH:
            self._stop(mark, f"nested more than {MAX_DEPTH} levels deep")
        return node

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        text, tag, style = event.value, event.tag, event.style
        if len(text) > MAX_SCALAR_CHARS:
            hint = "put long prompts into a file: `file: prompts/x.md`"
            self._stop(self._mark(event), "a value of more than 1 MB", hint)
        is_plain = not style
        value = resolve(text) if is_plain and tag is None else text
        if tag is not None and tag != "!":
            value = self._tagged(tag, text, self._mark(event))
        return Scalar(*self._place(event), value, text, is_plain, style in ("|", ">"))

    def _tagged(self, tag: str, text: str, mark: Mark) -> bool | int | float | str | None:
        kind = tag.removeprefix(_CORE)
        if kind == tag or kind not in _KINDS:
            self._unknown_tag(tag, mark)
            return text
        value = text if kind == "str" else resolve(text)
        if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = _as_float(value)
        expected = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None)}[kind]
        if type(value) is not expected:
            self._complain(mark, f"this is not a `!!{kind}`", "remove the tag")
            self._problems.silence(mark)
        return value

    def _unknown_tag(self, tag: str, mark: Mark) -> None:
        shown = "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag
        self._complain(mark, f"the tag `{shown}` is not supported", "specs are plain data: remove the tag")
        self._problems.silence(mark)

    def _collection_tag(self, event: yaml.CollectionStartEvent, kind: str, mark: Mark) -> None:
        if event.tag not in ("!", _CORE + kind):
            self._unknown_tag(str(event.tag), mark)

    def _sequence(self, event: yaml.CollectionStartEvent, depth: int) -> Sequence:
        node = Sequence(*self._place(event))
        if event.tag is not None:
            self._collection_tag(event, "seq", node.mark)
        while not isinstance(inner := self._next(), yaml.SequenceEndEvent):
            item = self._node(inner, depth + 1)
            node.items.append(item)
            node.size += item.size
            node.height = max(node.height, item.height + 1)
        return node

    def _mapping(self, event: yaml.CollectionStartEvent, depth: int) -> Mapping | Scalar:
        node = Mapping(*self._place(event))
        if event.tag is not None:
            self._collection_tag(event, "map", node.mark)
        merges: list[tuple[Scalar, Node]] = []
        is_template = False
        while not isinstance(inner := self._next(), yaml.MappingEndEvent):
            key = self._node(inner, depth + 1)
            value = self._node(self._next(), depth + 1)
            if value.line > key.line and isinstance(value, Scalar) and value.is_plain and not value.source:
                value.line, value.column = key.line, key.column  # nothing is there: the parser places it anywhere
            node.size += key.size + value.size
            node.height = max(node.height, key.height + 1, value.height + 1)
            name = self._key_name(key, node)
            if name is None:
                is_template = is_template or _opens_template(key, node)
                continue
            assert isinstance(key, Scalar)
            if name in node.entries or (merges and name == "<<"):
                first = merges[0][0] if name == "<<" and merges else node.key(name)
                self._duplicate(name, key.mark, first.mark)
            elif name == "<<" and key.is_plain:
                merges.append((key, value))
            else:
                node.entries[name] = (key, value)
        # after all keys: those of the mapping itself win, wherever `<<` stands among them
        for key, value in merges:
            self._merge(node, key, value)
        # a text in its place: the fields of a mapping would be complained about one by one, and none of them was meant
        return Scalar(node.file, node.line, node.column, "{{", "{{") if is_template else node

    def _key_name(self, key: Node, owner: Mapping) -> str | None:
        """The name a key gives, or None after a complaint."""
        if isinstance(key, Scalar) and isinstance(key.value, str):
            return key.value
        if _opens_template(key, owner):
            self._complain(owner.mark, "a value that starts with `{{` must be quoted", 'write `"{{ name }}"`')
            self._problems.silence(owner.mark)
        elif not isinstance(key, Scalar):
            self._complain(key.mark, "a key must be text, not a list or a mapping")
        elif key.value is None:
            self._complain(key.mark, "a key must not be empty")
        else:
            self._complain(key.mark, f"the key `{key.source[:40]}` is not text", f'quote it: `"{key.source[:40]}"`')
        return None

    def _duplicate(self, name: str, mark: Mark, first: Mark) -> None:
        self._complain(mark, f"the key `{name[:80]}` is already used at {first}", "remove one of the two")

    def _merge(self, node: Mapping, key: Scalar, value: Node) -> None:
        """`<<: *base`, `<<: [*a, *b]`: keys of its own win, then the earlier mapping."""
        sources = value.items if isinstance(value, Sequence) else [value]
        for source in sources:
            if not isinstance(source, Mapping):
                self._complain(key.mark, "`<<` takes a mapping, or a list of mappings")
                return
            for name, entry in source.entries.items():
                node.entries.setdefault(name, entry)


def _opens_template(key: Node, owner: Mapping) -> bool:
    """Whether `{{ name }}` was written without quotes, which YAML reads as a mapping in a mapping."""
    return isinstance(key, Mapping) and (key.line, key.column) == (owner.line, owner.column + 1)


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")
