"""Glob patterns as one machine that walks beside a directory tree, so that many patterns cost one walk.

`*`, `?` and `[...]` stay within a name, `**` is any number of folders. Names that start with a dot are matched only by
a pattern that writes the dot, and `**` does not enter linked folders: a link that leads upwards would never end.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

_MAGIC = re.compile(r"[*?\[]")
_Matches = Callable[[str], Any]
State = frozenset[tuple[int, int]]  # (pattern, how many of its parts are matched)


class _Part(NamedTuple):
    """One name of a pattern; `matches` is None for `**`."""

    matches: _Matches | None
    takes_hidden: bool


class Step(NamedTuple):
    """What one name in a folder means: which patterns it ends, and where the others stand inside it."""

    hits: tuple[int, ...]
    inside: State


class Globs:
    """Some patterns, numbered in their order. `takes_hidden` lets every wildcard match names with a dot too."""

    def __init__(self, patterns: Iterable[str], *, takes_hidden: bool = False, literal: Iterable[str] = ()) -> None:
        names = frozenset(literal)
        self._patterns = [tuple(_parts(pattern, takes_hidden, pattern in names)) for pattern in patterns]
        self.start = self._closed((number, 0) for number in range(len(self._patterns)))

    def step(self, state: State, name: str, *, is_folder: bool, is_link: bool = False) -> Step:
        """Go from a folder that is in `state` to the entry `name` of it."""
        is_hidden = name.startswith(".")
        hits = []
        inside = []
        for number, position in state:
            parts = self._patterns[number]
            if position == len(parts):
                continue
            part = parts[position]
            if is_hidden and not part.takes_hidden:
                continue
            is_last = position + 1 == len(parts)
            if part.matches is None:
                if is_last:
                    hits.append(number)
                if is_folder and not is_link:
                    inside.append((number, position))
            elif part.matches(name):
                if is_last:
                    hits.append(number)
                elif is_folder:
                    inside.append((number, position + 1))
        return Step(tuple(hits), self._closed(inside) if inside else _NOWHERE)

    def _closed(self, places: Iterable[tuple[int, int]]) -> State:
        """With what `**` allows by standing for no folder at all."""
        found: set[tuple[int, int]] = set()
        for number, position in places:
            parts = self._patterns[number]
            found.add((number, position))
            while position + 1 < len(parts) and parts[position].matches is None:
                position += 1
                found.add((number, position))
        return frozenset(found)


_NOWHERE: State = frozenset()


def is_magic(pattern: str) -> bool:
    return _MAGIC.search(pattern) is not None


def _parts(pattern: str, takes_hidden: bool, is_literal: bool) -> Iterable[_Part]:
    for name in pattern.split("/"):
        if name in ("", "."):
            continue
        if is_literal or not is_magic(name):
            yield _Part(name.__eq__, True)
        elif name == "**":
            yield _Part(None, takes_hidden)
        else:
            matches = re.compile(fnmatch.translate(_in_any_case(name))).match
            yield _Part(matches, takes_hidden or name.startswith("."))


def _in_any_case(name: str) -> str:
    """A pattern whose suffix counts in any case: phones and field recorders write `.WAV`."""
    stem, dot, suffix = name.rpartition(".")
    if not (dot and suffix.isascii() and suffix.isalnum()):
        return name
    return stem + dot + "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in suffix)
