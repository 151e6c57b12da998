"""The process that decodes for `pocketsphinx`: paths in, transcripts out, a line each. Run as a module by its engine.

Recordings are decoded to 16 kHz mono, in windows of up to 30 s, cut where they are most quiet, so that
memory stays flat however long a recording is.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from runner.server.engines.asr import TimedTranscript, Word
from runner.server.engines.pocketsphinx import DecoderReply

RATE = 16_000
WINDOW_SECONDS = 30
_SEARCHED_SECONDS = 10  # the quietest moment in the last of these is where a window ends
_MOMENT = RATE // 10
_STILL = 32  # of 32,768: below this nothing was recorded
_FRAMES_PER_SECOND = 100


class SoundWindow(NamedTuple):
    """A piece of a recording: how many samples came before it, and its own, signed 16 bits each."""

    start: int
    samples: array[int]


def windows(chunks: Iterable[array[int]]) -> Iterator[SoundWindow]:
    """The samples again, in pieces of at most 30 s, cut at quiet moments."""
    samples: array[int] = array("h")
    start = 0
    for chunk in chunks:
        samples.extend(chunk)
        while len(samples) > WINDOW_SECONDS * RATE:
            cut = _quietest(samples)
            yield SoundWindow(start, samples[:cut])
            start += cut
            samples = samples[cut:]
    if samples:
        yield SoundWindow(start, samples)


# A cut in the middle of a word loses it on both sides. Speech pauses at least once in ten seconds, mostly; where it
# does not, the quietest moment is still the best guess. Loudness is summed over a tenth of a second, longer than the
# gap that a plosive leaves inside a word.
def _quietest(samples: array[int]) -> int:
    """The middle of the quietest tenth of a second near the end of a window."""
    end = WINDOW_SECONDS * RATE
    begins = range(end - _SEARCHED_SECONDS * RATE, end - _MOMENT + 1, _MOMENT // 2)
    quiet = min(begins, key=lambda begin: sum(map(abs, samples[begin : begin + _MOMENT])))
    return quiet + _MOMENT // 2


class Decoder:
    """The decoder. Each window is decoded for itself, so that what came before a recording never changes its words."""

    def __init__(self) -> None:
        import miniaudio
        import pocketsphinx

        model = pocketsphinx.get_model_path("en-us/en-us.lm.bin")
        self._sound: Any = miniaudio
        self._sphinx: Any = pocketsphinx.Decoder(lm=model, cmn="batch", loglevel="FATAL")

    def transcribe(self, path: str) -> TimedTranscript:
        """Raises miniaudio's errors for what is no recording."""
        total = 0
        words: list[Word] = []
        chunks = self._sound.stream_file(path, nchannels=1, sample_rate=RATE, frames_to_read=RATE)
        for window in windows(chunks):
            total += len(window.samples)
            # in silence the decoder hears words of its own making
            if max(window.samples) - min(window.samples) > _STILL:
                words += self._words(window)
        return TimedTranscript(total * 1000 // RATE, words)

    def _words(self, window: SoundWindow) -> Iterator[Word]:
        sphinx = self._sphinx
        sphinx.reinit_feat()  # its front end remembers the sound before, even with `cmn="batch"` (5.1.1)
        sphinx.start_utt()
        sphinx.process_raw(window.samples.tobytes(), no_search=False, full_utt=True)
        sphinx.end_utt()
        offset = window.start * 1000 // RATE
        for segment in sphinx.seg() or ():
            text = segment.word.partition("(")[0]  # `to(3)` is the third way to say it
            if text and text[0] not in "<[":
                start, end = (
                    offset + frame * 1000 // _FRAMES_PER_SECOND
                    for frame in (segment.start_frame, segment.end_frame + 1)
                )
                yield Word(text, start, end, min(max(round(segment.prob, 4), 0.0), 1.0))


def serve(paths: Iterable[bytes], out: BinaryIO) -> None:
    """Answer line by line; the first line says that we are ready, or why not."""
    try:
        decoder = Decoder()
    except Exception as error:  # noqa: BLE001  # the parent tells it
        _say(out, DecoderReply(error=_worded(error)))
        return
    _say(out, DecoderReply())
    for line in paths:
        path = msgspec.json.decode(line, type=str)
        try:
            reply = DecoderReply(decoder.transcribe(path))
        except Exception as error:  # noqa: BLE001  # one recording's trouble is that recording's answer
            there = "the recording cannot be decoded" if Path(path).exists() else "the recording is gone"
            reply = DecoderReply(error=f"{there}: {_worded(error)}; wav, flac, mp3 and ogg vorbis can be")
        _say(out, reply)


def _worded(error: Exception) -> str:
    """Its words; the libraries here add numbers behind them, or give none."""
    words = str(error.args[0]) if error.args else ""
    return (words or type(error).__name__)[:256]


def _say(out: BinaryIO, reply: DecoderReply) -> None:
    out.write(msgspec.json.encode(reply) + b"\n")
    out.flush()


def main() -> None:
    """Serve our standard input. What the libraries print must not come among the answers."""
    with os.fdopen(os.dup(1), "wb") as out:
        # the libraries are C: they write to the descriptor, not to `sys.stdout`
        os.dup2(2, 1)
        serve(sys.stdin.buffer, out)


if __name__ == "__main__":
    main()
