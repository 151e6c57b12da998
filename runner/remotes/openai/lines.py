"""Request lines as OpenAI's batches have them: `{"custom_id","method","url","body":{"model",...}}`."""

from __future__ import annotations

import msgspec

from runner.job.body import BodyPlan
from runner.job.project import Job
from runner.remotes.bodies import body_of
from runner.remotes.reading.lines import COMMON
from runner.remotes.vendor import Envelope, Reader


class OpenAILines:
    """Implements `remotes.vendor.Lines`."""

    name = "openai"

    def body(self, job: Job) -> BodyPlan:
        return body_of(job, {"model": job.model.name})

    def envelope(self, endpoint: str) -> Envelope:
        url = msgspec.json.encode(endpoint)
        return Envelope(b'{"custom_id":"', b'","method":"POST","url":' + url + b',"body":', b"}")

    def identity(self, job: Job) -> tuple[str, ...]:
        return ("",)  # the body names the model


READER: Reader = COMMON
LINES = OpenAILines()
