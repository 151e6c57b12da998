"""Recordings made by hand, byte for byte as the formats' own pages say: one second and a half each, where they say."""

from __future__ import annotations

import io
import struct
import wave

SECONDS = 1.5


def wav(*, rate: int = 8000, is_streamed: bool = False) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(int(rate * SECONDS) * 2))
    data = out.getvalue()
    if is_streamed:
        data = data[:40] + b"\xff\xff\xff\xff" + data[44:]
    return data


def rf64() -> bytes:
    plain = wav()
    sound = plain[44:]
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, len(plain), len(sound), 0, 0)
    return b"RF64\xff\xff\xff\xffWAVE" + sizes + plain[12:36] + b"data\xff\xff\xff\xff" + sound + b"LIST" + bytes(64)


def flac(*, rate: int = 16_000) -> bytes:
    packed = rate << 44 | 15 << 36 | int(rate * SECONDS)
    return (
        b"fLaC\x80\x00\x00\x22"
        + struct.pack(">HH", 4096, 4096)
        + bytes(6)
        + packed.to_bytes(8, "big")
        + bytes(16)
        + b"\xff\xf8"
        + bytes(9)
    )


def id3(rest: bytes, size: int = 300) -> bytes:
    return b"ID3\x04\x00\x00" + bytes([0, 0, size >> 7, size & 0x7F]) + b"\xff" * size + rest


_HEAD = b"\xff\xfb\x90\xc4"  # MPEG 1 layer III, 128 kbit/s, 44,100 Hz, mono: 417 bytes a frame
_FRAME = _HEAD + bytes(413)


def mp3(frames: int = 57) -> bytes:
    """57 frames of 1,152 samples at 44,100 Hz are 1.49 s."""
    return _FRAME * frames


def mp3_of_two_rates(*, quiet: int = 300, loud: int = 300) -> bytes:
    """Frames of 32 kbit/s (104 bytes), then of 128, and nothing that tells their number."""
    return (b"\xff\xfb\x10\xc4" + bytes(100)) * quiet + _FRAME * loud


def mp3_with_count(frames: int) -> bytes:
    return _HEAD + bytes(17) + b"Xing" + struct.pack(">II", 1, frames) + bytes(384) + _FRAME * 3


def adts() -> bytes:
    frame = bytes([0xFF, 0xF1, 0x50, 0x80, 0x02, 0x1F, 0xFC]) + bytes(9)  # 16 bytes
    return frame * 4


def aiff() -> bytes:
    rate = struct.pack(">HQ", 16_383 + 12, 8000 << 51)  # 80 bits: 8000 = 1.953125 * 2**12
    common = b"COMM" + struct.pack(">IHIH", 18, 1, 12_000, 16) + rate
    sound = b"SSND" + struct.pack(">III", 8 + 24_000, 0, 0) + bytes(24_000)
    return b"FORM" + struct.pack(">I", 4 + len(common) + len(sound)) + b"AIFF" + common + sound


def _page(position: int, content: bytes) -> bytes:
    return b"OggS\0\0" + struct.pack("<qIII", position, 1, 0, 0) + b"\x01" + bytes([len(content)]) + content


def opus() -> bytes:
    head = b"OpusHead\x01\x01" + struct.pack("<HIhB", 312, 16_000, 0, 0)
    return _page(0, head) + _page(72_000 + 312, bytes(40))


def vorbis() -> bytes:
    head = b"\x01vorbis" + struct.pack("<IBI", 0, 1, 16_000) + bytes(14)
    return _page(0, head) + _page(24_000, bytes(40))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def mp4(brand: bytes = b"M4A ", *, is_long: bool = False, sound_bytes: int = 5000) -> bytes:
    """The movie header comes after the sound, as cameras and telephones write it."""
    if is_long:
        header = struct.pack(">B3xQQIQ", 1, 0, 0, 1000, 1500) + bytes(80)
        sound = struct.pack(">I4sQ", 1, b"mdat", 16 + sound_bytes) + bytes(sound_bytes)
    else:
        header = struct.pack(">B3xIIII", 0, 0, 0, 1000, 1500) + bytes(80)
        sound = _box(b"mdat", bytes(sound_bytes))
    return _box(b"ftyp", brand + bytes(8)) + sound + _box(b"moov", _box(b"mvhd", header))


def ebml(kind: bytes) -> bytes:
    return b"\x1aE\xdf\xa3\x9fB\x86\x81\x01\x42\x82\x84" + kind + bytes(40)


AMR = b"#!AMR\n" + bytes(40)
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(40)
