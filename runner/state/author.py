"""Who writes to a memory, by which command: what every event of its log is signed with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import msgspec

from runner.clock import Clock
from runner.gittree import head_of

# What a CI says of who set it off. Source: docs.github.com "Variables reference", docs.gitlab.com "Predefined CI/CD
# variables" (2026-11-29)
_ACTORS = (("GITHUB_ACTIONS", "GITHUB_ACTOR", "github"), ("GITLAB_CI", "GITLAB_USER_LOGIN", "gitlab"))


class Author(msgspec.Struct, frozen=True, dict=True):
    """One command over the project at `root`. Nothing of it is looked up before something is written."""

    command: str
    clock: Clock
    root: Path
    environ: Mapping[str, str]

    @property
    def signature(self) -> dict[str, object]:
        """Fields of an event that happens now."""
        return {"who": self.who, "command": self.command, "revision": self.revision, "at": self.clock.now()}

    @cached_property
    def who(self) -> str:
        """`user@host`, a label that proves nothing; in a CI who set it off: `octocat@github`."""
        for mark, name, place in _ACTORS:
            if self.environ.get(mark) and (actor := self.environ.get(name)):
                return _label(f"{actor}@{place}")
        import getpass  # not before something is written
        import socket

        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # no such user, as in a container of another's uid
            user = "?"
        return _label(f"{user}@{socket.gethostname()}")

    @cached_property
    def revision(self) -> str:
        """The commit that is checked out around the project; empty outside of git."""
        return head_of(self.root)


def _label(words: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in words)[:100]
