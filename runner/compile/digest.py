"""What counts as the same request.

A digest is SHA-256 over a version tag and the parts that decide an answer, each with its length before it, so that
no two parts can blur. A change here makes every request new, and every answer already paid for unused: it takes a
new tag, and golden digests in the tests.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Sequence

import msgspec

from runner.compile.compiled import DIGEST_BYTES

TAG = b"runner-request/1\n"
_STATES = 4096  # half a megabyte


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part


def of(provider: str, endpoint: str, replicate: int, *more: str, body: bytes) -> bytes:
    """32 bytes naming one request. more: what decides its answer and is not in its body, as its vendor says."""
    return digester(provider, endpoint, replicate, *more)(body)


def digester(provider: str, endpoint: str, replicate: int, *more: str, prefix: bytes = b"") -> Digester:
    """body -> digest, with what all requests of a job share hashed once. prefix: the bytes every body begins with."""
    base = hashlib.sha256(TAG)
    for part in (provider, endpoint, str(replicate), *more):
        base.update(_framed(part.encode()))
    return Digester(_Begun(base, prefix), len(prefix))


class _Begun(dict[int, "hashlib._Hash"]):
    """Hashes up to and with the prefix, by size of the body.

    The size is hashed before the body, so one state is kept for each size seen: on a CPU without SHA instructions a
    long system message is most of the cost of a row.
    """

    def __init__(self, base: hashlib._Hash, prefix: bytes) -> None:
        self._base = base
        self._prefix = prefix

    def __missing__(self, size: int) -> hashlib._Hash:
        state = self._base.copy()
        state.update(size.to_bytes(8, "big") + self._prefix)
        if len(self) < _STATES:
            self[size] = state
        return state


class Digester(msgspec.Struct, frozen=True):
    """Digests of bodies that begin with the same `start` bytes."""

    begun: _Begun
    start: int

    def __call__(self, body: bytes) -> bytes:
        return self.each((body,))[0]

    def each(self, bodies: Iterable[bytes]) -> list[bytes]:
        begun, start, found = self.begun, self.start, []
        for body in bodies:
            state = begun[len(body)].copy()
            state.update(body[start:])
            found.append(state.digest())
        return found


def split(digests: Sequence[bytes]) -> tuple[bytes, bytes]:
    """(the keys of some digests, their other halves), each packed."""
    # slices with a step, not a loop over rows
    words = array("Q", b"".join(digests))  # four 64-bit words a digest
    keys = array("Q", bytes(len(words) * 4))
    rest = array("Q", keys)
    keys[0::2], keys[1::2], rest[0::2], rest[1::2] = words[0::4], words[1::4], words[2::4], words[3::4]
    return keys.tobytes(), rest.tobytes()


def joined(packed_keys: bytes, packed_rest: bytes) -> list[bytes]:
    """The digests whose halves these are."""
    keys, rest = array("Q", packed_keys), array("Q", packed_rest)
    words = array("Q", bytes(len(keys) * 16))
    words[0::4], words[1::4], words[2::4], words[3::4] = keys[0::2], keys[1::2], rest[0::2], rest[1::2]
    packed = words.tobytes()
    return [packed[at : at + DIGEST_BYTES] for at in range(0, len(packed), DIGEST_BYTES)]
