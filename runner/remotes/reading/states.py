"""The words by which remotes say how far a batch is."""

from __future__ import annotations

from collections.abc import Mapping

from runner.job.observed import Phase

# How `queue` and `job` APIs that were made to look alike spell them [observed in public issues].
_USUAL = {
    **dict.fromkeys(("queued", "in_queue", "pending", "created", "submitted", "waiting", "accepted"), Phase.VALIDATING),
    **dict.fromkeys(("running", "processing", "inprogress", "started", "active"), Phase.RUNNING),
    **dict.fromkeys(("complete", "success", "succeeded", "successful", "done", "finished"), Phase.COMPLETED),
    **dict.fromkeys(("error", "errored", "failure", "rejected", "invalid"), Phase.FAILED),
    **dict.fromkeys(("timeout", "timed_out", "timedout"), Phase.EXPIRED),
    **dict.fromkeys(("canceling", "stopping", "aborting"), Phase.CANCELLING),
    **dict.fromkeys(("canceled", "stopped", "aborted"), Phase.CANCELLED),
}


def phase_of(raw_status: str, known: Mapping[str, str]) -> Phase:
    """By the words that are known of a remote, whatever their case, else by usual ones; any other is UNKNOWN."""
    word = _spelled(raw_status)
    found = next((phase for raw, phase in known.items() if _spelled(raw) == word), None)
    return Phase(found) if found else _USUAL.get(word, Phase.UNKNOWN)


def _spelled(word: str) -> str:
    return word.strip().lower().replace("-", "_").replace(" ", "_")
