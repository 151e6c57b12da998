"""A line of a results file that runner wrote."""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw, Struct

from runner.job.finish import FLAWS
from runner.job.outcomes import Outcome, Unsettled
from runner.remotes.reading.verdict import ABSENT, Unreadable

# Codes of our own, of requests that a remote may have: `held` in files of earlier versions.
MAY_BE_SENT = frozenset(("held", Unsettled.UNKNOWN.word, Unsettled.IN_FLIGHT.word))
_HEX = re.compile(r"[0-9a-f]{64}")


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


class _OwnError(Struct):
    code: str = ""
    status: int | None = None
    retryable: bool = True


_decode_own = msgspec.json.Decoder(Own).decode
_decode_own_error = msgspec.json.Decoder(_OwnError | None).decode


def read_own(line: bytes) -> tuple[Own, Outcome]:
    """Judge one line of a results file that runner wrote: an answer, a definite error, or anything else (RETRY).

    An answer that a job took for an error since it is none, see `finish`, was paid for all the same: it is an answer.
    Raises Unreadable for what is no such line.
    """
    try:
        own = _decode_own(line)
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
    if error is None or (has_answer and error.code in FLAWS):
        return own, Outcome.OK if has_answer else Outcome.RETRY
    is_final = not error.retryable and error.status is not None
    return own, Outcome.FINAL if is_final else Outcome.RETRY


def may_be_sent(own: Own) -> bool:
    """Whether the line says that the remote may have its request, and that no outcome was here."""
    error = _decode_own_error(own.error) if own.origin is None and bytes(own.error) else None
    return error is not None and error.code in MAY_BE_SENT
