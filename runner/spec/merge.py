"""One part of a spec over another: what an environment says over the specs, what a job says over the defaults.

Mappings are merged name by name, whatever else is replaced whole, lists too; and an empty value takes away what is
below it. Every part keeps the place where it is written, so that a problem is told where it was made.
"""

from __future__ import annotations

from runner.spec.nodes import Mapping, Node, Scalar


def merged(base: Node, over: Node) -> Node:
    """`over` over `base`. Neither is changed."""
    if not isinstance(base, Mapping) or not isinstance(over, Mapping):
        return over
    entries = dict(base.entries)
    for name, (key, value) in over.entries.items():
        if name not in entries:
            entries[name] = (key, value)
        elif is_empty(value):
            del entries[name]
        elif isinstance(value, Mapping) and isinstance(entries[name][1], Mapping):
            entries[name] = (entries[name][0], merged(entries[name][1], value))
        else:
            entries[name] = (key, value)
    return with_entries(base, entries)


def with_entries(node: Mapping, entries: dict[str, tuple[Scalar, Node]]) -> Mapping:
    """A mapping at the same place that holds these."""
    size = 1 + sum(key.size + value.size for key, value in entries.values())
    height = 1 + max((value.height for _, value in entries.values()), default=0)
    return Mapping(node.file, node.line, node.column, entries, size, height)


def is_empty(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None
