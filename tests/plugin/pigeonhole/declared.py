"""What specs may say about a pigeonhole, which is made up."""

from __future__ import annotations

from runner.fields import Fields, Maybe, Seconds
from runner.job.capabilities import Content
from runner.job.project import ENDPOINTS, Provider
from runner.remotes.vendor import Declared

KIND = "pigeonhole"


class Overrides(Fields):
    """How one pigeonhole differs from another."""

    settle_s: Maybe[Seconds] = None
    defer_s: Maybe[Seconds] = None
    min_poll_s: Maybe[Seconds] = None


DECLARED = Declared(
    built_in=(Provider(KIND, KIND),),
    content=frozenset({Content.TEXT}),
    overrides=Overrides,
    endpoints=(ENDPOINTS[0],),
    roles=("system", "user"),
)
