"""The fault lab's part in audio jobs: which recordings it spoils, and how."""

from __future__ import annotations

import msgspec

from runner.server.audio.records import COMPLETED, AudioJob, Outcome
from runner.server.audio.render import JSON
from runner.server.faults.switches import Faults, Setting

_MESSAGE = "The recording could not be processed (a fault)."


def struck(faults: Faults, job: AudioJob, outcome: Outcome) -> Outcome:
    """The outcome of a job, as the faults that are on leave it; the same for the same recording each time."""
    failed = _hit(faults, "audio_failed", job)
    if failed is not None:
        return Outcome(failed.text("word"), message=failed.text("message"))
    if outcome.status != COMPLETED:
        return outcome
    wrong = _hit(faults, "audio_error_body", job)
    if wrong is not None:
        error: object = _MESSAGE
        if wrong.text("form") == "object":
            error = {"object": "error", "type": "server_error", "message": _MESSAGE}
        return Outcome(COMPLETED, msgspec.json.encode({"error": error}).decode(), JSON)
    if _hit(faults, "audio_no_body", job) is not None:
        outcome = outcome._replace(body=None)
    odd = _hit(faults, "audio_content_type", job)
    return outcome if odd is None else outcome._replace(content_type=odd.text("type"))


def _hit(faults: Faults, name: str, job: AudioJob) -> Setting | None:
    setting = faults.look(name)
    if setting is None:
        return None
    is_named = any(word in job.filename for word in setting.text("match").split())
    return setting if is_named or int(job.sha256[:16], 16) < setting.value * 2**64 else None
