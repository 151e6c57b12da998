"""Files that no spec may send: hidden ones, secrets by their names, and prompts that git ignores.

A pull request writes specs, and a maintainer's machine or CI runs them beside `.env`, `.git/config` and cloud keys.
What git tracks is no secret to whoever can open a pull request; what it does not track may be one. Why ignored data is
taken all the same: docs/decisions/019-what-is-never-sent.md.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from runner import gittree

_STORES = (".git/annex/objects/", ".dvc/cache/")  # git-annex and DVC put a link into them where large data was
_SECRET = re.compile(
    r"""(?ix) ( .*\.(env|pem|key|p12|pfx|jks|keystore|kdbx|ppk|ovpn|tfstate|tfvars|htpasswd)
    | env | id_(rsa|dsa|ecdsa|ed25519) | (.*[_.-])? (credentials? | secrets? | passwords? | passwd | rootkey)
    | .*access_?keys? | .*service[_-]?account.* ) (\.[a-z0-9]+){0,2} \Z"""
)
_GIT_SECONDS = 20
_NOT_FOR_GIT = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CEILING_DIRECTORIES")


def is_hidden(path: str) -> bool:
    """Whether a path, relative to the project root, lies below a name that begins with a dot, or has one."""
    return any(part.startswith(".") and part not in (".", "..") for part in path.split("/"))


def leads_into_hidden(real: str, root: str) -> bool:
    """Whether `real`, a path with its links followed, is hidden below `root`, and no store of large data."""
    inside = os.path.relpath(real, root)
    return is_hidden(inside) and not inside.startswith(_STORES)


def is_secret_by_name(path: str) -> bool:
    """Whether files of this name mostly hold keys or passwords, as `credentials.csv` of a cloud's console does."""
    return _SECRET.match(path.rpartition("/")[2]) is not None


def ignored(paths: Iterable[str], root: Path) -> frozenset[str]:
    """Those of some paths (relative to `root`) that git ignores and does not track; none where there is no git."""
    real = {os.path.realpath(root / path): path for path in paths}
    if not real:
        return frozenset()
    asked = _git(root, ["check-ignore", "-z", "--stdin"], "\0".join(real))
    if asked is None and len(real) > 1:  # one that it cannot tell about, in a submodule, fails all
        return frozenset().union(*(ignored([path], root) for path in real.values()))
    return frozenset(real[name] for name in (asked or "").split("\0") if name)


def is_tracked(path: str, root: Path) -> bool:
    """Whether git has a file on record, so that everybody who sees the repository sees it."""
    return gittree.is_tracked(Path(os.path.realpath(root / path)), to_the_letter=True)


def _git(root: Path, words: list[str], given: str = "") -> str | None:
    """What git says of the repository `root` lies in; None where there is none, or git fails.

    The repository is named, and no program of its configuration runs: a folder that came with a pull request may look
    like one.
    """
    top = gittree.worktree_of(root)
    if top is None:
        return None
    command = ["git", f"--git-dir={top / '.git'}", f"--work-tree={top}", "-c", "core.fsmonitor=false"]
    command += words
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_GIT}
    try:
        done = subprocess.run(
            command,
            input=given.encode(errors="surrogateescape"),
            capture_output=True,
            cwd=top,
            env=environment,
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="surrogateescape") if done.returncode in (0, 1) else None
