"""What a file is, and how large a picture, by what it holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.data.kinds import Kind, kind_of
from tests.data import pictures, sounds


def kind(data: bytes) -> Kind:
    return kind_of(lambda start, size: data[start : start + size], len(data))


@pytest.mark.parametrize(
    ("data", "media_type", "width", "height"),
    [
        (pictures.png(30, 20), "image/png", 30, 20),
        (pictures.jpeg(640, 480), "image/jpeg", 640, 480),
        (pictures.jpeg(4000, 3000, exif=60_000), "image/jpeg", 4000, 3000),
        (pictures.gif(7, 5), "image/gif", 7, 5),
        (pictures.webp(30, 20), "image/webp", 30, 20),
        (pictures.webp_lossless(300, 200), "image/webp", 300, 200),
        (pictures.bmp(9, 4), "image/bmp", 9, 4),
        (b"II*\0" + bytes(20), "image/tiff", 0, 0),
        (b"P6\n3 2\n255\n" + bytes(18), "image/x-portable-pixmap", 0, 0),
        (b"\0\0\0\x18ftypheic" + bytes(20), "image/heic", 0, 0),
        (b"\0\0\0\x18ftypavif" + bytes(20), "image/avif", 0, 0),
        (pictures.pdf(), "application/pdf", 0, 0),
        (pictures.docx(), "application/vnd.openxmlformats-officedocument.wordprocessingml.document", 0, 0),
        ("Grüße\n".encode() * 1000, "text/plain", 0, 0),
        (sounds.wav(), "audio/wav", 0, 0),
        (b"\x00\x01\x02\x03" * 100, "", 0, 0),
        (b"", "", 0, 0),
        (pictures.png()[:12], "image/png", 0, 0),
        (pictures.jpeg()[:20], "image/jpeg", 0, 0),
    ],
)
def test_a_file_is_what_it_holds(data: bytes, media_type: str, width: int, height: int) -> None:
    found = kind(data)
    assert (found.media_type, found.width, found.height) == (media_type, width, height)


def test_a_recording_tells_how_long_it_is() -> None:
    assert kind(sounds.wav()).seconds == pytest.approx(sounds.SECONDS)


_STARTS = [pictures.png(), pictures.jpeg(), pictures.gif(), pictures.webp(), pictures.bmp(), pictures.docx(), b""]


@given(st.sampled_from(_STARTS), st.integers(0, 60), st.binary(max_size=80))
def test_no_bytes_make_it_fail(start: bytes, cut: int, rest: bytes) -> None:
    assert kind(start[:cut] + rest).name is not None
