"""Where requests go: what a reviewer sees beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from runner.job.desired import Desired

_OF_THIS_MACHINE = "embedded:"  # an embedded server is named by its folder, and is another one everywhere


class Place(NamedTuple):
    """One provider, model and window, and all else that a batch is sent with."""

    provider: str
    host: str
    account: str
    endpoint: str
    model: str
    window_hours: int
    options: str  # of the model, for a batch as a whole, as JSON
    epoch: int = 0  # of answered requests that are asked again on purpose: the decision to do so


Reviewed = Mapping[Place, bytes]  # requests that a person saw in a plan: sorted keys


def place_of(job: Desired, epoch: int = 0) -> Place:
    host = "" if job.origin.host.startswith(_OF_THIS_MACHINE) else job.origin.host
    options = json.dumps(job.options, sort_keys=True) if job.options else ""
    return Place(job.provider, host, job.origin.account, job.endpoint, job.model, job.window_hours, options, epoch)
