"""What the audio API can get wrong on purpose: statuses shown for some looks, and recordings that end badly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
from starlette.responses import Response

from runner.server.audio import routes
from runner.server.audio.jobs import job_shape, no_such_job
from runner.server.audio.records import COMPLETED, AudioOutcome, StoredAudioJob
from runner.server.audio.render import JSON
from runner.server.audio.store import AudioJobStore
from runner.server.endpoint import ApiCall, Endpoint, Handler
from runner.server.faults.http import Layer, with_layers
from runner.server.faults.switches import FaultSwitches, Setting
from runner.server.world import World

_MISSING = "404 Not Found"
_HIDING = {"audio_missing": _MISSING, "audio_status": "", "audio_processing": "processing"}  # the first that holds
_MESSAGE = "The recording could not be processed (a fault)."


class FaultyAudioJobStore(AudioJobStore):
    """The store, in which some recordings end as the faults that are on will have it."""

    def __init__(self, world: World, faults: FaultSwitches) -> None:
        super().__init__(world)
        self._faults = faults

    def end(self, ended: Iterable[tuple[StoredAudioJob, AudioOutcome]]) -> None:
        super().end((job, apply_faults(self._faults, job, outcome)) for job, outcome in ended)


def apply_faults(faults: FaultSwitches, job: StoredAudioJob, outcome: AudioOutcome) -> AudioOutcome:
    """The outcome of a job, as the faults that are on leave it; the same for the same recording each time."""
    failed = _hit(faults, "audio_failed", job)
    if failed is not None:
        return AudioOutcome(failed.text("word"), message=failed.text("message"))
    if outcome.status != COMPLETED:
        return outcome
    wrong = _hit(faults, "audio_error_body", job)
    if wrong is not None:
        error: object = _MESSAGE
        if wrong.text("form") == "object":
            error = {"object": "error", "type": "server_error", "message": _MESSAGE}
        return AudioOutcome(COMPLETED, msgspec.json.encode({"error": error}).decode(), JSON)
    if _hit(faults, "audio_no_body", job) is not None:
        outcome = outcome._replace(body=None)
    odd = _hit(faults, "audio_content_type", job)
    return outcome if odd is None else outcome._replace(content_type=odd.text("type"))


def _hit(faults: FaultSwitches, name: str, job: StoredAudioJob) -> Setting | None:
    setting = faults.get(name)
    if setting is None:
        return None
    is_named = any(word in job.filename for word in setting.text("match").split())
    return setting if is_named or int(job.sha256[:16], 16) < setting.value * 2**64 else None


def endpoints(jobs: AudioJobStore, faults: FaultSwitches) -> list[Endpoint]:
    """The endpoints of the API, able to fail."""
    return with_layers(routes.endpoints(jobs), {f"GET {routes.JOB_PATH}": _hiding(faults)})


def _hiding(faults: FaultSwitches) -> Layer:
    """Looks at a job that show another status than its own."""
    looks: Counter[str] = Counter()  # by job; counted only while one of these faults is on

    def layer(handler: Handler) -> Handler:
        async def look(call: ApiCall) -> Response:
            response = await handler(call)
            on = {name: setting for name in _HIDING if (setting := faults.get(name)) is not None}
            if not on:
                return response
            job_id = call.path_params["batch_id"]
            # behind the handler: a look at a job that is not there does not count
            looks[job_id] += 1
            for name, setting in on.items():
                if looks[job_id] <= setting.value:
                    return _hidden(job_id, str(setting.options.get("word", _HIDING[name])))
            return response

        return look

    return layer


def _hidden(job_id: str, word: str) -> Response:
    if word == _MISSING:
        raise no_such_job(job_id)
    return Response(msgspec.json.encode(job_shape(job_id, word)), media_type="application/json")
