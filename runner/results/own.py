"""A line of a results file that runner wrote."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from runner.job.finish import FLAWS
from runner.job.outcomes import Outcome, Unsettled
from runner.remotes.reading.verdict import ABSENT, NULL, Unreadable

# Codes of our own, of requests that a remote may have: `held` in files of earlier versions.
MAY_BE_SENT = frozenset(("held", Unsettled.UNKNOWN.word, Unsettled.IN_FLIGHT.word))
_HEX = re.compile(r"[0-9a-f]{64}")


class Cost(NamedTuple):
    """What was used for an answer, each under the name of its column; None where nobody says."""

    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    usd: float | None = None


class Own(Struct):
    """A line of a results file that runner wrote: it names its request by digest, and whose answer it is."""

    digest: str
    origin: str | None  # None for a request that was not asked
    custom_id: str = ""
    batch: str | None = None
    answer: Raw = ABSENT
    finish: str | None = None
    response: Raw = ABSENT
    error: Raw = ABSENT
    error_code: Raw = ABSENT  # where a job chose it in place of `error`; one of the input may be called so
    input_tokens: Raw = ABSENT
    cached_tokens: Raw = ABSENT
    output_tokens: Raw = ABSENT
    usd: Raw = ABSENT


class _OwnError(Struct):
    code: str = ""
    status: int | None = None
    retryable: bool = True


_decode_own = msgspec.json.Decoder(Own).decode
_decode_own_error = msgspec.json.Decoder(_OwnError | None).decode


def read_own(line: bytes) -> tuple[Own, Outcome]:
    """Judge one line of a results file that runner wrote: an answer, a definite error, or anything else (RETRY).

    An answer that a job took for an error since it is none, see `finish`, was paid for all the same: it is an answer.
    So is one without a text in a file that holds no responses.
    Raises Unreadable for what is no such line.
    """
    try:
        own = _decode_own(line)
        if not bytes(own.error) and (code := _code_in(own.error_code)) in FLAWS:
            own.error = Raw(msgspec.json.encode({"code": code, "message": FLAWS[code].message, "status": None}))
        error = _decode_own_error(own.error) if bytes(own.error) else None
        if not line.isascii():
            line.decode()
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except (msgspec.MsgspecError, ValueError):
        raise Unreadable("not a line of a results file") from None
    # What was never sent is of no origin, and its error says so
    if not _HEX.fullmatch(own.digest) or not (own.origin or (own.origin is None and error)):
        raise Unreadable("no digest or no origin")
    has_answer = any(bytes(part) not in (b"", b"null") for part in (own.response, own.answer))
    if not bytes(own.response) and (own.finish or (error is None and bytes(own.error))):
        has_answer = True  # only answers end somehow, and whatever is none is an error
    if error is not None and has_answer and error.code in FLAWS:
        own.finish = own.finish or error.code
        return own, Outcome.OK
    if error is None:
        return own, Outcome.OK if has_answer else Outcome.RETRY
    is_final = not error.retryable and error.status is not None
    return own, Outcome.FINAL if is_final else Outcome.RETRY


def _code_in(raw: Raw) -> str:
    try:
        return _decode_code(bytes(raw) or NULL) or ""
    except msgspec.MsgspecError:
        return ""


_decode_code = msgspec.json.Decoder(str | None).decode
_decode_whole = msgspec.json.Decoder(int | None).decode
_decode_number = msgspec.json.Decoder(float | None).decode


def cost_in(own: Own, names: Collection[str] = Cost._fields) -> Cost | None:
    """What a line says of the cost of its answer where the response, which says it too, is not in it.

    names: the columns that are ours; one of the input may be called so.
    """
    if bytes(own.response) not in (b"", NULL):
        return None
    found: dict[str, float | None] = {}
    for name in names:
        try:
            found[name] = (_decode_number if name == "usd" else _decode_whole)(bytes(getattr(own, name)) or NULL)
        except msgspec.MsgspecError:  # somebody else wrote into it
            continue
    return Cost(**found) if any(value is not None for value in found.values()) else None  # type: ignore[arg-type]


def may_be_sent(own: Own) -> bool:
    """Whether the line says that the remote may have its request, and that no outcome was here."""
    error = _decode_own_error(own.error) if own.origin is None and bytes(own.error) else None
    return error is not None and error.code in MAY_BE_SENT
