"""Commands that are suggested, with the PATHS of the command that suggests them: to be copied as they stand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from contextvars import ContextVar

_TAKE_PATHS = ("apply", "plan", "status", "validate", "render", "retry", "cancel", "show", "fetch", "state resolve")
_QUOTED = re.compile(rf"`runner (?P<verb>{'|'.join(_TAKE_PATHS)})(?P<rest>(?: [^`]*)?)`")


given: ContextVar[tuple[str, ...]] = ContextVar("given", default=())  # the PATHS of the command that runs


def carried(text: str, paths: Sequence[str] | None = None) -> str:
    """A text whose suggested commands, in backticks, have the PATHS given. Those that have them stay as they are."""
    paths = given.get() if paths is None else paths
    if not paths:
        return text
    return _QUOTED.sub(lambda found: f"`{with_paths(found[0][1:-1], paths)}`", text)


def with_paths(command: str, paths: Sequence[str] | None = None) -> str:
    """One command, `runner retry calls --row a`, with the PATHS before its options."""
    paths = given.get() if paths is None else paths
    there = [shlex.quote(path) for path in paths]
    words = command.split(" ")
    if not there or not _QUOTED.fullmatch(f"`{command}`") or all(path in words for path in there):
        return command
    at = next((number for number, word in enumerate(words) if word.startswith("-")), len(words))
    return " ".join([*words[:at], *there, *words[at:]])
