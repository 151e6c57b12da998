"""Whatever an engine says it heard, what clients get is valid: times inside, in order, files in their formats."""

from __future__ import annotations

import re

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from runner.server.audio.cues import MAX_SEGMENT_CHARS, segments, tidy
from runner.server.audio.records import Wish
from runner.server.audio.render import JSON, TEXT, rendered
from runner.server.engines.asr import TimedTranscript, Word

CLOCK = r"(\d\d+):([0-5]\d):([0-5]\d)%s(\d{3})"
SRT_CUE = re.compile(rf"(\d+)\n{CLOCK % ','} --> {CLOCK % ','}\n(.+)\Z")
VTT_CUE = re.compile(rf"{CLOCK % '[.]'} --> {CLOCK % '[.]'}\n(.+)\Z")

times = st.integers(-1_000, 5_000_000)
words = st.builds(
    Word,
    text=st.text(max_size=12) | st.sampled_from(["-->", "a\nb", "<b>&", " ", "\u2028", "WEBVTT"]),
    start_ms=times,
    end_ms=times,
    probability=st.floats(0, 1),
    speaker=st.sampled_from(["", "SPEAKER_00", "SPEAKER_01"]),
)
transcripts = st.builds(TimedTranscript, duration_ms=st.integers(0, 5_000_000), words=st.lists(words, max_size=40))


def wish(response_format: str) -> Wish:
    return Wish("transcribe", response_format=response_format, words=True, segments=True)


def in_ms(parts: tuple[str, ...]) -> int:
    hours, minutes, seconds, ms = map(int, parts)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms


def assert_in_order(spans: list[tuple[int, int]], duration_ms: int) -> None:
    at = 0
    for start, end in spans:
        assert at <= start < end
        at = end
    assert at <= duration_ms


@given(transcripts)
def test_tidy_words_lie_in_the_recording_one_after_the_other(transcript: TimedTranscript) -> None:
    tidied = tidy(transcript)
    assert_in_order([(word.start_ms, word.end_ms) for word in tidied.words], tidied.duration_ms)
    said = sorted(" ".join(word.text.split()) for word in transcript.words if word.text.split())
    assert sorted(word.text for word in tidied.words) == said
    assert tidied.duration_ms == max(transcript.duration_ms, len(tidied.words)) and tidy(tidied) == tidied


@given(transcripts)
def test_words_that_fit_are_left_alone(transcript: TimedTranscript) -> None:
    tidied = tidy(transcript)
    shifted = msgspec.structs.replace(tidied, duration_ms=tidied.duration_ms + 10)
    assert tidy(shifted) == shifted


@given(transcripts)
def test_segments_hold_every_word_once(transcript: TimedTranscript) -> None:
    tidied = tidy(transcript)
    parts = list(segments(tidied.words))
    assert [word for part in parts for word in part.words] == tidied.words
    for part in parts:
        assert len(part.text) <= MAX_SEGMENT_CHARS or len(part.words) == 1
        assert len({word.speaker for word in part.words}) == 1


@given(transcripts)
def test_srt_is_valid(transcript: TimedTranscript) -> None:
    outcome = rendered(transcript, wish("srt"))
    assert outcome.content_type == TEXT and outcome.body is not None
    cues = outcome.body.split("\n\n")
    assert cues.pop() == ""
    spans = []
    for number, cue in enumerate(cues, 1):
        found = SRT_CUE.match(cue)
        assert found is not None and int(found[1]) == number and "-->" not in found[10]
        spans.append((in_ms(found.groups()[1:5]), in_ms(found.groups()[5:9])))
    assert_in_order(spans, tidy(transcript).duration_ms)


@given(transcripts)
def test_vtt_is_valid(transcript: TimedTranscript) -> None:
    outcome = rendered(transcript, wish("vtt"))
    assert outcome.content_type == TEXT and outcome.body is not None
    header, *cues = outcome.body.split("\n\n")
    assert header == "WEBVTT" and cues.pop() == ""
    spans = []
    for cue in cues:
        found = VTT_CUE.match(cue)
        assert found is not None and not set("<>") & set(found[9])
        assert re.sub("&(amp|lt|gt);", "", found[9]).count("&") == 0
        spans.append((in_ms(found.groups()[:4]), in_ms(found.groups()[4:8])))
    assert_in_order(spans, tidy(transcript).duration_ms)


@given(transcripts)
def test_the_formats_agree(transcript: TimedTranscript) -> None:
    found = {name: rendered(transcript, wish(name)) for name in ("json", "text", "verbose_json")}
    assert (found["json"].content_type, found["verbose_json"].content_type) == (JSON, JSON)
    verbose = msgspec.json.decode(found["verbose_json"].body or "")
    assert msgspec.json.decode(found["json"].body or "") == {"text": found["text"].body} == {"text": verbose["text"]}
    spans = [(round(one["start"] * 1000), round(one["end"] * 1000)) for one in verbose["words"]]
    assert_in_order(spans, round(verbose["duration"] * 1000))
    assert [one["id"] for one in verbose["segments"]] == list(range(len(verbose["segments"])))


def test_silence_has_no_words() -> None:
    silence = TimedTranscript(1_000)
    assert [rendered(silence, wish(name)).body for name in ("text", "srt", "vtt")] == ["", "", "WEBVTT\n\n"]


def test_hours_are_shown_in_full() -> None:
    late = TimedTranscript(400_000_000, [Word("late", 363_599_999, 399_999_999)])
    assert rendered(late, wish("srt")).body == "1\n100:59:59,999 --> 111:06:39,999\nlate\n\n"
