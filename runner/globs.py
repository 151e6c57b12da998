"""Glob patterns as one machine that walks beside a directory tree, so that many patterns cost one walk.

`*`, `?` and `[...]` stay within a name, `**` is any number of folders. Names that start with a dot are matched only by
a pattern that writes the dot, and `**` does not enter linked folders: a link that leads upwards would never end.
Paths that are only names (of files yet to be written) are walked in the same way, by `matching`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

_MAGIC = re.compile(r"[*?\[]")
_MOST_FOLDERS = 4096  # that are remembered at once: neighbours mostly share theirs
_Matches = Callable[[str], Any]
State = frozenset[tuple[int, int]]  # (pattern, how many of its parts are matched)


class _Part(msgspec.Struct, frozen=True):
    """One name of a pattern, `text` as it was written; `matches` is None for `**`."""

    text: str
    matches: _Matches | None
    takes_hidden: bool


class Descent(msgspec.Struct, frozen=True):
    """What one name in a folder means: which patterns it ends, and where the others stand inside it."""

    hits: tuple[int, ...]
    inside: State


class Globs:
    """Some patterns, numbered in their order.

    takes_hidden: every wildcard matches names with a dot too. any_case: the case of a suffix does not count.
    literal: patterns that are names as they stand.
    """

    def __init__(
        self,
        patterns: Iterable[str],
        *,
        takes_hidden: bool = False,
        any_case: bool = True,
        literal: Iterable[str] = (),
    ) -> None:
        names, known = frozenset(literal), dict[str, _Part]()
        self._patterns = [
            tuple(_parts(pattern, known, takes_hidden, any_case, pattern in names)) for pattern in patterns
        ]
        self.start = self._closed((number, 0) for number in range(len(self._patterns)))
        self._inside: dict[str, State] = {"": self.start}
        self._ends: dict[str, dict[_Part, list[int]]] = {}  # by folder, what a name in it may end

    def matching(self, path: str) -> list[int]:
        """The numbers of the patterns that match a path, ascending. Nothing is looked at."""
        folder, _, name = path.rpartition("/")
        if folder not in self._ends:
            if len(self._ends) >= _MOST_FOLDERS:
                self._ends.clear()
                self._inside = {"": self.start}
            self._ends[folder] = self._ends_in(self._state_of(folder))
        is_hidden, found = name.startswith("."), set[int]()
        for part, numbers in self._ends[folder].items():  # of thousands of patterns most end alike
            if (part.takes_hidden or not is_hidden) and (part.matches is None or part.matches(name)):
                found.update(numbers)
        return sorted(found)

    def _state_of(self, folder: str) -> State:
        names = []
        while folder not in self._inside:
            folder, _, name = folder.rpartition("/")
            names.append(name)
        for name in reversed(names):
            state = self.step(self._inside[folder], name, is_folder=True).inside
            folder = f"{folder}/{name}" if folder else name
            self._inside[folder] = state
        return self._inside[folder]

    def _ends_in(self, state: State) -> dict[_Part, list[int]]:
        ends: dict[_Part, list[int]] = {}
        for number, position in state:
            parts = self._patterns[number]
            if position + 1 == len(parts):
                ends.setdefault(parts[position], []).append(number)
        return ends

    def step(self, state: State, name: str, *, is_folder: bool, is_link: bool = False) -> Descent:
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
        return Descent(tuple(hits), self._closed(inside) if inside else _NOWHERE)

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


def _parts(
    pattern: str, known: dict[str, _Part], takes_hidden: bool, any_case: bool, is_literal: bool
) -> Iterable[_Part]:
    """known: parts of other patterns by what they say, for there may be thousands of patterns that end alike."""
    for name in pattern.split("/"):
        if name in ("", "."):
            continue
        if is_literal:
            yield _Part(name, name.__eq__, True)
        else:
            if name not in known:
                known[name] = _part(name, takes_hidden, any_case)
            yield known[name]


def _part(name: str, takes_hidden: bool, any_case: bool) -> _Part:
    if not is_magic(name):
        return _Part(name, name.__eq__, True)
    if name == "**":
        return _Part(name, None, takes_hidden)
    matches = re.compile(fnmatch.translate(_in_any_case(name) if any_case else name)).match
    return _Part(name, matches, takes_hidden or name.startswith("."))


def _in_any_case(name: str) -> str:
    """A pattern whose suffix counts in any case: phones and field recorders write `.WAV`."""
    stem, dot, suffix = name.rpartition(".")
    if not (dot and suffix.isascii() and suffix.isalnum()):
        return name
    return stem + dot + "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in suffix)
