"""A large file known by the digests of its pieces: whoever writes it anew hashes only what is new in it.

Together the pieces say what the whole file holds, byte for byte, as one digest over it does.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable

from runner.files import BUFFER_BYTES

_PIECE = struct.Struct(">Q32s")


def packed(pieces: Iterable[tuple[int, bytes]]) -> bytes:
    """The pieces of a file, in order. Each: its bytes, and their SHA-256."""
    return b"".join(_PIECE.pack(*piece) for piece in pieces)


def are_all_of(descriptor: int, pieces: bytes) -> bool:
    """Whether a file is made of just these, packed. Reads it to the first that differs. Raises OSError."""
    at = 0
    if len(pieces) % _PIECE.size or os.fstat(descriptor).st_size != sum(size for size, _ in _PIECE.iter_unpack(pieces)):
        return False
    for size, sha256 in _PIECE.iter_unpack(pieces):
        if sha256_at(descriptor, at, size) != sha256:
            return False
        at += size
    return True


def sha256_at(descriptor: int, at: int, size: int) -> bytes:
    """Of so many bytes of a file. Raises OSError where it has fewer."""
    found = hashlib.sha256()
    while size:
        some = os.pread(descriptor, min(size, BUFFER_BYTES), at)
        if not some:
            raise OSError("the file was cut while it was read")
        found.update(some)
        at, size = at + len(some), size - len(some)
    return found.digest()
