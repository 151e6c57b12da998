"""From the remote's JSON to our nouns: the receipt of a submission, and what became of a recording.

Only `submitted`, `processing` and `completed` are documented; how a failure looks is not. So words for an end that
failed are read as such, any other word as not yet ended, and an answer that holds an error as a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runner.errors import OutcomeUnknown
from runner.job.observed import Phase
from runner.remotes.audio import Heard, Receipt, is_plain_text, json_object_in
from runner.remotes.transport.replies import Words, must_be_about, plain, text_in, words_of

_PHASES = {
    "submitted": Phase.RUNNING,
    "processing": Phase.RUNNING,
    "queued": Phase.RUNNING,
    "pending": Phase.RUNNING,
    "running": Phase.RUNNING,
    "completed": Phase.COMPLETED,
    "failed": Phase.FAILED,
    "error": Phase.FAILED,
    "expired": Phase.FAILED,
    "cancelled": Phase.FAILED,
    "canceled": Phase.FAILED,
}
_CODES = {"expired": "batch_expired", "cancelled": "batch_cancelled", "canceled": "batch_cancelled"}
_LONGEST_NAME = 512  # characters
_NO_BODY = "no_result"  # as a batch says it of a request without an answer: asking again may help


def receipt_in(answer: Any) -> Receipt:
    """What `look` will need. Raises OutcomeUnknown for an answer without it: something may have been accepted."""
    raw = answer if isinstance(answer, Mapping) else {}
    remote_id, account = _name_in(raw, "batch_id"), _name_in(raw, "account_id")
    is_usable = all(name not in (".", "..") and name.isprintable() for name in (remote_id, account))
    if not remote_id or not is_usable or max(len(remote_id), len(account)) > _LONGEST_NAME:
        said = plain(msgspec.json.encode(answer).decode())
        raise OutcomeUnknown(f"the remote took a recording and gave no usable `batch_id`: {said}")
    return Receipt(remote_id, account)


def heard_in(raw: Mapping[str, Any], remote_id: str) -> Heard:
    """What became of one recording. Raises OutcomeUnknown for an answer about another one."""
    must_be_about(remote_id, _name_in(raw, "batch_id") or remote_id)
    raw_status = plain(text_in(raw, "status"))
    word = raw_status.strip().lower()
    phase = _PHASES.get(word, Phase.UNKNOWN)
    message = plain(text_in(raw, "message"))
    content_type = plain(text_in(raw, "content_type"))
    body = raw.get("body")
    if body is not None and not isinstance(body, str):
        body, content_type = msgspec.json.encode(body).decode(), content_type or "application/json"
    if phase is Phase.FAILED:
        words = words_of(body.encode()) if body else Words("", None)
        said = message or words.message or f"the remote says `{raw_status}`"
        return Heard(phase, raw_status, message=said, code=_CODES.get(word) or words.code or word)
    if phase is not Phase.COMPLETED:
        return Heard(phase, raw_status, message=message)
    is_text = is_plain_text(content_type)  # silence makes an empty one
    if body is None or (not body.strip() and not is_text):
        said = message or "the remote says `completed` and gives no answer"
        return Heard(Phase.FAILED, raw_status, message=said, code=_NO_BODY)
    found = None if is_text else json_object_in(body)
    if found is not None and _is_error(found.get("error")):
        words = words_of(body.encode())
        return Heard(Phase.FAILED, raw_status, message=words.message or message, code=words.code or "error")
    return Heard(phase, raw_status, body, content_type, message)


def _is_error(error: object) -> bool:
    if isinstance(error, Mapping):
        return any(value not in (None, "") for value in error.values())
    return error not in (None, "", False)


def _name_in(raw: Mapping[str, Any], key: str) -> str:
    """An id, also where it is written as a number; empty without one."""
    value = raw.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) else ""
