"""What a command said of a project in which nothing has changed since: said again after one walk over stats.

People and CI ask for a plan again and again, and mostly there is nothing to do. To find that out takes two hundred
modules, the records and every set of keys; to find that nothing is different from when it was found out takes one file,
and the stats of what that was made of. So a `plan` or `apply` that had nothing to do leaves, for its exact words and
surroundings, what it said and the stats of all it looked at (`insync` tells what that is). It is a cache: whatever
does not match exactly counts as not there, and `runner cache clear` deletes it.

This is most of what such a command takes, so only the smallest parts of the standard library are imported here.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from contextvars import ContextVar

from runner import __version__

LONGEST_NS = 24 * 3600 * 10**9  # what a plan says may depend on the day, if on nothing else that has no stats
FOLDER = ".runner/memo/unchanged"
_SCHEME = f"runner-unchanged/1 {__version__}"
_PACKAGES = next((path for path in sys.path if path.endswith("site-packages")), sys.prefix)
_MADE_WITHIN_NS = 5 * 10**9  # of the time that it names, a file of ours is written
_FLAGS = {
    "plan": frozenset({"--offline", "--detailed-exitcode"}),
    "apply": frozenset({"-y", "--yes", "-q", "--quiet", "--no-wait"}),
}
_WITH_A_VALUE = ("-o", "--output", "-C", "--env", "--var")
_OF_THE_SHELL = frozenset({"_", "SHLVL", "PWD", "OLDPWD"})
_OF_SECRETS = ("KEY", "TOKEN", "SECRET", "PASS", "AUTH", "CRED", "COOKIE")
_MISSING = "-"
_EMPTY = "~"  # missing, or without a byte


class Asked:
    """One command: its words, and what else decides what it says beside the files that it looks at."""

    def __init__(self, arguments: Sequence[str], root: str) -> None:
        from _blake2 import blake2b  # what hashlib has beside it takes longer to import than all of this

        self.root = root
        self.started_ns = time.time_ns()
        self.said: list[str] | None = []  # on stdout; None where it said more than that
        # of what may be a secret only whether it is there
        around = [
            f"{name}={bool(value) if any(word in name for word in _OF_SECRETS) else value}"
            for name, value in sorted(os.environ.items())
            if name not in _OF_THE_SHELL
        ]
        columns = os.get_terminal_size(1).columns if os.isatty(1) else None
        stdout = sys.stdout.encoding, sys.stdout.errors, columns, os.isatty(0), os.isatty(2)
        packages = os.stat(_PACKAGES).st_mtime_ns  # noqa: PTH116  # pathlib takes longer to import than all of this
        told = repr((_SCHEME, sys.version, sys.prefix, packages, list(arguments), root, stdout, around))
        self.path = f"{root}/{FOLDER}/{blake2b(told.encode(errors='surrogateescape'), digest_size=16).hexdigest()}"


running: ContextVar[Asked | None] = ContextVar("running", default=None)  # the command, where it may be remembered


def asked(arguments: Sequence[str]) -> Asked | None:
    """The command of these words, if what it says follows from what it looks at alone."""
    words, root = list(arguments), ""
    while words[:1] == ["-C"] and len(words) > 1:
        root, words = words[1], words[2:]
    flags = _FLAGS.get(words[0]) if words else None
    if flags is None or "_RUNNER_COMPLETE" in os.environ or not all(map(_only_decides, os.environ)):
        return None
    rest = iter(words[1:])
    for word in rest:
        if word in _WITH_A_VALUE:
            value = next(rest, "")
            root = value if word == "-C" else root
        elif word.endswith(".json") or (word.startswith("-") and word not in flags):  # a plan that was written
            return None
    try:
        return Asked(arguments, os.path.realpath(root or "."))
    except (OSError, ValueError, ImportError):  # no such folder or terminal; another Python
        return None


def _only_decides(name: str) -> bool:
    """Whether a variable stands for no option that writes a file, or reads one more."""
    is_option = name.startswith("RUNNER_") and name not in ("RUNNER_HOME", "RUNNER_ENV")
    return not is_option or name.startswith("RUNNER_VAR_")


def answer(arguments: Sequence[str]) -> bool:
    """Say what these words said before. False where something may have changed since, and nothing was said."""
    command = asked(arguments)
    running.set(command)
    said = read(command) if command is not None else None
    if said is None:
        return False
    sys.stdout.write(said)
    sys.stdout.flush()
    return True


def read(command: Asked) -> str | None:
    """What it said, if all that it was made of is as it was."""
    try:
        with open(command.path, "rb") as file:
            about = os.fstat(file.fileno())
            head, _, said = file.read().decode(errors="surrogateescape").partition("\n\n")
        made, *lines = head.split("\n")
        # what came with a checkout, or was copied from elsewhere, was made at another time than it says
        if abs(about.st_ctime_ns - int(made)) > _MADE_WITHIN_NS:
            return None
        if not 0 <= command.started_ns - int(made) <= LONGEST_NS:
            return None
        for line in lines:
            stamp, _, path = line.partition("\t")
            if stamp != stamp_of(f"{command.root}/{path}", is_log=stamp == _EMPTY):
                return None
    except (OSError, ValueError):
        return None
    return said


def stamp_of(path: str, *, is_log: bool = False, before_ns: int = 0) -> str:
    """What the stats of a file or folder say. is_log: which counts only if something is in it.

    before_ns: raises Changing for what was changed then or after, since it may be changed again within the same tick
    of its clock. Raises OSError.
    """
    try:
        now = os.stat(path)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return _EMPTY if is_log else _MISSING
    if is_log and not now.st_size:
        return _EMPTY
    if before_ns and (now.st_mtime_ns >= before_ns or now.st_ctime_ns >= before_ns):
        raise Changing
    return f"{now.st_mtime_ns} {now.st_ctime_ns} {now.st_size} {now.st_ino} {now.st_mode}"


class Changing(Exception):
    """What was looked at cannot be told by stats."""


def record(said: str, paths: Iterable[str], logs: Iterable[str], root: str, *, before_ns: int) -> bytes:
    """What `read` reads, made now. Raises Changing, OSError."""
    lines = [f"{time.time_ns()}"]
    for path in logs:
        if stamp_of(f"{root}/{path}", is_log=True) != _EMPTY:
            raise Changing
        lines.append(f"{_EMPTY}\t{path}")
    lines += [f"{stamp_of(f'{root}/{path}', before_ns=before_ns)}\t{path}" for path in paths]
    if any("\n" in line for line in lines):
        raise Changing
    return ("\n".join(lines) + "\n\n" + said).encode(errors="surrogateescape")
