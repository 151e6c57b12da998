"""Files that are packed with zstd, for tests that read some."""

from __future__ import annotations

from runner.zstd import ZstdCompressor


def squeezed(data: bytes) -> bytes:
    """One frame."""
    return ZstdCompressor().compress(data, ZstdCompressor.FLUSH_FRAME)
