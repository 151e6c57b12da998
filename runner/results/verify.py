"""Facts about a whole file, streamed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from runner.results.lines import CHUNK_BYTES


def count_lines(path: Path) -> int:
    """Lines that are not empty bytes: every b"\\n", and what follows the last one. Raises OSError."""
    lines, ends_whole = 0, True
    with path.open("rb", buffering=0) as source:
        while chunk := source.read(CHUNK_BYTES):
            lines += chunk.count(b"\n")
            ends_whole = chunk.endswith(b"\n")
    return lines + (not ends_whole)


def sha256_of(path: Path) -> str:
    """64 hex characters. Raises OSError."""
    with path.open("rb", buffering=0) as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
