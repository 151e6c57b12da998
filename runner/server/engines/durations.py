"""How long a recording is, from the header of a WAV or FLAC file; else guessed from its size. Reads a few bytes."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

GUESSED_BYTES_PER_SECOND = 16_000  # 128 kbit/s, a usual rate of compressed sound
_MAX_CHUNKS = 64
_MAX_MS = 30 * 86_400_000


# Whoever bills or plans by minutes needs a length even of an MP3, whose header has none: a guess by size, the same each
# time.
def of(path: Path, size_bytes: int) -> int:
    """Milliseconds, at least 1."""
    with path.open("rb") as file:
        head = file.read(42)
        if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
            found = _wav(file, size_bytes)
        elif head[:4] == b"fLaC":
            found = _flac(head)
        else:
            found = None
    guessed = size_bytes * 1000 // GUESSED_BYTES_PER_SECOND
    return min(max(guessed if found is None else found, 1), _MAX_MS)


def _wav(file: BinaryIO, size_bytes: int) -> int | None:
    """The data chunk's size over the format chunk's byte rate; a size that the file does not have is not believed."""
    at, rate = 12, 0
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        head = file.read(20)
        if len(head) < 8:
            return None
        size = int.from_bytes(head[4:8], "little")
        if head[:4] == b"fmt " and len(head) == 20:
            rate = int.from_bytes(head[16:20], "little")
        elif head[:4] == b"data" and rate:
            return max(min(size, size_bytes - at - 8), 0) * 1000 // rate
        # chunks are padded to an even length, which their size does not count
        at += 8 + size + size % 2
        if at > size_bytes:
            return None
    return None


def _flac(head: bytes) -> int | None:
    """STREAMINFO, always first: 20 bits of sample rate, 3 of channels, 5 of depth, 36 of total samples (0: unknown)."""
    if len(head) < 26 or head[4] & 0x7F:
        return None
    (packed,) = struct.unpack(">Q", head[18:26])
    rate, samples = packed >> 44, packed & (1 << 36) - 1
    return samples * 1000 // rate if rate and samples else None
