"""What these tests send, and where it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from runner.remotes.fireworks.names import Ids, ids_of
from runner.remotes.fireworks.provider import FireworksProvider
from runner.remotes.vendor import Submission
from tests.remotes.fireworks_jobs.fake import Fake
from tests.remotes.making import SUBMISSION

MODEL = "accounts/fireworks/models/small-chat"
ROWS = b'{"custom_id":"a","body":{}}\n{"custom_id":"b","body":{}}\n{"custom_id":"c","body":{}}\n'
SENT: Submission = replace(SUBMISSION, model=MODEL, rows=3)
IDS: Ids = ids_of(SENT.name)
Opener = Callable[..., FireworksProvider]


def sent_body(fake: Fake) -> Mapping[str, Any]:
    """The body of the last create of a job."""
    calls = [call for call in fake.calls if call.method == "POST" and call.path.endswith("/batchInferenceJobs")]
    found: Mapping[str, Any] = calls[-1].json
    return found
