"""What a file is by its first bytes, where that is not what its name says.

A Git LFS pointer, a gzip without `.gz`, a workbook called `.csv`: read as data, they would be sent, or end in words
about a row. So each is told by name, with the way out.
"""

from __future__ import annotations

import codecs
import re

import msgspec

from runner.data import media

HEAD = 4096  # bytes that a verdict needs


class Strange(msgspec.Struct, frozen=True):
    """What a file is, as it follows `the file is`, and what to do about it."""

    what: str
    hint: str


_UNPACK = "unpack it, or give it the suffix `{}`"
_SAVE_AS_CSV = "open it and save the sheet as `CSV UTF-8`"
_NO_TABLE = "take it out of what the spec names"
_AUDIO = "recordings are named by `audio` of a job"
_MP3 = Strange("an MP3 recording", _AUDIO)
_MAGIC: tuple[tuple[bytes, Strange], ...] = (
    (b"version https://git-lfs.github.com/spec/", Strange("a Git LFS pointer, not the data", "run `git lfs pull`")),
    (b"/annex/objects/", Strange("a git-annex pointer, not the data", "run `git annex get`")),
    (b"\x1f\x8b", Strange("packed with gzip, whatever its name says", _UNPACK.format(".gz"))),
    (b"\x28\xb5\x2f\xfd", Strange("packed with zstd, whatever its name says", _UNPACK.format(".zst"))),
    (b"\x04\x22\x4d\x18", Strange("packed with LZ4", "unpack it with `unlz4`")),
    (b"\xff\x06\0\0sNaPpY", Strange("packed with Snappy", "unpack it")),
    (b"BZh", Strange("packed with bzip2", "unpack it with `bunzip2`")),
    (b"\xfd7zXZ\0", Strange("packed with xz", "unpack it with `unxz`")),
    (b"7z\xbc\xaf\x27\x1c", Strange("a 7z archive", "unpack it")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Strange("an old Excel workbook", _SAVE_AS_CSV)),
    (b"PK\x05\x06", Strange("an empty zip archive", "pack it again, or name the files themselves")),
    (b"Rar!\x1a\x07", Strange("a RAR archive", "unpack it, and name the files in it")),
    (b"\x89PNG\r\n", Strange("a PNG image", _NO_TABLE)),
    (b"\xff\xd8\xff", Strange("a JPEG image", _NO_TABLE)),
    (b"II*\0", Strange("a TIFF image", _NO_TABLE)),
    (b"MM\0*", Strange("a TIFF image", _NO_TABLE)),
    (b"\x7fELF", Strange("a program", _NO_TABLE)),
    (b"GIF87a", Strange("a GIF image", _NO_TABLE)),
    (b"GIF89a", Strange("a GIF image", _NO_TABLE)),
    (b"ID3\x02", _MP3),
    (b"ID3\x03", _MP3),
    (b"ID3\x04", _MP3),
    (b"OggS\0", Strange("an Ogg recording", _AUDIO)),
    (b"fLaC\0", Strange("a FLAC recording", _AUDIO)),
    (b"\x93NUMPY", Strange("a NumPy array", "write it as `.parquet` or `.jsonl`")),
    (b"{\\rtf", Strange("a document in RTF", "save it as text, and the rows of it as `.csv`")),
    (b"PAR1", Strange("a Parquet file, whatever its name says", "give it the suffix `.parquet`")),
    (b"PARE", Strange("an encrypted Parquet file", "write it without encryption")),
    (b"ARROW1", Strange("an Arrow or Feather file", "write it as `.parquet`")),
    (b"\xff\xff\xff\xff", Strange("an Arrow stream", "write it as `.parquet`")),
    (b"ORC", Strange("an ORC file", "write it as `.parquet`")),
    (b"Obj\x01", Strange("an Avro file", "write it as `.parquet` or `.jsonl`")),
    (b"SQLite format 3\0", Strange("an SQLite database", "write the table as `.csv`")),
    (b"%PDF-", Strange("a PDF document", "convert it to text first")),
    (b"\x89HDF\r\n", Strange("an HDF5 file", "write it as `.parquet`")),
    (b"\x80\x04\x95", Strange("a Python pickle", "write it as `.parquet` or `.jsonl`")),
)
_WORDS = (b"PAR1", b"PARE", b"ORC")  # that a header may begin with as well: `PARENT`, `ORCID`
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # control characters that no text has; ESC colours a log
_MOST_CONTROLS = 0.1  # of the bytes of a table; of other text than UTF-8 a fifth of it
_LEAST_CONTROLS = 8  # fewer are a few bad rows
_IS_JSON = Strange("JSON lines, whatever its name says", "give it the suffix `.jsonl`")
_SOUNDS = (
    (b".snd", "a Sun/NeXT recording (.au)"),
    (b"caff", "a Core Audio recording (.caf)"),
    (b"riff\x2e\x91\xcf\x11", "a Wave64 recording (.w64)"),
    (b"wvpk", "a WavPack recording"),
    (b"MAC ", "a Monkey's Audio recording"),
    (b"\x02dss", "a dictation in DSS"),
    (b"\x03ds2", "a dictation in DS2"),
    (b"#!SILK", "a voice message in SILK"),
    (b"\x02#!SILK", "a voice message in SILK"),
    (b"\x0b\x77", "a recording in AC-3"),
)
_UTF_16 = Strange("text in UTF-16, not UTF-8", "convert it: `iconv -f UTF-16 -t UTF-8 OLD > NEW`")
_UTF_32 = Strange("text in UTF-32, not UTF-8", "convert it: `iconv -f UTF-32 -t UTF-8 OLD > NEW`")
_QUOTED = re.compile(rb'"(?:[^"]|"")*"')
_BOM = re.compile(rb"\A(?:\xef\xbb\xbf)*")
_HTML = re.compile(rb"(?:\xef\xbb\xbf)*\s*<(!doctype html|html|head|body|table|\?xml)[\s>]", re.IGNORECASE)


def strange(head: bytes) -> Strange | None:
    """What a file is that can be no table of rows, by its first `HEAD` bytes; None where it may be one."""
    if head.startswith(b"PK\x03\x04"):
        return _zip(head)
    for magic, found in _MAGIC:
        if head.startswith(magic) and (magic not in _WORDS or _BINARY.search(head)):
            return found
    if head[257:262] == b"ustar":
        return Strange("a tar archive", "unpack it, and name the files in it")
    if image := _image_in(head):
        return Strange(f"an image ({image})", _NO_TABLE)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return _UTF_32
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or _is_bare_utf16(head):
        return _UTF_16
    if _HTML.match(head):
        return Strange("a web page or XML, not a table", "was a download answered with an error page?")
    return None


def strange_table(head: bytes, form: str) -> Strange | None:
    """What a file is that is no table of the format its name says, by its first `HEAD` bytes."""
    if form == ".parquet" and (head.startswith(b"PAR1") or not head):
        return None
    if found := strange(head):
        return found
    if form == ".parquet":
        return _json_in(head) or Strange("not Parquet, though its name says so", "give it the suffix of what it is")
    if form in (".csv", ".tsv") and (found := _json_in(head)):
        return found
    return _binary_in(head)


def _json_in(head: bytes) -> Strange | None:
    """What begins with a whole object of JSON, or with an array of them, is no header."""
    first = _BOM.sub(b"", head, 1).lstrip().partition(b"\n")[0].strip()
    if re.match(rb"\[\s*(\{|\Z)", first):
        return Strange("a JSON array, not a table", "`jq -c '.[]' OLD > NEW.jsonl` makes rows of it")
    try:
        return _IS_JSON if first[:1] == b"{" and isinstance(msgspec.json.decode(first), dict) else None
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _binary_in(head: bytes) -> Strange | None:
    """What is no text at all: recordings, and what holds many control characters. Single ones are for the rows."""
    controls = len(_BINARY.findall(head))
    if not controls:
        return None
    kind = media.format_of(lambda start, size: head[start : start + size])
    if kind is not None:
        return Strange(f"a recording or film ({kind})", _AUDIO)
    try:
        head.decode()
        most = _MOST_CONTROLS
    except UnicodeDecodeError as error:
        most = _MOST_CONTROLS if error.start > len(head) - 4 else _MOST_CONTROLS / 5
    if controls >= _LEAST_CONTROLS and controls > most * len(head):
        return Strange("binary data, not text", _NO_TABLE)
    return None


def _image_in(head: bytes) -> str:
    """Of a format that shares its first bytes with recordings; empty for others."""
    if head[4:8] == b"ftyp":
        return media.IMAGES.get(head[8:12], "")
    return "WebP" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else ""


def strange_sound(head: bytes) -> Strange | None:
    """What a file is that is no recording of a format that remotes take, by its first `HEAD` bytes."""
    if head.startswith(b"MThd"):
        return Strange("MIDI, which holds notes and no sound", "take it out with `exclude`")
    for magic, what in _SOUNDS:
        if head.startswith(magic):
            return Strange(what, "convert it to FLAC, for example with `ffmpeg -i OLD NEW.flac`")
    return strange(head)


# Read as one line, such a file would be a header without rows, and with `allow_empty` nobody would notice.
def ends_lines_with_cr(head: bytes) -> bool:
    """Whether lines end in a carriage return alone, as some spreadsheets on a Mac write them."""
    if b"\r" not in head or b"\r\n" in head:
        return False
    bare = _QUOTED.sub(b"", head)
    return b"\r" in bare[:-1] and b"\n" not in bare


def _zip(head: bytes) -> Strange:
    if b"word/" in head or b"ppt/" in head:
        return Strange("an Office document", "save it as text, and the rows of it as `.csv`")
    if b"xl/" in head or b"[Content_Types].xml" in head:
        return Strange("an Excel workbook", _SAVE_AS_CSV)
    if b"opendocument.spreadsheet" in head:
        return Strange("an OpenDocument spreadsheet", _SAVE_AS_CSV)
    return Strange("a zip archive", "unpack it, and name the files in it")


def _is_bare_utf16(head: bytes) -> bool:
    """Without a mark at its start: every second byte of Western text is NUL."""
    some = head[: len(head) // 2 * 2][:400]
    if len(some) < 4:
        return False
    return any(some[side::2].count(0) > 0.7 * len(some) / 2 and 0 not in some[1 - side :: 2] for side in (0, 1))
