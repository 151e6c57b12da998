"""Faults of single rows: which rows fail, and what is put into answers."""

from __future__ import annotations

import hashlib
import re

from runner.server.engines.base import Reply, refusal
from runner.server.faults.switches import Faults, Setting

_TEXT = re.compile(rb'"(content|text)":"(?![{\[\\"])')
_ODD = "\u2028\u2029\u0085\\f".encode()


def error_of(faults: Faults, custom_id: str) -> Reply | None:
    """The made-up error of a row, the same each time it is asked; None where the row is spared."""
    setting = faults.look("row_error")
    if setting is None or not _is_hit(setting, custom_id):
        return None
    status = int(setting.number("status"))
    if status == 0:
        return Reply(0, b"", failure=("request_timeout", "The request timed out (a fault was switched on)."))
    return refusal(status, "injected_fault", "This row fails because the fault `row_error` is switched on.")


def _is_hit(setting: Setting, custom_id: str) -> bool:
    if any(word in custom_id for word in setting.text("match").split()):
        return True
    if setting.value <= 0:
        return False
    name = custom_id[-22:]  # where the digest of the request is, if the client put it there
    score = int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    return score < setting.value * 2**64


def dressed(faults: Faults, reply: Reply) -> Reply:
    """The reply, with characters in its text that careless line splitters trip over."""
    if faults.look("unicode") is None:
        return reply
    return reply._replace(body=_TEXT.sub(lambda found: found[0] + _ODD, reply.body))
