"""What a recording is, by its first bytes, and how long it lasts where the file says so without being decoded.

Names lie: a `.wav` that holds MP3 is common, and a text file called `.mp3` would be paid for. So a few bytes are read.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

FORMATS = ("wav", "flac", "mp3", "ogg", "opus", "m4a", "mp4", "webm", "mkv", "aac", "amr", "aiff", "asf")
HEAD = 4096  # bytes at the start that a verdict needs
TAIL = 65_536  # an Ogg page is at most this long
IMAGES = {b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF", b"avif": "AVIF"}
_ASF = bytes.fromhex("3026b2758e66cf11")
_BOXES = 64  # MP4 boxes that are looked at before giving up
_MP3_PLACES = 64  # where the bit rate of an MP3 that does not tell its length is looked at
_MP3_RATES = (44_100, 48_000, 32_000)  # MPEG 1; half for MPEG 2, a quarter for 2.5
_MP3_KBITS = {  # (is MPEG 1, layer) -> bit rates by index
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


class ReadAt(Protocol):
    """Up to `size` bytes from `start`; fewer at the end of the file."""

    def __call__(self, start: int, size: int) -> bytes: ...


def format_of(read_at: ReadAt) -> str | None:
    """One of `FORMATS`, None where the bytes are of none of them."""
    head = read_at(0, HEAD)
    if head[:1] == b"\0" and _mp3_frame(sound := head.lstrip(b"\0")):  # some encoders put silence before the start
        return "mp3" if _is_mp3(sound, lambda start, size: sound[start : start + size]) else None
    if head.startswith(b"ID3"):
        start = after_id3(head)
        rest = read_at(start, HEAD)
        return _by_magic(rest) or ("aac" if _is_adts(rest) else "mp3")
    found = _by_magic(head)
    if found is None and _is_adts(head):
        return "aac"
    if found is None and _is_mp3(head, read_at):
        return "mp3"
    return found


def seconds_of(kind: str, read_at: ReadAt, size: int) -> float | None:
    """How long a recording of this format lasts, from its headers; None where they do not say. Never raises.

    Of an MP3 without a frame count it is an estimate, from bit rates at some places.
    """
    measure = _MEASURES.get(kind)
    try:
        seconds = measure(read_at, size) if measure else None
    except (struct.error, IndexError, ZeroDivisionError, OverflowError):
        return None
    return seconds if seconds is not None and 0 < seconds < 10_000_000 else None


def _by_magic(head: bytes) -> str | None:
    tag = head[8:12]
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and tag == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and tag in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[4:8] == b"ftyp":
        if tag in IMAGES:
            return None
        return "m4a" if tag in (b"M4A ", b"M4B ") else "mp4"
    if head[:4] == b"OggS":
        return "opus" if b"OpusHead" in head[:64] else "ogg"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "webm" if b"webm" in head[:64] else "mkv"
    plain = {b"fLaC": "flac", b"#!AMR": "amr", _ASF: "asf"}
    return next((kind for magic, kind in plain.items() if head.startswith(magic)), None)


def after_id3(head: bytes) -> int:
    """Where the tag at the start ends; its size is written in groups of seven bits. 0 without a tag."""
    if not head.startswith(b"ID3") or len(head) < 10:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return size + (20 if head[5] & 0x10 else 10)


def _is_adts(head: bytes) -> bool:
    """AAC in frames: the sync word, layer 0, and a second frame where the first one ends."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return False
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    following = head[length : length + 2]
    return length >= 7 and (len(following) < 2 or (following[0] == 0xFF and following[1] & 0xF6 == 0xF0))


class _Mp3(msgspec.Struct, frozen=True):
    """One frame header of MPEG audio."""

    size: int  # of the frame, in bytes
    samples: int  # in a frame
    rate: int
    kbits: int
    info_at: int  # where a frame count would stand, from the start of the frame


def _mp3_frame(data: bytes) -> _Mp3 | None:
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version, layer = data[1] >> 3 & 3, 4 - (data[1] >> 1 & 3)
    kbit_index, rate_index = data[2] >> 4, data[2] >> 2 & 3
    if version == 1 or layer == 4 or kbit_index in (0, 15) or rate_index == 3:
        return None
    is_first = version == 3
    kbits = _MP3_KBITS[is_first, layer][kbit_index]
    rate = _MP3_RATES[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    samples = 384 if layer == 1 else 576 if layer == 3 and not is_first else 1152
    unit = 4 if layer == 1 else 1  # bytes that a frame is a multiple of
    size = (samples // 8 * kbits * 1000 // rate // unit + (data[2] >> 1 & 1)) * unit
    is_mono = data[3] >> 6 == 3
    side = {(True, True): 17, (True, False): 32, (False, True): 9, (False, False): 17}[is_first, is_mono]
    return _Mp3(size, samples, rate, kbits, 4 + side)


def _is_mp3(head: bytes, read_at: ReadAt) -> bool:
    """Two frames in a row: one sync word alone is found in every second binary file, and in all text in UTF-16.

    A recording of one frame ends where that does, or in a tag.
    """
    frame = _mp3_frame(head)
    if frame is None:
        return False
    following = read_at(frame.size, 4)
    if len(following) < 4 or following[:3] == b"TAG":
        return len(read_at(0, frame.size)) == frame.size
    return _mp3_frame(following) is not None


def has_mp3_frames(data: bytes) -> bool:
    """Whether frames follow one another somewhere in a piece of a file."""
    at = data.find(b"\xff")
    while at >= 0:
        rest = data[at:]
        if _is_mp3(rest[: HEAD * 2], lambda start, size, rest=rest: rest[start : start + size]):
            return True
        at = data.find(b"\xff", at + 1)
    return False


def _mp3_seconds(read_at: ReadAt, size: int) -> float | None:
    start = after_id3(read_at(0, 10))
    data = read_at(start, HEAD)
    frame = _mp3_frame(data)
    if frame is None:
        return None
    info = data[frame.info_at :]
    # the first frame holds no sound but, behind its side information, how many frames follow: the length of a variable
    # rate
    is_cut = info[7:8] and info[7] & 2 and struct.unpack_from(">I", info, 8 + 4 * (info[7] & 1))[0] > size - start
    if info[:4] in (b"Xing", b"Info") and info[7] & 1 and not is_cut:
        return int(struct.unpack_from(">I", info, 8)[0]) * frame.samples / frame.rate
    # Fraunhofer's encoder writes its count 32 bytes behind the header, whatever the channels are
    if data[36:40] == b"VBRI" and struct.unpack_from(">I", data, 46)[0] <= size - start:
        return int(struct.unpack_from(">I", data, 50)[0]) * frame.samples / frame.rate
    return (size - start) * _seconds_a_byte(read_at, start, size, frame)


def _seconds_a_byte(read_at: ReadAt, start: int, size: int, first: _Mp3) -> float:
    """Over places that are evenly spread: the bit rate may change with every frame, and nothing tells."""
    places = [start + (size - start) * number // _MP3_PLACES for number in range(_MP3_PLACES)]
    frames = [frame for place in places[7::8] for frame in _frames_in(read_at(place, HEAD), first.rate)]
    if {frame.kbits for frame in frames} <= {first.kbits}:
        return 1 / (first.kbits * 125)
    frames = [frame for place in places for frame in _frames_in(read_at(place, HEAD), first.rate)]
    return sum(frame.samples for frame in frames) / first.rate / sum(frame.size for frame in frames)


def _frames_in(data: bytes, rate: int) -> Iterator[_Mp3]:
    """The frames in a piece of a file, each known by the one that follows it."""
    at = data.find(b"\xff")
    while at >= 0:
        frame = _mp3_frame(data[at : at + 4])
        if frame and frame.rate == rate and _mp3_frame(data[at + frame.size : at + frame.size + 4]):
            yield frame
            at += frame.size
        else:
            at = data.find(b"\xff", at + 1)


def _wav_seconds(read_at: ReadAt, size: int) -> float | None:
    """Bytes of sound over bytes a second. A writer that streamed left the length open: then it is the rest."""
    at, bytes_a_second, long_size = 12, 0, 0
    for _ in range(_BOXES):
        head = read_at(at, 8)
        kind, length = struct.unpack("<4sI", head)
        if kind == b"ds64":
            long_size = struct.unpack("<QQ", read_at(at + 8, 16))[1]
        elif kind == b"fmt ":
            bytes_a_second = struct.unpack("<8xI", read_at(at + 8, 12))[0]
        elif kind == b"data":
            if length in (0, 0xFFFFFFFF):
                length = long_size or size
            return float(min(length, size - at - 8) / bytes_a_second)
        at += 8 + length + (length & 1)
    return None


def _flac_seconds(read_at: ReadAt, size: int) -> float | None:
    start = after_id3(read_at(0, 10))
    head = read_at(start, 26)
    if head[:4] != b"fLaC" or head[4] & 0x7F:  # the first block is always the one with the figures
        return None
    packed = struct.unpack_from(">Q", head, 18)[0]
    samples, longest = packed & (1 << 36) - 1, struct.unpack_from(">H", head, 10)[0]
    smallest = int.from_bytes(head[12:15], "big")  # frame in bytes, 0 where it is not known
    if longest and smallest * (samples // longest) > size:
        return None  # it is cut short
    return float(samples / (packed >> 44))


def _aiff_seconds(read_at: ReadAt, size: int) -> float | None:
    at = 12
    if 8 + int(struct.unpack_from(">I", read_at(4, 4))[0]) > size + 1:  # a byte that fills up may be left out
        return None  # it is cut short
    for _ in range(_BOXES):
        kind, length = struct.unpack(">4sI", read_at(at, 8))
        if kind == b"COMM":
            frames, exponent, mantissa = struct.unpack(">2xI2xHQ", read_at(at + 8, 18))
            # the rate is an 80-bit float of the 68881: a 64-bit mantissa with its integer bit, and an exponent off by
            # 16,383
            return float(frames / (mantissa * 2.0 ** ((exponent & 0x7FFF) - 16_383 - 63)))
        at += 8 + length + (length & 1)
    return None


def _ogg_seconds(read_at: ReadAt, size: int) -> float | None:
    """The position that the last page gives, in samples; Opus counts 48,000 a second, whatever was recorded."""
    head = read_at(0, 128)
    opus, vorbis = head.find(b"OpusHead"), head.find(b"\x01vorbis")
    if opus >= 0:
        rate, skipped = 48_000, struct.unpack_from("<H", head, opus + 10)[0]
    elif vorbis >= 0:
        rate, skipped = struct.unpack_from("<I", head, vorbis + 12)[0], 0
    else:
        return None
    # the length of a stream is written nowhere at its start: its last page says how far it goes
    tail = read_at(max(0, size - TAIL), TAIL)
    pages = [found.start() for found in re.finditer(rb"OggS\0", tail)]
    position = struct.unpack_from("<q", tail, pages[-1] + 6)[0]
    return float((position - skipped) / rate)


def _mp4_seconds(read_at: ReadAt, size: int) -> float | None:
    """The movie header, in the box `moov`, which may come after all the sound."""
    at, end = 0, size
    for _ in range(_BOXES):
        head = read_at(at, 16)
        length, kind = struct.unpack_from(">I4s", head)
        skip = 8
        if length == 1:
            length, skip = struct.unpack_from(">Q", head, 8)[0], 16
        if kind == b"moov":
            if not _is_whole(read_at, at + length, size):
                return None
            at, end = at + skip, min(end, at + length)
            continue
        if kind == b"mvhd":
            return _mvhd_seconds(read_at(at + skip, 32))
        if length < skip or at + length >= end:
            return None
        at += length
    return None


def _is_whole(read_at: ReadAt, at: int, size: int) -> bool:
    """Whether the boxes from here on end within the file."""
    for _ in range(_BOXES):
        if at >= size:
            break
        length = struct.unpack_from(">I", read_at(at, 4))[0]
        if length == 1:
            length = struct.unpack_from(">Q", read_at(at + 8, 8))[0]
        at += length if length > 1 else size - at
    return at <= size


def _mvhd_seconds(box: bytes) -> float | None:
    form, unknown = (">IQ", (1 << 64) - 1) if box[0] else (">II", (1 << 32) - 1)
    scale, duration = struct.unpack_from(form, box, 20 if box[0] else 12)
    return None if duration == unknown else float(duration / scale)


_MEASURES: dict[str, Callable[[ReadAt, int], float | None]] = {
    "wav": _wav_seconds,
    "flac": _flac_seconds,
    "mp3": _mp3_seconds,
    "aiff": _aiff_seconds,
    "ogg": _ogg_seconds,
    "opus": _ogg_seconds,
    "m4a": _mp4_seconds,
    "mp4": _mp4_seconds,
}
