"""Speech to text: headers, windows, and the real one where the extra `asr` is installed."""

from __future__ import annotations

import csv
import os
import re
import signal
import struct
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import EngineError
from runner.server import embedded
from runner.server.engines import durations, pocketsphinx
from runner.server.engines.asr import CannotTranscribe, ReceivedRecording, TimedTranscript
from runner.server.engines.decoder import RATE, WINDOW_SECONDS, windows
from runner.server.engines.echo_audio import EchoAsr
from tests.server.audio.conftest import RECORDINGS, VERBOSE, running, tone

needs_asr = pytest.mark.skipif(not pocketsphinx.is_installed(), reason="the extra `asr` is not installed")


def known() -> list[tuple[str, str]]:
    with (RECORDINGS / "transcripts.csv").open(newline="") as file:
        return [(row["file"], row["text"]) for row in csv.DictReader(file)]


def recording(path: Path) -> ReceivedRecording:
    return ReceivedRecording(path, "ab" * 32, path.stat().st_size)


# durations


@given(st.binary(max_size=200), st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"fLaC\0\0\0\x22", b"RIFF\0\0\0\0WAVEfmt "]))
def test_no_header_leads_astray(tmp_path_factory: pytest.TempPathFactory, data: bytes, head: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "header"
    path.write_bytes(head + data)
    assert 1 <= durations.of(path, len(head + data)) <= 30 * 86_400_000


@pytest.mark.parametrize("claimed", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_that_claims_too_much_is_not_believed(tmp_path: Path, claimed: int) -> None:
    data = tone(1.5)
    path = tmp_path / "streamed.wav"
    path.write_bytes(data[:40] + struct.pack("<I", claimed) + data[44:])
    assert durations.of(path, len(data)) == 1500


def test_a_wav_with_other_chunks_before_its_sound(tmp_path: Path) -> None:
    data = tone(0.25)
    path = tmp_path / "listed.wav"
    path.write_bytes(data[:12] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + data[12:])
    assert durations.of(path, len(data) + 12) == 250


def test_echo_hears_at_length(tmp_path: Path) -> None:
    path = tmp_path / "long.mp3"
    path.write_bytes(b"x")
    transcript = EchoAsr().transcribe(ReceivedRecording(path, "ab" * 32, 900_000_000, diarize=True))
    assert transcript.duration_ms == 56_250_000 and len(transcript.words) == 400
    assert transcript == EchoAsr().transcribe(ReceivedRecording(path, "ab" * 32, 900_000_000, diarize=True))


# windows


@given(st.lists(st.integers(1, 40), max_size=8))
def test_windows_hold_every_sample_once(seconds: list[int]) -> None:
    samples = array("h", (n % 30_000 for n in range(sum(seconds) * RATE // 100)))
    chunks, at = [], 0
    for length in seconds:
        chunks.append(samples[at : at + length * RATE // 100])
        at += length * RATE // 100
    joined: array[int] = array("h")
    for window in windows(chunks):
        assert window.start == len(joined)
        joined.extend(window.samples)
    assert joined == samples


def test_long_recordings_are_cut_where_they_are_quiet() -> None:
    rate = RATE
    loud, still = array("h", [9_000, -9_000]) * (rate // 2), array("h", [3]) * rate

    def chunks() -> Iterator[array[int]]:
        for second in range(80):
            yield still if second in (24, 49) else loud

    found = list(windows(chunks()))
    assert all(len(window.samples) <= WINDOW_SECONDS * rate for window in found)
    assert [window.start // rate for window in found] == [0, 24, 49, 79] or len(found) == 4
    assert found[1].start // rate == 24 and found[2].start // rate == 49


# pocketsphinx


def test_without_the_extra_it_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EngineError) as caught:
        pocketsphinx.Pocketsphinx().prepare()
    assert "runner-batch[asr]" in (caught.value.hint or "")
    with pytest.raises(EngineError):
        embedded.make_ready("pocketsphinx", {}, print)


@pytest.fixture
def decoder() -> Iterator[pocketsphinx.Pocketsphinx]:
    decoder = pocketsphinx.Pocketsphinx()
    decoder.prepare()
    yield decoder
    decoder.close()


@needs_asr
def test_our_recordings_are_transcribed_the_same_each_time(decoder: pocketsphinx.Pocketsphinx) -> None:
    first: dict[str, TimedTranscript] = {}
    for name, text in known()[:3]:
        transcript = first[name] = decoder.transcribe(recording(RECORDINGS / name))
        times = [at for word in transcript.words for at in (word.start_ms, word.end_ms)]
        assert times == sorted(times) and times[0] >= 0 and times[-1] <= transcript.duration_ms
        assert 1_900 < transcript.duration_ms < 4_000
        assert {word.text for word in transcript.words} & set(re.findall(r"\w+", text.lower()))
    for name in reversed(first):
        assert decoder.transcribe(recording(RECORDINGS / name)) == first[name]


@needs_asr
def test_what_is_no_recording_cannot_be_heard(decoder: pocketsphinx.Pocketsphinx, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(b"these are only words")
    with pytest.raises(CannotTranscribe, match="cannot be decoded"):
        decoder.transcribe(recording(path))
    path.write_bytes(tone(0.01))
    assert decoder.transcribe(recording(path)).duration_ms == 10
    with pytest.raises(CannotTranscribe, match="is gone"):
        decoder.transcribe(ReceivedRecording(tmp_path / "none", "", 0))


@needs_asr
def test_silence_is_heard_as_nothing(decoder: pocketsphinx.Pocketsphinx, tmp_path: Path) -> None:
    path = tmp_path / "still.wav"
    path.write_bytes(tone(2, hertz=0))
    assert decoder.transcribe(recording(path)) == TimedTranscript(2_000)


@needs_asr
def test_a_decoder_that_is_killed_is_replaced(decoder: pocketsphinx.Pocketsphinx) -> None:
    path = RECORDINGS / "weather.wav"
    before = decoder.transcribe(recording(path))
    decoders = [pid for pid in children() if b"engines.decoder" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    for pid in decoders:  # and no other process of ours
        os.kill(pid, signal.SIGKILL)
    assert decoders
    assert decoder.transcribe(recording(path)) == before


@needs_asr
def test_no_decoder_outlives_its_server(tmp_path: Path) -> None:
    code = (
        "import sys, time; from runner.server.engines.pocketsphinx import Pocketsphinx\n"
        "decoder = Pocketsphinx(); decoder.prepare(); print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"ready\n"
        mine = children(parent.pid)
        parent.kill()
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text() for pid in mine):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert mine


@needs_asr
def test_speech_through_the_api(tmp_path: Path) -> None:
    with running(tmp_path) as audio:
        ids = [
            audio.submit((RECORDINGS / name).read_bytes(), name=name, model="pocketsphinx", **VERBOSE)
            for name in ("weather.wav", "train.flac")
        ]
        broken = audio.submit(b"no sound", model="pocketsphinx")
        bodies = [msgspec.json.decode(audio.wait(batch_id, 60)["body"]) for batch_id in ids]
        assert all(body["text"] and body["words"] and body["segments"] for body in bodies)
        failed = audio.wait(broken)
        assert failed["status"] == "failed" and "cannot be decoded" in failed["message"]


def children(parent: int | None = None) -> list[int]:
    """The processes that `parent` (we) started and that still run."""
    pid = parent or os.getpid()
    found = [Path(task).read_text().split() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(one) for listed in found for one in listed]
