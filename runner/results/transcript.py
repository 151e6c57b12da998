"""What was heard in one recording, in parts: spliced out of the remote's answer, never encoded again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from runner.mending import NOT_SO
from runner.remotes.reading.verdict import ABSENT, NULL
from runner.results.splice import Merged

_SUFFIXES = {"json": ".json", "verbose_json": ".json", "text": ".txt", "srt": ".srt", "vtt": ".vtt"}
SUFFIXES = frozenset(_SUFFIXES.values())


class Transcript(NamedTuple):
    """All of it JSON, `null` where the remote did not say."""

    file: bytes
    duration: bytes  # seconds: as the remote measured it, else as we did
    language: bytes
    text: bytes  # of any format: subtitles are text too
    words: bytes
    segments: bytes
    speakers: bytes  # their ids, in order of appearance


class _Row(Struct, gc=False):
    file: Raw = ABSENT
    duration_s: Raw = ABSENT


class _Body(Struct, gc=False):
    duration: Raw = ABSENT
    language: Raw = ABSENT
    words: Raw = ABSENT
    segments: Raw = ABSENT


class _Spoken(Struct, gc=False):
    speaker_id: str | int | None = None


_decode_row = msgspec.json.Decoder(_Row).decode
_decode_body = msgspec.json.Decoder(_Body | None).decode
_decode_spoken = msgspec.json.Decoder(list[_Spoken]).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


def suffix_of(fields: Mapping[str, str]) -> str:
    """How a transcript file ends, by the fields it was asked for with; the remotes' own default is `json`."""
    return _SUFFIXES.get(fields.get("response_format", "json"), ".txt")


def transcript_of(merged: Merged) -> Transcript:
    """The parts of one line; of a recording without an answer only its file and how long it is."""
    row = _decode_row(merged.row)
    try:
        body = _decode_body(merged.response) or _Body()
    except NOT_SO:  # text, or an answer in a shape of its own
        body = _Body()
    words, segments = _if_starts(body.words, b"["), _if_starts(body.segments, b"[")
    duration = _if_starts(body.duration, b"0123456789")
    return Transcript(
        file=bytes(row.file) or _encode(merged.custom_id),
        duration=(bytes(row.duration_s) or NULL) if duration == NULL else duration,
        language=_if_starts(body.language, b'"'),
        text=merged.answer,
        words=words,
        segments=segments,
        speakers=_speakers((words, segments)) if b'"speaker_id"' in merged.response else NULL,
    )


def content_of(merged: Merged, suffix: str) -> bytes | None:
    """What the transcript file of one line holds; None without an answer.

    Text and subtitles stand in it exactly as the remote wrote them, JSON as one line.
    """
    if merged.error != NULL or merged.response == NULL:
        return None
    if suffix == ".json" or merged.answer[:1] != b'"':
        return merged.response + b"\n"
    return _decode_text(merged.answer).encode()


def _if_starts(value: Raw, kind: bytes) -> bytes:
    """A value of the kind whose first character is in `kind`, else `null`."""
    found = bytes(value)
    return found if found[:1] and found[:1] in kind else NULL


def _speakers(spoken: Iterable[bytes]) -> bytes:
    seen: dict[str | int, None] = {}
    for part in spoken:
        try:
            found = [] if part == NULL else _decode_spoken(part)
        except NOT_SO:
            continue
        seen.update(dict.fromkeys(one.speaker_id for one in found if one.speaker_id is not None))
    return _encode(list(seen)) if seen else NULL
