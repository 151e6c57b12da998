"""The address of a job or of one cell of a matrix, and the one way to print it."""

from __future__ import annotations

import re
from collections.abc import Mapping

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")


def address_of(job: str, cell: Mapping[str, str] | None = None) -> str:
    """`capitals`, or `compare:model=llama,prompt=short`: sorted keys, no brackets, so no shell quoting."""
    if not cell:
        return job
    return f"{job}:" + ",".join(f"{key}={cell[key]}" for key in sorted(cell))


def matches(address: str, pattern: str) -> bool:
    """Whether a user who typed `pattern` means `address`: the job, one cell of it, or all of its cells."""
    return address == pattern or address.startswith(pattern + ":")
