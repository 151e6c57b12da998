"""Files of a project as they were committed: read from git's objects, with nothing checked out.

Only when a person names a revision, and by plumbing alone: it runs no hook, filter or pager. A folder that a stranger
filled may lack objects, and name a remote that has them: no protocol is allowed, so that nothing is fetched and nothing
run for it. No key is handed on.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from runner.errors import RunnerError, UsageError

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
                f"git knows no revision `{name}` here", hint="write the address of a job, or REV:ADDRESS: `main:reply`"
            )

    def copy(self, path: str, out: IO[bytes]) -> bool:
        """Write what was committed at a path of the project; False where there was nothing."""
        out.flush()
        return self._git("cat-file", "blob", f"{self.commit}:./{path}", to=out).returncode == 0

    def copy_specs(self, folder: Path) -> None:
        """Write all small text files that specs may be made of, below a folder. Raises RunnerError."""
        listed = self._git("ls-tree", "-r", "-l", "-z", self.commit)
        names = list(_small(listed.stdout))[:_MOST_FILES]
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


def _small(listed: bytes) -> Iterator[tuple[str, str]]:
    """The object and the name of each file that specs may be made of. listed: `ls-tree -l -z`."""
    for entry in listed.split(b"\0"):
        about, _, name = entry.partition(b"\t")
        words = about.decode().split()
        if len(words) != 4 or words[0] not in _PLAIN or not words[3].isdigit() or int(words[3]) > _MOST_BYTES:
            continue
        path = os.fsdecode(name)
        if Path(path).suffix.lower() in _FOR_SPECS:
            yield words[2], path
