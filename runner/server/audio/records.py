"""What the server remembers about one recording that it was asked to transcribe or translate."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

COMPLETED = "completed"
FAILED = "failed"


class Wish(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the result is wanted: the fields of the form that change it here."""

    task: str
    model: str = "whisper-v3"
    response_format: str = "json"
    language: str = ""
    words: bool = False
    segments: bool = True
    diarize: bool = False


class StoredAudioJob(msgspec.Struct, frozen=True, omit_defaults=True):
    """One job. `status` is empty until it has ended; its body lies beside it in the database."""

    id: str
    owner: str
    account: str
    endpoint_id: str
    wish: Wish
    filename: str
    size_bytes: int
    sha256: str
    created_at: float
    status: str = ""
    content_type: str | None = None
    message: str | None = None


class AudioOutcome(NamedTuple):
    """How a job ends: its status, and a body or a message."""

    status: str
    body: str | None = None
    content_type: str | None = None
    message: str | None = None
