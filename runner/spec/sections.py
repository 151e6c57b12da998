"""A part of a spec file that holds things by their names."""

from __future__ import annotations

from runner.spec.merge import is_empty
from runner.spec.nodes import Mapping, Node, Scalar, kind_of
from runner.spec.problems import Problems


def entries_of(section: str, top: Mapping, hint: str, problems: Problems) -> dict[str, tuple[Scalar, Node]]:
    """What stands in it, by name: its key and its value. Nothing where it is not there, is empty, or is no mapping,
    which is told, with this hint.
    """
    node = top.get(section)
    if node is None or is_empty(node):
        return {}
    if not isinstance(node, Mapping):
        problems.error(node.mark, f"`{section}` must be a mapping, not {kind_of(node)}", hint)
        return {}
    return node.entries
