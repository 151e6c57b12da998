"""Paths and globs in specs: how long they may be, and which globs match a path when there are thousands of either."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase, translate

MAX_BYTES = 4_000
MAX_FOLDERS = 64


def is_too_long(path: str) -> bool:
    """Whether no file system takes a path, or nobody means one with so many folders."""
    return len(path.encode(errors="replace")) > MAX_BYTES or path.count("/") > MAX_FOLDERS


def parents(path: str) -> list[str]:
    """The folders above a path, the outermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def glob_matches(glob: str, path: str) -> bool:
    """Whether a glob matches a path: `*` and `?` within one folder, `**` across folders."""
    return _match(glob.split("/"), path.split("/"))


def _match(globs: Sequence[str], parts: Sequence[str]) -> bool:
    """Walks the set of places reached, so that no pattern takes more than parts times globs."""
    reached = {0}
    for glob in globs:
        if not reached:
            return False
        if glob == "**":
            reached = set(range(min(reached), len(parts) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(parts) and fnmatchcase(parts[at], glob)}
    return len(parts) in reached


class Globs:
    """Globs in a row, asked for many paths. Most paths share their folder, and most globs their last part.

    Each last part is held against each name once, and what stands before it against each folder once.
    """

    def __init__(self, globs: Iterable[str]) -> None:
        self._before: dict[str, list[tuple[list[str], int]]] = {}  # last part -> the parts before it, whose number
        self._names: dict[str, re.Pattern[str]] = {}
        self._in_folder: dict[tuple[str, str], list[int]] = {}
        for number, glob in enumerate(globs):
            parts = glob.split("/")
            if parts[-1] == "**":  # everything below, and what the parts before it match themselves
                self._before.setdefault("**", []).append((parts, number))
            while parts and parts[-1] == "**":
                parts = parts[:-1]
            if parts:
                self._before.setdefault(parts[-1], []).append((parts[:-1], number))
        for last in self._before:
            self._names[last] = re.compile(translate("*" if last == "**" else last))

    def matching(self, path: str) -> Iterator[int]:
        """The numbers of the globs that match a path, in no order; some of them twice."""
        folder, _, name = path.rpartition("/")
        for last, pattern in self._names.items():
            if pattern.match(name):
                yield from self._matching_in(last, folder)

    def _matching_in(self, last: str, folder: str) -> list[int]:
        if (last, folder) not in self._in_folder:
            parts = folder.split("/") if folder else []
            self._in_folder[last, folder] = [number for globs, number in self._before[last] if _match(globs, parts)]
        return self._in_folder[last, folder]
