"""What specs may say about a pigeonhole, which is made up."""

from __future__ import annotations

from pigeonhole import Profile

from runner.job.capabilities import Content
from runner.job.project import ENDPOINTS
from runner.remotes.overrides import overrides_of
from runner.remotes.vendor import Declared

KIND = "pigeonhole"

DECLARED = Declared(
    content=frozenset({Content.TEXT}),
    overrides=overrides_of(Profile, "PigeonholeOverrides"),
    endpoints=(ENDPOINTS[0],),
    roles=("system", "user"),
)
