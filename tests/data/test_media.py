"""What a file is by its bytes, and how long it lasts by its headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.data import media
from tests.data import sounds


def reader(data: bytes) -> media.ReadAt:
    return lambda start, size: data[start : start + size]


@pytest.mark.parametrize(
    ("kind", "data", "seconds"),
    [
        ("wav", sounds.wav(), 1.5),
        ("wav", sounds.wav(is_streamed=True), 1.5),
        ("wav", sounds.rf64(), 1.5),
        ("flac", sounds.flac(), 1.5),
        ("flac", sounds.id3(sounds.flac()), 1.5),
        ("mp3", sounds.mp3(), 1.49),
        ("mp3", sounds.id3(sounds.mp3()), 1.49),
        ("mp3", sounds.mp3_with_count(1000), 26.12),
        ("mp3", sounds.mp3(9000), 234.56),
        ("mp3", bytes(33) + sounds.mp3(), None),
        ("aac", sounds.adts(), None),
        ("aac", sounds.id3(sounds.adts()), None),
        ("aiff", sounds.aiff(), 1.5),
        ("opus", sounds.opus(), 1.5),
        ("ogg", sounds.vorbis(), 1.5),
        ("m4a", sounds.mp4(), 1.5),
        ("mp4", sounds.mp4(b"isom"), 1.5),
        ("m4a", sounds.mp4(is_long=True), 1.5),
        ("webm", sounds.ebml(b"webm"), None),
        ("mkv", sounds.ebml(b"matroska"), None),
        ("amr", sounds.AMR, None),
        ("asf", sounds.ASF, None),
    ],
)
def test_formats_and_lengths(kind: str, data: bytes, seconds: float | None) -> None:
    assert kind in media.FORMATS
    assert media.format_of(reader(data)) == kind
    assert media.seconds_of(kind, reader(data), len(data)) == (seconds and pytest.approx(seconds, abs=0.01))


@pytest.mark.parametrize(("quiet", "loud"), [(300, 300), (2000, 100), (20_000, 9_000)])
def test_an_mp3_whose_bit_rate_changes_and_that_does_not_tell_its_length(quiet: int, loud: int) -> None:
    data = sounds.mp3_of_two_rates(quiet=quiet, loud=loud)
    wanted = (quiet + loud) * 1152 / 44_100
    assert media.seconds_of("mp3", reader(data), len(data)) == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 5000,
        b"hello, this is a transcript",
        "\ufeffhallo".encode("utf-16"),
        b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(100),
        b"RIFF\x00\x00\x00\x00AVI LIST",
        b"PK\x03\x04" + bytes(50),
        sounds.mp3(1)[:-1] + b"and then something else",
    ],
)
def test_what_is_no_recording(data: bytes) -> None:
    assert media.format_of(reader(data)) is None


SAMPLES = [
    sounds.wav(),
    sounds.flac(),
    sounds.mp3_with_count(9),
    sounds.aiff(),
    sounds.opus(),
    sounds.vorbis(),
    sounds.mp4(),
    sounds.id3(sounds.mp3(3)),
]


@given(data=st.sampled_from(SAMPLES), cut=st.integers(0, 6000), at=st.integers(0, 200), junk=st.binary(max_size=24))
def test_damaged_files_are_judged_without_a_crash(data: bytes, cut: int, at: int, junk: bytes) -> None:
    damaged = (data[:at] + junk + data[at + len(junk) :])[:cut]
    kind = media.format_of(reader(damaged))
    for one in {kind, *media.FORMATS} - {None}:
        seconds = media.seconds_of(str(one), reader(damaged), len(damaged))
        assert seconds is None or seconds > 0
