"""The name of a submission, `runner-<project>-<set>-<attempt>`, written and read back: by it a remote shows our work.

It names the uploaded file, and the job where we may choose an id.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PREFIX = "runner-"
PROJECT_CHARS = 40  # of a project's name that stand in it
_NAME = re.compile(rf"{PREFIX}(?P<project>.*)-(?P<set>[0-9a-f]{{16}})-(?P<attempt>[0-9]{{1,6}})\Z", re.DOTALL)


class OurName(NamedTuple):
    """What a name of ours says. `project` is its beginning only where it is longer than `PROJECT_CHARS`."""

    project: str
    request_set: str
    attempt: str

    @property
    def key(self) -> str:
        return f"{self.request_set}-{self.attempt}"

    def is_of(self, project: str) -> bool:
        return self.project == project[:PROJECT_CHARS]


def name_of(project: str, key: str) -> str:
    """The name of a submission. key: of the batch, `<set>-<attempt>`."""
    return f"{PREFIX}{project[:PROJECT_CHARS]}-{key}"


def read(name: str) -> OurName | None:
    """What a name says; None for one that is not ours."""
    match = _NAME.match(name)
    return OurName(match["project"], match["set"], match["attempt"]) if match else None
