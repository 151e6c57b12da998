"""Request lines of a batch inference job: `{"custom_id","body":{...}}`. The model is set on the job as a whole."""

from __future__ import annotations

from runner.job.body import BodyPlan
from runner.job.project import Job
from runner.remotes.bodies import body_of
from runner.remotes.reading.lines import COMMON
from runner.remotes.vendor import Envelope, Reader

_DECIDING = ("precision",)  # options that decide an answer


class FireworksLines:
    """Implements `remotes.vendor.Lines`."""

    name = "fireworks"

    def body(self, job: Job) -> BodyPlan:
        return body_of(job, {})

    def envelope(self, endpoint: str) -> Envelope:
        return Envelope(b'{"custom_id":"', b'","body":', b"}")

    def identity(self, job: Job) -> tuple[str, ...]:
        options = job.model.options
        return (job.model.name, *(f"{name}={options[name]}" for name in _DECIDING if name in options))


READER: Reader = COMMON
LINES = FireworksLines()
