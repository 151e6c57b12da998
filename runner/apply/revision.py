"""Files of a project as they were committed: read from git's objects, with nothing checked out.

Only when a person names a revision, and by plumbing alone: it runs no hook, filter or pager. A folder that a stranger
filled may lack objects, and name a remote that has them: no protocol is allowed, so that nothing is fetched and nothing
run for it. No key is handed on.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, NamedTuple

from runner.errors import RunnerError, UsageError
from runner.globs import Globs

_FOR_SPECS = frozenset((".yaml", ".yml", ".md", ".txt", ".j2", ".jinja", ".jinja2", ".json"))
_MOST_BYTES = 256 << 10  # of a file that specs may be made of
_MOST_FILES = 5_000
_PLAIN = ("100644", "100755")
_HANDED_ON = ("PATH", "HOME", "XDG_CONFIG_HOME", "SYSTEMROOT", "GIT_DIR", "GIT_WORK_TREE", "GIT_CEILING_DIRECTORIES")
_FETCH_NOTHING = {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "", "GIT_OPTIONAL_LOCKS": "0"}


class Revision:
    """One commit of the checkout around a project."""

    def __init__(self, root: Path, name: str) -> None:
        """name: as git takes it: `main`, `HEAD~1`. Raises UsageError for one that there is not, RunnerError."""
        self.name = name
        self._root = root
        found = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        self.commit = found.stdout.decode().strip()
        if found.returncode or not self.commit:
            raise UsageError(
                f"git knows no revision `{name}` here",
                hint="write one as git takes it: `main`, `HEAD~1`; where a job is meant, ADDRESS or REV:ADDRESS",
            )

    def copy(self, path: str, out: IO[bytes]) -> bool:
        """Write what was committed at a path of the project; False where there was nothing."""
        out.flush()
        return self._git("cat-file", "blob", f"{self.commit}:./{path}", to=out).returncode == 0

    def copy_matching(
        self, patterns: Sequence[str], folder: Path, *, most_bytes: int, is_literal: bool = False
    ) -> bool:
        """Write the files that globs match, below a folder; False where there is none, or too much of them.

        is_literal: they are paths as they stand.
        """
        matching = Globs(patterns, literal=patterns if is_literal else ()).matching
        found = [entry for entry in _entries(self._listed) if matching(entry.path)]
        if not found or sum(entry.size_bytes for entry in found) > most_bytes:
            return False
        for entry in found:
            path = folder / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as out:
                self._git("cat-file", "blob", entry.object_id, to=out)
        return True

    def copy_specs(self, folder: Path) -> None:
        """Write all small text files that specs may be made of, below a folder. Raises RunnerError."""
        names = list(_small(self._listed))[:_MOST_FILES]
        asked = b"".join(object_id.encode() + b"\n" for object_id, _ in names)
        given = self._git("cat-file", "--batch", asked=asked).stdout
        at = 0
        for _, name in names:
            end = given.find(b"\n", at)
            size = int(given[at:end].split()[-1])
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(given[end + 1 : end + 1 + size])
            at = end + 2 + size

    @cached_property
    def _listed(self) -> bytes:
        return self._git("ls-tree", "-r", "-l", "-z", self.commit).stdout

    def _git(
        self, *words: str, to: IO[bytes] | None = None, asked: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        environ = {name: os.environ[name] for name in _HANDED_ON if name in os.environ} | _FETCH_NOTHING
        try:
            return subprocess.run(
                ["git", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never", "-C", str(self._root), *words],
                input=b"" if asked is None else asked,
                stdout=to or subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environ,
                check=False,
            )
        except OSError as error:
            raise RunnerError("git cannot be run", hint="a revision is read by `git`: install it") from error


class _Entry(NamedTuple):
    object_id: str
    size_bytes: int
    path: str


def _entries(listed: bytes) -> Iterator[_Entry]:
    """The plain files of a commit, below the project. listed: `ls-tree -l -z`."""
    for entry in listed.split(b"\0"):
        about, _, name = entry.partition(b"\t")
        words = about.decode().split()
        path = os.fsdecode(name)
        if len(words) == 4 and words[0] in _PLAIN and words[3].isdigit() and ".." not in path.split("/"):
            yield _Entry(words[2], int(words[3]), path)


def _small(listed: bytes) -> Iterator[tuple[str, str]]:
    """The object and the name of each file that specs may be made of."""
    for entry in _entries(listed):
        if entry.size_bytes <= _MOST_BYTES and Path(entry.path).suffix.lower() in _FOR_SPECS:
            yield entry.object_id, entry.path
