"""Speech to text: an engine takes one recording on the disk and gives its words with times. It knows no form or job."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from runner.server.engines.base import Loadable


class ReceivedRecording(NamedTuple):
    """What is to be transcribed, and how. The file has no suffix: its format is told by its bytes."""

    path: Path
    sha256: str
    size_bytes: int
    task: str = "transcribe"  # or `translate`: into English
    language: str = ""  # spoken in it; empty: not said
    diarize: bool = False


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """One word; milliseconds from the start of the recording."""

    text: str
    start_ms: int
    end_ms: int
    probability: float = 1.0
    speaker: str = ""


class TimedTranscript(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an engine heard. `language` is that of the words."""

    duration_ms: int
    words: list[Word] = []
    language: str = "en"


class CannotTranscribe(Exception):
    """This recording cannot be transcribed, and never will be; the message says why."""


class Abilities(NamedTuple):
    """What an engine can do, known before it is loaded. `languages` empty: any."""

    diarizes: bool = False
    translates: bool = False
    languages: frozenset[str] = frozenset()


class AsrEngine(Loadable, Protocol):
    """A model that turns speech into text."""

    def transcribe(self, recording: ReceivedRecording) -> TimedTranscript:
        """Its words. Raises CannotHear; called from several threads if `concurrency`."""
        ...


class RefusingAsr:
    """Stands in for a model that does not run here."""

    concurrency = 0

    def prepare(self) -> None:
        return None

    def close(self) -> None:
        return None

    def transcribe(self, recording: ReceivedRecording) -> TimedTranscript:
        raise CannotTranscribe("the model does not run on this server")
