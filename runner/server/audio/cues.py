"""Words with times made fit to be shown: inside the recording, one after the other, in segments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from runner.server.engines.asr import TimedTranscript, Word

PAUSE_MS = 500
MAX_SEGMENT_MS = 10_000
MAX_SEGMENT_CHARS = 84  # two lines of subtitles


class Segment(NamedTuple):
    """Some words in a row, at least one."""

    words: list[Word]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def start_ms(self) -> int:
        return self.words[0].start_ms

    @property
    def end_ms(self) -> int:
        return self.words[-1].end_ms


def tidy(transcript: TimedTranscript) -> TimedTranscript:
    """The words in order, each at least 1 ms long, none overlapping, none outside the recording.

    Texts are free of line ends and other odd spaces. A recording with more words than milliseconds gets longer.
    """
    words = [word for word in map(_spaced, transcript.words) if word.text]
    words.sort(key=lambda word: (word.start_ms, word.end_ms))
    duration = max(transcript.duration_ms, len(words), 0)
    out: list[Word] = []
    at = 0
    # Engines time words loosely: two may overlap, one may end before it begins, the last may lie behind the end.
    # Subtitles may not. One pass forward puts each word behind the one before; that can push the last ones out of the
    # recording, so a pass backward moves them in again, and stops at the first that has room.
    for word in words:  # no earlier than the one before
        start = max(word.start_ms, at)
        at = max(word.end_ms, start + 1)
        out.append(msgspec.structs.replace(word, start_ms=start, end_ms=at))
    limit = duration
    for index in range(len(out) - 1, -1, -1):  # no later than the one after
        if out[index].end_ms <= limit:
            break
        # each keeps a millisecond, for which there is room: the recording has at least one a word
        start = min(out[index].start_ms, limit - 1)
        out[index] = msgspec.structs.replace(out[index], start_ms=start, end_ms=limit)
        limit = start
    return msgspec.structs.replace(transcript, words=out, duration_ms=duration)


def segments(words: Iterable[Word]) -> Iterator[Segment]:
    """Tidy words, parted at pauses and changes of speaker, and before they get too long to read."""
    current: list[Word] = []
    chars = 0
    for word in words:
        if current and (_is_parted(current, word) or chars + len(word.text) > MAX_SEGMENT_CHARS):
            yield Segment(current)
            current, chars = [], 0
        current.append(word)
        chars += len(word.text) + 1
    if current:
        yield Segment(current)


def _is_parted(current: list[Word], word: Word) -> bool:
    last = current[-1]
    return (
        word.start_ms - last.end_ms >= PAUSE_MS
        or word.end_ms - current[0].start_ms > MAX_SEGMENT_MS
        or word.speaker != last.speaker
    )


def _spaced(word: Word) -> Word:
    text = " ".join(word.text.split())
    return word if text == word.text else msgspec.structs.replace(word, text=text)
