"""Errors in remotes' own words, and what they mean: whether asking again may help."""

from __future__ import annotations

from typing import Any

import msgspec

from runner.job.outcomes import Outcome, is_out_of_money
from runner.remotes.reading.verdict import Fault

_RETRY_CODES = frozenset(
    (
        "batch_expired",
        "expired",
        "request_timeout",
        "timeout",
        "rate_limit_exceeded",
        "server_error",
        "internal_error",
        "internal_server_error",
        "service_unavailable",
        "overloaded",
        "no_result",
        "no_answer",  # a success that holds none
        "no_body",  # a recording that is completed and has no answer
        "not_sent",  # a recording whose file was gone: nothing was asked
    )
)
_LOST_CODES = frozenset(("batch_cancelled", "batch_canceled", "cancelled", "canceled", "lost"))
_RETRY_STATUS = frozenset((408, 409, 425, 429))
# google.rpc codes, as gateways put them in `code`: unknown, deadline, exhausted, aborted, internal, unavailable.
_RETRY_RPC = frozenset((2, 4, 8, 10, 13, 14))


def outcome_of(fault: Fault) -> Outcome:
    """Whether asking again may help: by code first, then by HTTP status.

    What is neither is final, such as a recording that the remote says has `failed`: the same bytes fail again, each
    time at full price. `runner retry` asks again all the same.
    """
    code, status = fault.code, fault.status
    if code in _LOST_CODES:
        return Outcome.LOST
    if is_out_of_money(code, status):
        return Outcome.UNPAID
    if code in _RETRY_CODES or (code.isdecimal() and len(code) < 3 and int(code) in _RETRY_RPC):
        return Outcome.RETRY
    if status is not None and (status in _RETRY_STATUS or status >= 500):
        return Outcome.RETRY
    return Outcome.FINAL


def is_empty(error: Any) -> bool:
    """Some dialects write `""`, `{}` or an object of nulls where others write null."""
    if isinstance(error, dict):
        return all(value is None or value == "" for value in error.values())
    return error is None or error == ""


def fault_in(error: Any, status: int | None) -> Fault:
    """What an error of a line says, whatever it is made of. status: of the line, where it has one."""
    if not isinstance(error, dict):
        return Fault("error", error if isinstance(error, str) else _text(error), status)
    codes = [_text(error[name]) for name in ("code", "type") if not is_empty(error.get(name))]
    code = next(filter(is_out_of_money, codes), codes[0] if codes else "error")  # some put the status in `code`
    message = next((_text(error[name]) for name in ("message", "detail") if not is_empty(error.get(name))), "")
    if status is None or 200 <= status < 300:
        said = whole(error.get("status_code")) or whole(error.get("status")) or whole(error.get("code"))
        if said is not None and 400 <= said < 600:
            status = said
    return Fault(code, message, status)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def whole(value: Any) -> int | None:
    """A small whole number, also where a dialect writes `200.0` or `"200"`."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) < 1 << 53 else None
