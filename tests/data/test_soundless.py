"""Recordings that hold no sound, or not all of it: refused by name, or taken with a length that is not invented."""

# ruff: noqa: E501  # one case, one line

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.data import media, soundless
from runner.data.audio import Selection, find
from runner.data.contents import Contents, FileContent, FileMemo
from runner.errors import DataError, Mark
from tests.data import sounds
from tests.data.test_media import reader
from tests.data.test_wild import Write, muxed, raw, sounded

av = pytest.importorskip("av")
np = pytest.importorskip("numpy")
sf = pytest.importorskip("soundfile")


def judged(path: Path) -> FileContent:
    (file,) = find(Selection("calls", Mark("s.yaml", 1), ["*.*"]), path.parent)
    return Contents(path.parent, FileMemo(path.parent / ".memo")).content(file)


def film(form: str, codec: str, sound: str = "") -> Write:
    """A few pictures, with or without a sound track."""

    def write(path: Path) -> None:
        with av.open(str(path), "w", format=form) as out:
            pictures = out.add_stream(codec, rate=25)
            pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
            track = out.add_stream(sound, rate=48_000) if sound else None
            if track is not None:
                track.layout = "mono"
                wave = np.zeros((1, track.frame_size or 960), dtype="int16")
                frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
                frame.sample_rate, frame.pts = 48_000, 0
                resampler = av.AudioResampler(format=track.format, layout="mono", rate=48_000)
                for one in resampler.resample(frame):
                    out.mux(track.encode(one))
                out.mux(track.encode(None))
            for number in range(5):
                picture = av.VideoFrame.from_ndarray(np.zeros((96, 64), dtype="uint8"), format="yuv420p")
                picture.pts = number
                out.mux(pictures.encode(picture))
            out.mux(pictures.encode(None))

    return write


def cut(write: Write, keep: Callable[[bytes], int]) -> Write:
    """The first bytes of what another writes."""

    def first(path: Path) -> None:
        write(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: keep(whole)])

    return first


def of_no_samples(kind: str, subtype: str | None = None) -> Write:
    return lambda path: sf.write(path, np.zeros(0), 16_000, format=kind, subtype=subtype)


def before(word: bytes, more: int = 0) -> Callable[[bytes], int]:
    return lambda whole: whole.index(word) + more


def faststart(path: Path) -> None:
    """The movie header before the sound, as for the web."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as out:
        track = out.add_stream("aac", rate=16_000)
        track.layout = "mono"
        for number in range(24):
            wave = (3000 * np.sin(np.arange(1024) / 20)).astype("float32").reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(wave / 32_768, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16_000, number * 1024
            out.mux(track.encode(frame))
        out.mux(track.encode(None))


class Silent(NamedTuple):
    name: str
    write: Write
    words: str


NO_SOUND = "holds no sound"
SILENT = [
    Silent("text.mp3", raw("\ufeffid,name\n1,a\n".encode("utf-16-le")), "UTF-16"),
    Silent("letter.mp3", raw(("\ufeff" + "Dear Sir, we write to you. " * 90).encode("utf-16-le")), "UTF-16"),
    Silent("big-endian.mp3", raw(("\ufeff" + "Dear Sir. " * 90).encode("utf-16-be")), "UTF-16"),
    Silent("photo.m4a", raw(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(900)), "an image (HEIC)"),
    Silent("picture.m4a", raw(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1" + bytes(900)), "an image (AVIF)"),
    Silent("photo.mp3", raw(b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(900)), "a JPEG image"),
    Silent("web.wav", raw(b"RIFF\x90\0\0\0WEBPVP8 " + bytes(900)), "an image (WebP)"),
    Silent("tag.mp3", raw(sounds.id3(b"")), "nothing but a tag"),
    Silent("tag-and-text.mp3", raw(sounds.id3(b"and then a text " * 90)), "no frame follows its tag"),
    Silent("tag-and-zeros.mp3", raw(sounds.id3(bytes(9000))), "no frame follows its tag"),
    Silent("half-a-frame.mp3", raw(sounds.mp3(1)[:200]), "of no audio format"),
    Silent("empty.wav", of_no_samples("WAV"), NO_SOUND),
    Silent("empty-float.wav", of_no_samples("WAV", "FLOAT"), NO_SOUND),
    Silent("empty.aiff", of_no_samples("AIFF"), NO_SOUND),
    Silent("header.wav", raw(sounds.wav()[:44]), NO_SOUND),
    Silent("half-a-header.wav", raw(sounds.wav()[:20]), NO_SOUND),
    Silent("no-data.wav", raw(sounds.wav()[:36] + b"LIST" + struct.pack("<I", 8) + bytes(8)), NO_SOUND),
    Silent("then-a-list.wav", raw(sounds.wav()[:40] + bytes(4) + b"LIST" + struct.pack("<I", 8) + bytes(8)), NO_SOUND),
    Silent("header.aiff", cut(sounded("AIFF"), before(b"SSND")), NO_SOUND),
    Silent("header.flac", raw(sounds.flac()[:42]), NO_SOUND),
    Silent("half-a-header.flac", raw(sounds.flac()[:30]), NO_SOUND),
    Silent("header.amr", raw(b"#!AMR\n"), NO_SOUND),
    Silent("header-wide.amr", raw(b"#!AMR-WB\n"), NO_SOUND),
    Silent("header.opus", cut(muxed("ogg", "libopus", 48_000), lambda whole: whole.index(b"OggS", whole.index(b"OpusTags"))), NO_SOUND),
    Silent("header.ogg", cut(sounded("OGG", "VORBIS"), lambda whole: 90), NO_SOUND),
    Silent("died.m4a", cut(muxed("ipod", "aac"), before(b"moov", -4)), "is cut short"),
    Silent("half.m4a", cut(muxed("ipod", "aac"), lambda whole: len(whole) // 2), "is cut short"),
    Silent("head.mp4", cut(muxed("mp4", "aac"), lambda whole: 32), NO_SOUND),
    Silent("half-a-head.mp4", cut(faststart, before(b"moov", 200)), "is cut short"),
    Silent("film.mp4", film("mp4", "mpeg4"), "no sound track"),
    Silent("film.mov", film("mov", "mpeg4"), "no sound track"),
    Silent("film.webm", film("webm", "libvpx"), "no sound track"),
    Silent("film.mkv", film("matroska", "mpeg4"), "no sound track"),
    Silent("film.wma", film("asf", "wmv2"), "no sound track"),
    Silent("head.webm", cut(muxed("webm", "libopus", 48_000), lambda whole: 40), NO_SOUND),
    Silent("head.wma", cut(muxed("asf", "wmav2", 44_100), lambda whole: 200), NO_SOUND),
]  # fmt: skip


@pytest.mark.parametrize("silent", SILENT, ids=lambda silent: silent.name)
def test_what_holds_no_sound_is_refused_by_name(silent: Silent, tmp_path: Path) -> None:
    silent.write(tmp_path / silent.name)
    with pytest.raises(DataError) as caught:
        judged(tmp_path / silent.name)
    assert silent.words in caught.value.message
    assert caught.value.hint
    assert caught.value.mark is not None and caught.value.mark.file == silent.name


class Odd(NamedTuple):
    name: str
    write: Write
    format: str
    seconds: float | None


def half(write: Write) -> Write:
    return cut(write, lambda whole: len(whole) // 2)


ODD = [
    Odd("film.mp4", film("mp4", "mpeg4", "aac"), "mp4", 0.2),
    Odd("film.webm", film("webm", "libvpx", "libopus"), "webm", None),
    Odd("film.mkv", film("matroska", "mpeg4", "aac"), "mkv", None),
    Odd("film.avi.wma", film("asf", "wmv2", "mp3"), "asf", None),
    Odd("web.m4a", faststart, "mp4", 1.54),
    # half of one has what it has: its length is that, or not known
    Odd("half.wav", half(sounded("WAV")), "wav", 0.75),
    Odd("half.flac", half(sounded("FLAC")), "flac", None),
    Odd("half-web.m4a", half(faststart), "mp4", None),
    Odd("half.aiff", half(sounded("AIFF")), "aiff", None),
    Odd("half.aac", half(muxed("adts", "aac")), "aac", None),
    Odd("one-frame.mp3", raw(sounds.mp3(1)), "mp3", 0.026),
    Odd("one-frame-and-tag.mp3", raw(sounds.mp3(1) + b"TAG" + bytes(125)), "mp3", None),
    Odd("padded.mp3", raw(sounds.id3(bytes(2000) + sounds.mp3())), "mp3", None),
    Odd("open.wav", raw(sounds.wav()[:40] + bytes(4) + sounds.wav()[44:]), "wav", 1.5),
    Odd("fragments.mp4", lambda path: fragmented(path), "mp4", None),
]  # fmt: skip


def fragmented(path: Path) -> None:
    """As a browser records: the sound comes in pieces, and no header says how long it is."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov"}) as container:
        track = container.add_stream("aac", rate=16_000)
        track.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype="float32"), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    path.write_bytes(out.getvalue())


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)
def test_what_is_odd_and_holds_sound_is_taken(odd: Odd, tmp_path: Path) -> None:
    odd.write(tmp_path / odd.name)
    content = judged(tmp_path / odd.name)
    assert content.format == odd.format
    if odd.seconds is None:
        assert content.seconds is None or content.seconds < 0.8
    else:
        assert content.seconds == pytest.approx(odd.seconds, rel=0.15)


def test_half_an_mp3_is_half_as_long(tmp_path: Path) -> None:
    """Whose first frame counts the frames and the bytes of the whole."""
    half(muxed("mp3", "libmp3lame"))(tmp_path / "a.mp3")
    assert judged(tmp_path / "a.mp3").seconds == pytest.approx(0.75, rel=0.2)


SAMPLES = [sounds.wav(), sounds.flac(), sounds.aiff(), sounds.opus(), sounds.mp4(), sounds.id3(sounds.mp3(3)),
           sounds.ebml(b"webm"), sounds.ASF]  # fmt: skip


@given(data=st.sampled_from(SAMPLES), cut=st.integers(0, 6000), at=st.integers(0, 200), junk=st.binary(max_size=24))
def test_damaged_files_are_judged_without_a_crash(data: bytes, cut: int, at: int, junk: bytes) -> None:
    damaged = (data[:at] + junk + data[at + len(junk) :])[:cut]
    for kind in media.FORMATS:
        assert isinstance(soundless.why(kind, reader(damaged), len(damaged)), str)
