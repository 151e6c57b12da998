"""Commands that are suggested, with the PATHS of the command that suggests them: to be copied as they stand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from contextvars import ContextVar

# Commands that take PATHS, and how many words come before them
_BEFORE_PATHS = {
    "apply": 0, "plan": 0, "status": 0, "validate": 0,
    "render": 1, "retry": 1, "cancel": 1, "show": 1, "fetch": 1, "state resolve": 1, "state accept-origin": 1,
}  # fmt: skip
_QUOTED = re.compile(rf"`runner (?P<verb>{'|'.join(_BEFORE_PATHS)})(?P<rest>(?: [^`]*)?)`")


given: ContextVar[tuple[str, ...]] = ContextVar("given", default=())  # the PATHS of the command that runs


def carried(text: str, paths: Sequence[str] | None = None) -> str:
    """A text whose suggested commands, in backticks, have the PATHS given. Those that have some stay as they are."""
    paths = given.get() if paths is None else paths
    if not paths:
        return text
    return _QUOTED.sub(lambda found: f"`{with_paths(found[0][1:-1], paths)}`", text)


def with_paths(command: str, paths: Sequence[str] | None = None) -> str:
    """One command, `runner retry calls --row a`, with the PATHS before its options.

    One that is only named, `runner retry`, or that has PATHS of its own, stays as it is.
    """
    paths = given.get() if paths is None else paths
    found = _QUOTED.fullmatch(f"`{command}`")
    if not paths or found is None:
        return command
    words = command.split(" ")
    at = next((number for number, word in enumerate(words) if word.startswith("-")), len(words))
    if at != len(f"runner {found['verb']}".split(" ")) + _BEFORE_PATHS[found["verb"]]:
        return command
    return " ".join([*words[:at], *map(shlex.quote, paths), *words[at:]])
