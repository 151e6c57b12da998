"""From the control plane's JSON to our nouns. Absence, null, `""` and 0 all mean unset there.

Source: contract sections 1, 3.1, 5.2, 5.3 and 8, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from runner.errors import OutcomeUnknown
from runner.job.observed import Counts, Failure, FailureKind, Observed, Phase, ResultFile
from runner.job.outcomes import is_out_of_money
from runner.remotes.fireworks import names
from runner.remotes.fireworks.profile import CHAT
from runner.remotes.reading.values import count_of, hours_of, time_of
from runner.remotes.transport.replies import map_in, object_in, plain, shown, text_in

_DISPLAY_CHARS = 63  # a display name has to stay under 64
_PREFIX = "JOB_STATE_"
_PHASES = {
    "CREATING_INPUT_DATASET": Phase.VALIDATING,
    "VALIDATING": Phase.VALIDATING,
    "PENDING": Phase.VALIDATING,
    "CREATING": Phase.VALIDATING,
    "CREATING_DEPENDENCIES": Phase.VALIDATING,
    "RUNNING": Phase.RUNNING,
    "RE_QUEUEING": Phase.RUNNING,
    "IDLE": Phase.RUNNING,
    "PAUSED": Phase.RUNNING,
    "WRITING_RESULTS": Phase.FINALIZING,
    "FAILED_CLEANING_UP": Phase.FINALIZING,
    "EXPIRED_CLEANING_UP": Phase.FINALIZING,
    "COMPLETED": Phase.COMPLETED,
    "FAILED": Phase.FAILED,
    "EXPIRED": Phase.EXPIRED,
    "EARLY_STOPPED": Phase.EXPIRED,  # partial output, and the rest may be asked again
    "CANCELLING": Phase.CANCELLING,
    "DELETING": Phase.CANCELLING,
    "DELETING_CLEANING_UP": Phase.CANCELLING,
    "CANCELLED": Phase.CANCELLED,
    "DELETED": Phase.CANCELLED,
    "ARCHIVED": Phase.CANCELLED,
}
_MONEY = ("billing", "spending limit", "insufficient funds", "insufficient credits", "payment")  # in messages
_BAD_INPUT = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"})


def whole_in(raw: Mapping[str, Any], *keys: str) -> int:
    """The first of some counts that is set; int64 comes as text, int32 as a number."""
    return next((count for key in keys if (count := count_of(raw.get(key)))), 0)


def hours_in(raw: Mapping[str, Any]) -> int | None:
    """The window, from its duration (`43200s`, in one copy `12h`) or from the times that follow from it."""
    created, expires = time_of(raw.get("createTime")), time_of(raw.get("expireTime"))
    asked = hours_of(raw.get("maxJobDuration"))
    if asked or created is None or expires is None or expires <= created:
        return asked
    return round((expires - created) / timedelta(hours=1))


def duration_of(hours: int) -> str:
    """`43200s`: decimal seconds are the only form that protobuf JSON has."""
    return f"{hours * 3600}s"


def observed_of(answer: Any, files: tuple[ResultFile, ...] = (), is_final: bool = True) -> Observed:
    """One job. Raises OutcomeUnknown when it has no name."""
    raw = object_in(answer, "a poll of a job")
    job_id = names.last(text_in(raw, "name"))
    if not job_id:
        raise OutcomeUnknown(f"the remote showed a job without a name: {shown(raw)}")
    word = text_in(raw, "state").upper().removeprefix(_PREFIX)
    phase = phase_of(word)
    progress = map_in(raw, "jobProgress")
    ended_at = time_of(map_in(raw, "lifecycle").get("endTime")) or time_of(raw.get("updateTime"))
    return Observed(
        remote_id=job_id,
        phase=phase,
        raw_status=f"{word} (waiting on capacity)" if raw.get("waitingOnCapacity") is True else plain(word),
        counts=_counts_in(progress),
        created_at=time_of(raw.get("createTime")),
        ended_at=ended_at if phase.has_ended else None,
        expires_at=time_of(raw.get("expireTime")),
        window_hours=hours_in(raw),
        endpoint=CHAT,
        label=label_in(raw),
        input_ref=names.last(text_in(raw, "inputDatasetId")),
        continued_from=names.last(text_in(raw, "continuedFromJobName")),
        result_files=files,
        results_are_final=is_final,
        failure=failure_in(map_in(raw, "status")) if phase is Phase.FAILED else None,
        input_tokens=whole_in(progress, "inputTokens") or None,
        output_tokens=whole_in(progress, "outputTokens") or None,
    )


def phase_of(state: str) -> Phase:
    """By the contract's table of client classes; a word nobody told us is UNKNOWN and in flight, never an end."""
    return _PHASES.get(state.strip().upper().removeprefix(_PREFIX), Phase.UNKNOWN)


def _counts_in(progress: Mapping[str, Any]) -> Counts:
    """`totalInputRequests` only echoes what we declared, so the rows that were really processed can be more."""
    total = max(whole_in(progress, "totalInputRequests"), whole_in(progress, "totalProcessedRequests"))
    return Counts(total, whole_in(progress, "successfullyProcessedRequests"), whole_in(progress, "failedRequests"))


def failure_in(status: Mapping[str, Any]) -> Failure:
    """Why a whole job failed. In resources `code` is a name; line numbers in the message are not reliable.

    Never a kind that says "the same upload again": a job that failed keeps its id, so the same create would only find
    it again. A queue that is full says so at the create, with 429; what is asked again is a job of its own.
    """
    code = plain(text_in(status, "code"))
    message = plain(text_in(status, "message")) or "the remote gave no reason"
    if is_out_of_money(code) or any(word in message.lower() for word in _MONEY):
        return Failure(FailureKind.OUT_OF_MONEY, code, message)
    return Failure(FailureKind.BAD_INPUT if code in _BAD_INPUT else FailureKind.OTHER, code, message)


def display_name_of(label: Mapping[str, str]) -> str:
    """`capitals/answers:model=llama #0`: project, job and generation, as much as fits. For people, and for us."""
    project, job = label.get("runner_project", ""), label.get("runner_job", "")
    generation = label.get("runner_generation", "0")
    choices = (f"{project}/{job} #{generation}", f"{project} #{generation}", project[:_DISPLAY_CHARS])
    return next(choice for choice in choices if len(choice) <= _DISPLAY_CHARS)


def label_in(raw: Mapping[str, Any]) -> dict[str, str]:
    """What a job of ours says by its names; empty for a job of somebody else.

    `runner_set` has the 16 characters that fit an id. The project comes from the display name, else from the id.
    """
    named = names.read(names.last(text_in(raw, "name")))
    if named is None:
        return {}
    label = {"runner_set": named.request_set, "runner_attempt": named.attempt}
    told, _, generation = text_in(raw, "displayName").rpartition(" #")
    project, _, job = told.partition("/")
    if project and generation.isascii() and generation.isdigit():
        label |= {"runner_project": project, "runner_generation": generation}
    elif named.project:
        label["runner_project"] = named.project
    if "runner_generation" in label and job:
        label["runner_job"] = job
    rows = whole_in(map_in(raw, "jobProgress"), "totalInputRequests")
    if rows:
        label["runner_rows"] = str(rows)
    parent = names.last(text_in(raw, "continuedFromJobName"))
    if parent:
        of_parent = names.read(parent)
        label["runner_parent"] = of_parent.key if of_parent else ""
    return label
