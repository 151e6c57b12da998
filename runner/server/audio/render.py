"""A transcript in the five formats, byte by byte as clients read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from runner.server.audio.cues import Segment, segments, tidy
from runner.server.audio.records import COMPLETED, AudioOutcome, Wish
from runner.server.engines.asr import TimedTranscript, Word

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
_LANGUAGE_OF = {"translate": "en"}


def rendered(transcript: TimedTranscript, wish: Wish) -> AudioOutcome:
    """The result of a job as its body and content type."""
    transcript = tidy(transcript)
    content_type = JSON if wish.response_format in ("json", "verbose_json") else TEXT
    return AudioOutcome(COMPLETED, _FORMATS[wish.response_format](transcript, wish), content_type)


def plain_text(transcript: TimedTranscript, wish: Wish) -> str:
    """One of the formats that are no JSON, of a tidy transcript."""
    return _FORMATS[wish.response_format](transcript, wish)


def _text(transcript: TimedTranscript, wish: Wish) -> str:
    return " ".join(word.text for word in transcript.words)


def _json(transcript: TimedTranscript, wish: Wish) -> str:
    return _encoded({"text": _text(transcript, wish)})


def _srt(transcript: TimedTranscript, wish: Wish) -> str:
    """SubRip: numbered from 1, a comma before the milliseconds, an empty line after each cue."""
    return "".join(
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n{_arrowless(cue.text)}\n\n"
        for number, cue in enumerate(segments(transcript.words), 1)
    )


def _vtt(transcript: TimedTranscript, wish: Wish) -> str:
    """WebVTT: its header, a point before the milliseconds, `&`, `<` and `>` escaped."""
    cues = (
        f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{_escaped(cue.text)}\n\n"
        for cue in segments(transcript.words)
    )
    return "WEBVTT\n\n" + "".join(cues)


def _verbose(transcript: TimedTranscript, wish: Wish) -> str:
    language = _LANGUAGE_OF.get(wish.task, transcript.language)
    words = [_word(word, language) for word in transcript.words] if wish.words else None
    parts = [_segment(i, part) for i, part in enumerate(segments(transcript.words))] if wish.segments else None
    return _encoded(
        {
            "task": wish.task,
            "language": language,
            "duration": _seconds(transcript.duration_ms),
            "text": _text(transcript, wish),
            "words": words,
            "segments": parts,
        }
    )


_FORMATS: Mapping[str, Callable[[TimedTranscript, Wish], str]] = {
    "json": _json,
    "text": _text,
    "srt": _srt,
    "vtt": _vtt,
    "verbose_json": _verbose,
}


def _word(word: Word, language: str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "word": word.text,
        "start": _seconds(word.start_ms),
        "end": _seconds(word.end_ms),
        "language": language,
        "probability": word.probability,
        "hallucination_score": 0.0,
    }
    return {**shown, "speaker_id": word.speaker} if word.speaker else shown


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    start, end = _seconds(segment.start_ms), _seconds(segment.end_ms)
    shown: dict[str, Any] = {"id": number, "text": segment.text, "start": start, "end": end}
    speaker = segment.words[0].speaker
    return {**shown, "speaker_id": speaker} if speaker else shown


def _clock(ms: int, point: str) -> str:
    minutes, rest = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"


def _seconds(ms: int) -> float:
    return ms / 1000


# A cue's text that holds an arrow would be read as the times of the next cue.
def _arrowless(text: str) -> str:
    return text.replace("-->", "->")


# WebVTT reads `<` as a tag and `&` as a character's name.
def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()
