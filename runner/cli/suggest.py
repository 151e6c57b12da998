"""Commands that are suggested: with the global options and the PATHS of the command that suggests them, as typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from contextvars import ContextVar

# Commands that take PATHS, and how many words come before them
_BEFORE_PATHS = {
    "apply": 0, "plan": 0, "cost": 0, "prune": 0, "status": 0, "validate": 0, "report": 0, "lock": 0, "doctor": 0,
    "explain": 1, "render": 1, "retry": 1, "cancel": 1, "show": 1, "fetch": 1, "import": 2, "state resolve": 1,
    "state accept-origin": 1,
}  # fmt: skip
_OF_A_PROJECT = (*_BEFORE_PATHS, "state list", "state show", "state rm", "state mv", "cache clear", "history", "verify")
_NAMED = f"runner (?P<verb>{'|'.join(_OF_A_PROJECT)})(?P<rest>(?: [^`]*)?)"
_QUOTED = re.compile(f"`{_NAMED}`")


_ALIKE = ("apply", "plan", "status")  # each of them is about what another of them was about, when it suggests that

given: ContextVar[tuple[str, ...]] = ContextVar("given", default=())  # the PATHS of the command that runs
about: ContextVar[tuple[str, ...]] = ContextVar("about", default=())  # its options that say what it is about, as words
held: ContextVar[tuple[str, ...]] = ContextVar("held", default=())  # the plan an apply is held to: its file, or digest
root: ContextVar[str] = ContextVar("root", default="")  # the DIR of its -C
_chosen: ContextVar[tuple[str, ...]] = ContextVar("chosen", default=())  # its environment and vars, as options


def said(*, environment: str = "", var: str = "", var_file: str = "") -> None:
    """Have one more option in the commands that are suggested; of several environments the last."""
    words = list(_chosen.get())
    if environment and "--env" in words:
        at = words.index("--env")
        del words[at : at + 2]
    for name, value in (("--env", environment), ("--var", var), ("--var-file", var_file)):
        words += [name, shlex.quote(value)] if value else []
    _chosen.set(tuple(words))


def keep(verb: str | None, option: str, values: Iterable[object]) -> None:
    """Have an option of the command that runs in the commands like it that it suggests."""
    if verb in _ALIKE:
        about.set((*about.get(), *(word for value in values for word in (option, str(value)))))


def carried(text: str, paths: Sequence[str] | None = None, folder: str | None = None) -> str:
    """A text whose suggested commands, in backticks, can be typed as they stand; see `as_typed`."""
    return _QUOTED.sub(lambda found: f"`{as_typed(found[0][1:-1], paths, folder)}`", text)


def as_typed(command: str, paths: Sequence[str] | None = None, folder: str | None = None) -> str:
    """One command, `runner retry calls --row a`, with the PATHS before its options, and with the folder it is about.

    One that is only named, `runner retry`, stays as it is; one that has PATHS of its own keeps them.
    paths, folder: as they were given to the command that runs.
    """
    found = _QUOTED.fullmatch(f"`{command}`")
    if found is None:
        return command
    paths = given.get() if paths is None else paths
    folder = root.get() if folder is None else folder
    words = command.split(" ")
    at = next((number for number, word in enumerate(words) if word.startswith("-")), len(words))
    lacks = len(f"runner {found['verb']}".split(" ")) + _BEFORE_PATHS.get(found["verb"], 0) - at
    if lacks > 0:
        return command
    hold = held.get() if found["verb"] == "apply" else ()  # whoever reviewed a plan goes on with no other one
    if len(hold) == 1:
        paths = hold
    if paths and not lacks and found["verb"] in _BEFORE_PATHS:
        words[at:at] = map(shlex.quote, paths)
    more = [shlex.quote(word) for word in about.get()]
    is_plan = len(hold) == 1 or words[-1].endswith(".json")  # which says itself what it is about
    if found["verb"] in _ALIKE and not is_plan and words[-len(more) :] != more:
        words += more
    words += hold if len(hold) > 1 and hold[0] not in words else ()
    words[1:1] = [*(["-C", shlex.quote(folder)] if folder else []), *_chosen.get()]
    return " ".join(words)
