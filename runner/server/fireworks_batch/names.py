"""Resource names and ids: `accounts/{account}/datasets/{id}`, and which ids are legal."""

from __future__ import annotations

import hashlib
import re

from runner.server.errors import ApiError
from runner.server.fireworks_batch.errors import invalid

DATASETS = "datasets"
JOBS = "batchInferenceJobs"
_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MODEL = re.compile(r"accounts/[^/]+/models/([^/]+)")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def full(account: str, collection: str, resource_id: str) -> str:
    return f"accounts/{account}/{collection}/{resource_id}"


def legal_id(text: str, what: str) -> str:
    """1 to 63 of `a-z 0-9 -`, beginning with a letter and not ending with `-`. Raises ApiError 400."""
    if not _ID.fullmatch(text):
        rule = "1 to 63 lowercase letters, digits and hyphens, first a letter, last no hyphen"
        raise invalid(f'invalid {what} "{text[:80]}": must have {rule}')
    return text


def id_in(text: str, account: str, collection: str, what: str) -> str:
    """The id in a full resource name of this account, or in a bare id. Raises ApiError 400 and 403."""
    if "/" not in text:
        return legal_id(text, what)
    parts = text.split("/")
    if len(parts) != 4 or parts[0] != "accounts" or parts[2] != collection:
        raise invalid(f'invalid {what} "{text[:160]}": want accounts/{account}/{collection}/<id>')
    if parts[1] != account:
        raise ApiError(403, f'{what} "{text[:160]}" belongs to another account')
    return legal_id(parts[3], what)


def engine_of(model: str) -> str:
    """The last segment of a full model name: `echo` and its like are engines here. Raises ApiError 400."""
    found = _MODEL.fullmatch(model)
    if found is None:
        raise invalid(f'invalid model "{model[:160]}": want accounts/<owner>/models/<id>')
    return found[1]


def batch_id(owner: str, account: str, job_id: str) -> str:
    """The server's own id of a job: the same name always gives the same one, so a name is taken once."""
    name = "\0".join((owner, account, job_id)).encode()
    return f"fw_{hashlib.blake2b(name, digest_size=16).hexdigest()}"


def allocated(prefix: str, number: int) -> str:
    """`prefix` and eight of `a-z0-9`, made of a random number."""
    out = ""
    for _ in range(8):
        number, digit = divmod(number, len(_LETTERS))
        out += _LETTERS[digit]
    return prefix + out
