"""Pictures and documents made by hand, byte for byte as the formats' own pages say."""

from __future__ import annotations

import random
import struct
import zipfile
import zlib
from io import BytesIO


def png(width: int = 3, height: int = 2, seed: int = 0) -> bytes:
    """A real one, of colours by chance."""
    chance = random.Random(seed)
    lines = b"".join(b"\0" + chance.randbytes(3 * width) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(name, data) for name, data in ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 1)), (b"IEND", b""))
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def large_png(size_bytes: int, seed: int = 0) -> bytes:
    """One of so many bytes: what follows its end is not looked at."""
    start = png(1000, 800, 0)[:33]
    return start + random.Random(seed).randbytes(size_bytes - len(start))


def jpeg(width: int = 640, height: int = 480, exif: int = 5_000) -> bytes:
    """Its head, with what a camera writes before the size."""
    app1 = b"\xff\xe1" + struct.pack(">H", exif + 2) + b"Exif\0\0" + bytes(exif - 6)
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + app1 + frame + b"\xff\xd9"


def gif(width: int = 7, height: int = 5) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0;"


def webp(width: int = 30, height: int = 20) -> bytes:
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0" * 4 + (width - 1).to_bytes(3, "little")
    body += (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_lossless(width: int = 30, height: int = 20) -> bytes:
    body = b"WEBPVP8L" + struct.pack("<I", 5) + b"\x2f" + ((height - 1) << 14 | (width - 1)).to_bytes(4, "little")
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp(width: int = 9, height: int = 4) -> bytes:
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHH", 40, width, -height, 1, 24) + bytes(24)


def pdf(text: str = "hello") -> bytes:
    return b"%PDF-1.7\n" + text.encode() + b"\n%%EOF\n"


def docx() -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr("media.bin", random.Random(1).randbytes(90_000))
        file.writestr("word/document.xml", "<w/>")
    return out.getvalue()
