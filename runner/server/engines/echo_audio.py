"""Words made of a recording's bytes: deterministic, without dependencies, and labelled synthetic.

The same bytes always give the same words. The recording itself is not read beyond its header.
"""

from __future__ import annotations

from runner.server.engines import durations
from runner.server.engines.asr import Abilities, ReceivedRecording, TimedTranscript, Word

ABILITIES = Abilities(diarizes=True, translates=True)
# fmt: off
_WORDS = (
    "amber", "anchor", "apple", "arrow", "autumn", "basket", "beacon", "birch", "bridge", "candle", "canvas",
    "cedar", "cherry", "cloud", "clover", "copper", "coral", "cotton", "daisy", "dawn", "delta", "ember", "falcon",
    "feather", "fern", "forest", "garden", "ginger", "glacier", "granite", "harbor", "harvest", "hazel", "heron",
    "island", "ivory", "jasper", "juniper", "kettle", "lantern", "lemon", "linen", "maple", "marble", "meadow",
    "mirror", "nectar", "oak", "olive", "orchid", "pebble", "pepper", "pine", "quartz", "raven", "river", "saffron",
    "silver", "spruce", "stone", "thunder", "velvet", "willow", "winter",
)
# fmt: on
_MAX_WORDS = 400
_WORDS_PER_SECOND = 2
_WORDS_PER_BREATH = 9  # a pause follows


class EchoAsr:
    """The engine behind the model `echo`."""

    concurrency = 0

    def prepare(self) -> None:
        return None

    def close(self) -> None:
        return None

    def transcribe(self, recording: ReceivedRecording) -> TimedTranscript:
        duration = durations.of(recording.path, recording.size_bytes)
        words = f"synthetic {_VERBS[recording.task]} of {recording.size_bytes} bytes {recording.sha256[:16]}".split()
        wanted = min(int(duration * _WORDS_PER_SECOND / 1000), _MAX_WORDS)
        digest = bytes.fromhex(recording.sha256)
        words += [_WORDS[digest[index % 32] % len(_WORDS)] for index in range(wanted - len(words))]
        language = "en" if recording.task == "translate" else recording.language or "en"
        speaker = "SPEAKER_00" if recording.diarize else ""
        return TimedTranscript(duration, list(_timed(words, duration, speaker)), language)


_VERBS = {"transcribe": "transcript", "translate": "translation"}


def _timed(words: list[str], duration_ms: int, speaker: str) -> list[Word]:
    """The words evenly over the recording, with a longer pause now and then."""
    step = duration_ms / len(words)
    out = []
    for index, word in enumerate(words):
        start = int(index * step)
        pause = 0.7 if index % _WORDS_PER_BREATH == _WORDS_PER_BREATH - 1 else 0.1
        out.append(Word(word, start, int((index + 1) * step - pause * step), 1.0, speaker))
    return out
