"""The endpoints of the audio batch API. They stand before the control plane's, which takes every other account path."""

from __future__ import annotations

from runner.server.audio.errors import ERROR_STYLE
from runner.server.audio.jobs import Results, Submissions
from runner.server.audio.store import AudioJobStore
from runner.server.endpoint import Effect, Endpoint, threaded

# Source: Fireworks, "Create batch request", which names it in every example. The hosts that answer at once have none.
ENDPOINT = "endpoint_id"
JOB_PATH = "/v1/accounts/{account}/batch_job/{batch_id}"


def endpoints(jobs: AudioJobStore) -> list[Endpoint]:
    transcribe, translate = Submissions(jobs, "transcribe").submit, Submissions(jobs, "translate").submit
    return [
        Endpoint("POST", "/v1/audio/transcriptions", transcribe, ERROR_STYLE, Effect.CREATE, query=ENDPOINT),
        Endpoint("POST", "/v1/audio/translations", translate, ERROR_STYLE, Effect.CREATE, query=ENDPOINT),
        Endpoint("GET", JOB_PATH, threaded(Results(jobs).get), ERROR_STYLE),
    ]
