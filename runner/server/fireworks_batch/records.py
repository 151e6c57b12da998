"""What the server remembers of a dataset. Its files are in the world's table of files."""

from __future__ import annotations

import msgspec

RESULTS = "BIJOutputSet.jsonl"
ERRORS = "error-data"


class StoredDataset(msgspec.Struct, frozen=True, omit_defaults=True):
    """One dataset. Times are Unix seconds. `files` maps names to the ids of what is stored, `slots` to the sizes that
    an upload in parts has announced; `looks_left` is how often it still shows UPLOADING though it is ready."""

    owner: str
    account: str
    id: str
    created_at: float
    updated_at: float
    display_name: str = ""
    format: str = "FORMAT_UNSPECIFIED"
    example_count: int = 0
    is_stored: bool = False
    looks_left: int = 0
    status_code: str = "OK"
    status_message: str = ""
    is_uploaded: bool = True  # by a user; else a job wrote it
    source_job: str = ""
    files: dict[str, str] = {}
    slots: dict[str, int] = {}

    @property
    def is_ready(self) -> bool:
        return self.is_stored and self.looks_left <= 0


def file_owner(owner: str) -> str:
    """The owner of a dataset's files: not the one whose files the other API lists."""
    return f"{owner}:fireworks"
