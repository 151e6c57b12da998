"""What a file is that goes into a request, by what it holds: its media type, and how large a picture is in pixels.

Names lie, and a remote answers a picture under the wrong media type with an error for each row. Signatures and places
of sizes: the PNG specification (section 5.2 and 11.2.1), ITU-T T.81 (JPEG, B.2.2), GIF89a, RFC 9649 (WebP), the BMP
and TIFF 6.0 layouts, ISO/IEC 23008-12 (HEIF), the PDF 1.7 header; recordings as `media` tells them.
"""

from __future__ import annotations

import codecs
import struct
from typing import NamedTuple

from runner.data import media
from runner.data.media import ReadAt

HEAD = 4096
TAIL = 65_536
_JPEG_SEGMENTS = 1_000
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start of a frame, which holds the size

# Name of four letters at most -> media type. Sources: IANA's registry; `audio/wav` and `audio/mpeg` as remotes have it.
MEDIA_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
    "ppm": "image/x-portable-pixmap",
    "heic": "image/heic",
    "avif": "image/avif",
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "text": "text/plain",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
    "aac": "audio/aac",
    "amr": "audio/amr",
    "aiff": "audio/aiff",
    "asf": "video/x-ms-asf",
}
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"%PDF-", "pdf"),
)
_OFFICE = ((b"word/", "docx"), (b"xl/", "xlsx"), (b"ppt/", "pptx"))


class Kind(NamedTuple):
    """What a file is. name: one of `MEDIA_TYPES`, empty where it is nothing we know."""

    name: str
    width: int = 0  # pixels; 0 where that is not known
    height: int = 0
    seconds: float | None = None

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES.get(self.name, "")


def kind_of(read_at: ReadAt, size: int) -> Kind:
    """What a file of `size` bytes is. Never raises."""
    head = read_at(0, HEAD)
    if name := _picture(head):
        try:
            width, height = _SIZES[name](head, read_at) if name in _SIZES else (0, 0)
        except (struct.error, IndexError, ValueError):
            width, height = 0, 0
        return Kind(name, width, height)
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return Kind(name)
    if head.startswith(b"PK\x03\x04"):
        # the names of what is in it stand at its end
        tail = read_at(max(0, size - TAIL), TAIL)
        return Kind(next((name for part, name in _OFFICE if part in tail), ""))
    if found := media.format_of(read_at):
        return Kind(found, seconds=media.seconds_of(found, read_at, size))
    return Kind("text" if _is_text(head) else "")


def _picture(head: bytes) -> str:
    for magic, name in _MAGIC:
        if name != "pdf" and head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp" and head[8:12] in media.IMAGES:
        return "avif" if head[8:12] == b"avif" else "heic"
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0" and head[14:18] in (b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0"):
        return "bmp"
    is_ppm = head[:2] in (b"P3", b"P6") and head[2:3] in b" \t\r\n" and head[2:3]
    return "ppm" if is_ppm else ""


def _is_text(head: bytes) -> bool:
    """Whether it begins as UTF-8 text does: the last letter may be cut."""
    if not head or b"\0" in head:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _png(head: bytes, _: ReadAt) -> tuple[int, int]:
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def _gif(head: bytes, _: ReadAt) -> tuple[int, int]:
    width, height = struct.unpack("<HH", head[6:10])
    return width, height


def _bmp(head: bytes, _: ReadAt) -> tuple[int, int]:
    width, height = struct.unpack("<ii", head[18:26])
    return abs(width), abs(height)


def _webp(head: bytes, _: ReadAt) -> tuple[int, int]:
    match head[12:16]:
        case b"VP8 ":
            width, height = struct.unpack("<HH", head[26:30])
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return 0, 0


def _jpeg(_: bytes, read_at: ReadAt) -> tuple[int, int]:
    """The size stands behind what cameras write before it, which may be large: each segment says how long it is."""
    at = 2
    for _segment in range(_JPEG_SEGMENTS):
        marker = read_at(at, 9)
        if len(marker) < 9 or marker[0] != 0xFF:
            break
        if marker[1] == 0xFF:  # filling
            at += 1
            continue
        if marker[1] in _JPEG_SIZES:
            height, width = struct.unpack(">HH", marker[5:9])
            return width, height
        at += 2 + int.from_bytes(marker[2:4], "big")
    return 0, 0


_SIZES = {"png": _png, "gif": _gif, "bmp": _bmp, "webp": _webp, "jpeg": _jpeg}
