"""From the remote's JSON to our nouns. Lenient where look-alikes differ, and honest where nothing can be known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from runner.errors import OutcomeUnknown
from runner.job.observed import Counts, Failure, FailureKind, Observed, Phase, ResultFile
from runner.job.outcomes import is_out_of_money
from runner.remotes.openai.labels import label_in
from runner.remotes.openai.profiles import ErrorRule, Profile
from runner.remotes.reading import states
from runner.remotes.reading.values import count_of, hours_of, time_of
from runner.remotes.transport.replies import map_in, object_in, plain, shown, text_in, within

_ENDED_AT = {
    Phase.COMPLETED: "completed_at",
    Phase.FAILED: "failed_at",
    Phase.EXPIRED: "expired_at",
    Phase.CANCELLED: "cancelled_at",
}
_MONEY = ("billing hard limit", "you exceeded your current quota", "insufficient balance")  # how messages begin


def observed_of(answer: Any, profile: Profile) -> Observed:
    """One batch object. Raises OutcomeUnknown when it has no id."""
    raw = object_in(answer, "a poll of a batch")
    remote_id = text_in(raw, "id")
    if not remote_id:
        raise OutcomeUnknown(f"the remote showed a batch without an id: {shown(raw)}")
    raw_status = text_in(raw, "status")
    phase = phase_of(raw_status, profile)
    counts = _counts_in(raw, profile)
    usage = map_in(raw, "usage")
    return Observed(
        remote_id=remote_id,
        phase=phase,
        raw_status=raw_status,
        counts=counts or Counts(),
        created_at=time_of(raw.get("created_at")),
        ended_at=time_of(raw.get(_ENDED_AT[phase])) if phase in _ENDED_AT else None,
        expires_at=time_of(raw.get("expires_at")),
        window_hours=hours_of(raw.get("completion_window")),
        endpoint=text_in(raw, "endpoint"),
        label=label_in(raw.get("metadata"), profile.metadata),
        input_ref=text_in(raw, "input_file_id"),
        result_files=_files_in(raw),
        results_are_final=_results_are_final(raw, phase, counts),
        stall=_details_in(raw) if not phase.has_ended else "",
        failure=_failure_of(raw, profile) if phase is Phase.FAILED else None,
        input_tokens=_tokens(usage, "input_tokens", "prompt_tokens"),
        output_tokens=_tokens(usage, "output_tokens", "completion_tokens"),
    )


def phase_of(raw_status: str, profile: Profile) -> Phase:
    """By the profile's words, else by usual ones; any other is UNKNOWN, never an end."""
    return states.phase_of(raw_status, profile.status_map)


def _files_in(raw: Mapping[str, Any]) -> tuple[ResultFile, ...]:
    named = (("output", text_in(raw, "output_file_id")), ("error", text_in(raw, "error_file_id")))
    return tuple(ResultFile(ref, kind) for kind, ref in named if ref)


def _results_are_final(raw: Mapping[str, Any], phase: Phase, counts: Counts | None) -> bool:
    """False while an ended batch owes us a file.

    A batch can read `completed` for a moment before the ids of its files are there, and name the one before the other.
    It owes an output where rows succeeded, and a file of errors where rows failed; without counts, any file at all.
    Counts may be wrong, so what is owed is only waited for, and not for ever: lines for all rows settle it.
    """
    if not phase.has_ended or phase is Phase.FAILED:
        return True
    has_output, has_errors = bool(text_in(raw, "output_file_id")), bool(text_in(raw, "error_file_id"))
    if counts is not None and counts.total > 0:
        return (has_output or counts.completed == 0) and (has_errors or counts.failed == 0)
    return has_output or has_errors or phase is not Phase.COMPLETED


def _counts_in(raw: Mapping[str, Any], profile: Profile) -> Counts | None:
    """None where the remote says nothing: unset until validation ends, and never set by some."""
    fields = profile.counts
    found = within(raw, fields.path)
    if found is None:
        return None
    return Counts(*(count_of(found.get(name)) or 0 for name in (fields.total, fields.ok, fields.failed)))


def _tokens(usage: Mapping[str, Any], *names: str) -> int | None:
    return next((count for name in names if (count := count_of(usage.get(name))) is not None), None)


def window_of(hours: int, profile: Profile) -> str:
    """The `completion_window` to send."""
    if profile.window.units == "d" and hours > 24 and hours % 24 == 0:
        return f"{hours // 24}d"
    return f"{hours}h"


def failure_in(errors: Any, profile: Profile) -> Failure:
    """Why a whole batch failed: of several reasons the first we recognize, else the first."""
    found = [_failure(error, profile) for error in _listed(errors)]
    if not found:
        return Failure(FailureKind.OTHER, "", "the remote gave no reason")
    known = (failure for failure in found if failure.kind is not FailureKind.OTHER)
    return replace(next(known, found[0]), lines=len(found))


def _failure_of(raw: Mapping[str, Any], profile: Profile) -> Failure:
    """The reasons a failed batch gives, or else the details of its status."""
    failure = failure_in(raw.get("errors"), profile)
    details = _details_in(raw)
    return failure if raw.get("errors") or not details else Failure(failure.kind, failure.code, details)


def _details_in(raw: Mapping[str, Any]) -> str:
    """What some remotes say beside the word of a status; empty where they say nothing."""
    details = raw.get("status_details")
    if isinstance(details, Mapping):
        details = details.get("message") or details.get("reason") or (dict(details) if details else "")
    return plain(str(details)) if details else ""


def _listed(errors: Any) -> Sequence[Any]:
    """`{"data": [...]}`, a bare list, one object, or one text."""
    if isinstance(errors, Mapping) and isinstance(errors.get("data"), list):
        errors = errors["data"]
    if isinstance(errors, list):
        return [error for error in errors if error]
    return [errors] if errors else []


def _failure(error: Any, profile: Profile) -> Failure:
    if not isinstance(error, Mapping):
        code, param, line, message = "", "", None, str(error)
    else:
        code = str(error.get("code") or "")
        param = text_in(error, "param")
        line = count_of(error.get("line"))
        message = str(error.get("message") or error.get("error") or "")
    kind = _kind_of(code, param, message, profile)
    if kind is FailureKind.OTHER and line is not None:
        kind = FailureKind.BAD_INPUT  # it stands in a line of ours, whatever it is called
    return Failure(kind, plain(code), plain(f"line {line}: {message}" if line else message))


def _kind_of(code: str, param: str, message: str, profile: Profile) -> FailureKind:
    """By code, then by the beginning of the message. The file's visibility comes first: its code means other
    things as well and only the parameter tells."""
    if is_out_of_money(code) or message.lower().lstrip().startswith(_MONEY):
        return FailureKind.OUT_OF_MONEY
    rules = (
        (FailureKind.FILE_NOT_VISIBLE, profile.file_visibility_error),
        (FailureKind.QUOTA, profile.quota_error),
        (FailureKind.BAD_INPUT, profile.bad_input_error),
    )
    by_code = (kind for kind, rule in rules if _matches_code(rule, code, param))
    by_prefix = (kind for kind, rule in rules if _matches_prefix(rule, message))
    # "invalid_request" says little: a message that names the quota or the file says more
    return next(by_prefix, None) or next(by_code, FailureKind.OTHER)


def speaks_of_unseen_file(words: str, profile: Profile) -> bool:
    """Whether a create was refused for an upload that the remote does not see. Most say so of a batch, later on."""
    return _kind_of("", "", words, profile) is FailureKind.FILE_NOT_VISIBLE


def _matches_code(rule: ErrorRule, code: str, param: str) -> bool:
    return code.lower() in {known.lower() for known in rule.codes} and (not rule.params or param in rule.params)


def _matches_prefix(rule: ErrorRule, message: str) -> bool:
    return any(message.lstrip().lower().startswith(prefix.lower()) for prefix in rule.prefixes)
