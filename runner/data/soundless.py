"""Recordings without sound: a header and nothing behind it, a film without a sound track, a file cut off before both.

A remote takes them, and bills or refuses each after the upload. Only what is certain is refused: whatever a container
does not tell, or tells in a way that we do not know, may hold sound.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

import msgspec

from runner.data import media
from runner.data.media import ReadAt

_HEADER_ONLY = "holds no sound: it ends after its header"
_NO_TRACK = "has no sound track"
_CUT = "is cut short: what tells how to play it is missing"
_MOST_BOXES = 4096
_NAME = re.compile(rb"[ -~]{4}")  # of a chunk
_SEARCHED = 1 << 18  # bytes behind a tag in which the first frame of an MP3 is looked for
_TRACK_ENTRY, _TRACK_TYPE, _AUDIO_TRACK = 0xAE, 0x83, 2
_SEGMENT, _TRACKS, _CLUSTER = 0x18538067, 0x1654AE6B, 0x1F43B675
_ASF_AUDIO = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
_ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_OGG_SOUND = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   ", b"fLaC", b"PCM     ", b"CELT    ")
_OGG_OTHER = (b"\x80theora", b"\x80daala", b"BBCD\0", b"OVP80")


def why(kind: str, read_at: ReadAt, size: int) -> str:
    """Why a file of this format holds no sound, as it follows `the recording`; empty where it may. Never raises."""
    judge = _JUDGES.get(kind)
    try:
        return judge(read_at, size) if judge else ""
    except (struct.error, IndexError):  # a header that ends in its middle
        return _HEADER_ONLY if size < media.HEAD else ""


def _wav(read_at: ReadAt, size: int) -> str:
    for at, kind, length in _chunks(read_at, size, "<"):
        if not _NAME.fullmatch(kind):
            return ""  # not as it should be: there may be anything
        if kind == b"data":
            return _HEADER_ONLY if at + 8 >= size or (length == 0 and _are_chunks(read_at, at + 8, size)) else ""
    return _HEADER_ONLY if _last_chunk_ends(read_at, size, "<") else ""


def _aiff(read_at: ReadAt, size: int) -> str:
    for at, kind, length in _chunks(read_at, size, ">"):
        if kind == b"SSND":
            return _HEADER_ONLY if at + 16 >= size or length <= 8 else ""
    return _HEADER_ONLY if _last_chunk_ends(read_at, size, ">") else ""


def _chunks(read_at: ReadAt, size: int, order: str) -> Iterator[tuple[int, bytes, int]]:
    """Place, name and length of each chunk of a RIFF or a FORM."""
    at = 12
    for _ in range(_MOST_BOXES):
        if at + 8 > size:
            return
        kind, length = struct.unpack(f"{order}4sI", read_at(at, 8))
        yield at, kind, length
        at += 8 + length + (length & 1)


def _last_chunk_ends(read_at: ReadAt, size: int, order: str) -> bool:
    """Whether the chunks were followed to the end of the file, so that none can have been missed."""
    count = sum(1 for _ in _chunks(read_at, size, order))
    return count < _MOST_BOXES


def _are_chunks(read_at: ReadAt, at: int, size: int) -> bool:
    """Whether what follows an empty chunk are other chunks to the end, and not sound of a writer that streamed."""
    while at + 8 <= size:
        kind, length = struct.unpack("<4sI", read_at(at, 8))
        if not _NAME.fullmatch(kind):
            return False
        at += 8 + length + (length & 1)
    return at >= size


def _flac(read_at: ReadAt, size: int) -> str:
    at = media.after_id3(read_at(0, 10)) + 4
    for _ in range(_MOST_BOXES):
        if at + 4 > size:
            return _HEADER_ONLY
        head = read_at(at, 4)
        at += 4 + int.from_bytes(head[1:4], "big")
        if head[0] & 0x80:  # the last block of what is no sound
            return _HEADER_ONLY if at >= size else ""
    return ""


def _mp3(read_at: ReadAt, size: int) -> str:
    start = media.after_id3(read_at(0, 10))
    if start >= size:
        return "holds no sound: it is nothing but a tag"
    if not start:
        return ""  # it was known by its frames
    return "" if media.has_mp3_frames(read_at(start, _SEARCHED)) else "holds no sound: no frame follows its tag"


def _amr(read_at: ReadAt, size: int) -> str:
    head = read_at(0, 16)
    return _HEADER_ONLY if size <= (9 if head.startswith(b"#!AMR-WB\n") else 6) else ""


def _ogg(read_at: ReadAt, size: int) -> str:
    head = read_at(0, media.HEAD)
    if not any(word in head for word in _OGG_SOUND):
        return _NO_TRACK if any(word in head for word in _OGG_OTHER) else ""
    if size <= media.TAIL:  # all pages are seen: those of headers stand at the position 0, or at none
        whole = read_at(0, size)
        pages = [found.start() for found in re.finditer(rb"OggS\0", whole)]
        places = [struct.unpack_from("<q", whole, at + 6)[0] for at in pages if at + 14 <= size]
        return _HEADER_ONLY if all(place <= 0 for place in places) else ""
    return ""


class _Box(msgspec.Struct, frozen=True):
    kind: bytes
    start: int  # of what it holds
    end: int


def _boxes(read_at: ReadAt, at: int, end: int) -> Iterator[_Box]:
    """The boxes of an MP4 between two places; the last may end beyond."""
    for _ in range(_MOST_BOXES):
        if at + 8 > end:
            return
        head = read_at(at, 16)
        length, kind = struct.unpack_from(">I4s", head)
        skip = 8
        if length == 1:
            length, skip = struct.unpack_from(">Q", head, 8)[0], 16
        elif length == 0:
            length = end - at
        if length < skip:
            return
        yield _Box(kind, at + skip, at + length)
        at += length


def _mp4(read_at: ReadAt, size: int) -> str:
    has_media, reached, count = False, 0, 0
    for box in _boxes(read_at, 0, size):
        count += 1
        reached = box.end
        has_media |= box.kind in (b"mdat", b"moof")
        if box.kind == b"moov":
            return _mp4_tracks(read_at, box, size)
    # without the movie header nobody can play it; it stands at the end, where a recorder dies or a copy is cut
    if count < _MOST_BOXES and reached + 8 > size:
        return _CUT if has_media else _HEADER_ONLY
    return ""


def _mp4_tracks(read_at: ReadAt, moov: _Box, size: int) -> str:
    if moov.end > size:
        return _CUT
    handlers = [
        read_at(box.start + 8, 4)
        for track in _boxes(read_at, moov.start, min(moov.end, size))
        if track.kind == b"trak"
        for media_box in _boxes(read_at, track.start, track.end)
        if media_box.kind == b"mdia"
        for box in _boxes(read_at, media_box.start, media_box.end)
        if box.kind == b"hdlr"
    ]
    return "" if b"soun" in handlers or not handlers else _NO_TRACK


def _matroska(read_at: ReadAt, size: int) -> str:
    """Elements up to the first cluster of sound or pictures; before it stand the tracks, as every writer has it."""
    at, end = 0, size
    for _ in range(_MOST_BOXES):
        if at + 2 > min(end, size):
            return _HEADER_ONLY if at <= size else ""
        name, length, start = _element(read_at, at)
        if name == _CLUSTER:
            return ""
        if name == _SEGMENT:
            at, end = start, size
            continue
        if name == _TRACKS and length is not None:
            kinds = _track_kinds(read_at(start, length))
            return _NO_TRACK if kinds and _AUDIO_TRACK not in kinds else ""
        if length is None:
            return ""
        at = start + length
    return ""


def _element(read_at: ReadAt, at: int) -> tuple[int, int | None, int]:
    """Name, length (None: not known) and start of what an EBML element holds. Raises IndexError at the end."""
    head = read_at(at, 12)
    name_size = 9 - head[0].bit_length()
    name = int.from_bytes(head[:name_size], "big")
    first = head[name_size]
    length_size = 9 - first.bit_length()
    if length_size > 8 or len(head) < name_size + length_size:
        raise IndexError
    length = int.from_bytes(head[name_size : name_size + length_size], "big") & (1 << 7 * length_size) - 1
    return name, None if length == (1 << 7 * length_size) - 1 else length, at + name_size + length_size


def _track_kinds(tracks: bytes) -> set[int]:
    """The kinds of all tracks: 1 is video, 2 audio."""

    def read_at(start: int, size: int) -> bytes:
        return tracks[start : start + size]

    kinds = set()
    at = 0
    while at + 2 <= len(tracks):
        name, length, start = _element(read_at, at)
        if length is None:
            break
        if name == _TRACK_ENTRY:
            inner, end = start, start + length
            while inner + 2 <= min(end, len(tracks)):
                field, size, value = _element(read_at, inner)
                if size is None:
                    break
                if field == _TRACK_TYPE:
                    kinds.add(int.from_bytes(tracks[value : value + size], "big"))
                inner = value + size
        at = start + length
    return kinds


def _asf(read_at: ReadAt, size: int) -> str:
    length = struct.unpack_from("<Q", read_at(0, 24), 16)[0]
    if length >= size:
        return _HEADER_ONLY
    head = read_at(0, min(length, _SEARCHED))
    return _NO_TRACK if _ASF_VIDEO in head and _ASF_AUDIO not in head else ""


_JUDGES: dict[str, Callable[[ReadAt, int], str]] = {
    "wav": _wav,
    "aiff": _aiff,
    "flac": _flac,
    "mp3": _mp3,
    "amr": _amr,
    "ogg": _ogg,
    "opus": _ogg,
    "m4a": _mp4,
    "mp4": _mp4,
    "webm": _matroska,
    "mkv": _matroska,
    "asf": _asf,
}
