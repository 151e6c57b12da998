"""What counts as the same request.

A digest is SHA-256 over a version tag and the parts that decide an answer, each with its length before it, so that
no two parts can blur. A change here makes every request new, and every answer already paid for unused: it takes a
new tag, and golden digests in the tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

TAG = b"runner-request/1\n"
_STATES = 4096  # half a megabyte


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part


def of(provider: str, endpoint: str, replicate: int, model: str, body: bytes) -> bytes:
    """32 bytes naming one request. `model` is empty where the body itself names the model."""
    return digester(provider, endpoint, replicate, model)(body)


def digester(provider: str, endpoint: str, replicate: int, model: str, prefix: bytes = b"") -> Callable[[bytes], bytes]:
    """body -> digest, with what all requests of a job share hashed once.

    prefix: the bytes every body begins with. The length of a body is hashed before it, so one state is kept for each
    length seen: on a CPU without SHA instructions a long system message is most of the cost of a row.
    """
    base = hashlib.sha256(TAG)
    for part in (provider, endpoint, str(replicate), model):
        base.update(_framed(part.encode()))
    begun: dict[int, hashlib._Hash] = {}
    start = len(prefix)

    def digest(body: bytes) -> bytes:
        size = len(body)
        state = begun.get(size)
        if state is None:
            state = base.copy()
            state.update(size.to_bytes(8, "big") + prefix)
            if len(begun) < _STATES:
                begun[size] = state
        state = state.copy()
        state.update(body[start:])
        return state.digest()

    return digest
