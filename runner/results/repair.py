"""What strict JSON forbids and vendors nevertheless write, put right."""

from __future__ import annotations

import re

BOM = b"\xef\xbb\xbf"

# A string (or the rest of a cut one), or a word that JSON lacks. Possessive, so a cut line costs one pass; each choice
# begins with a letter, so that whatever lies between is skipped quickly.
_TOKEN = re.compile(
    r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|N(?<!\wN)aN\b|I(?<!\wI)nfinity\b|-(?:NaN|Infinity)\b', re.DOTALL
)
_SUSPECT = re.compile(r"[\x00-\x1f]|\\u[dD][89a-fA-F]")
_PIECE = re.compile(
    r"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|(?P<control>[\x00-\x1f])|\\.",
    re.DOTALL,
)


def repaired(line: bytes) -> bytes:
    """The line with what strict JSON forbids and vendors nevertheless write put right, everything else untouched.

    Bytes that are not UTF-8 and lone surrogates become U+FFFD, NaN and infinities null, raw control characters
    escapes; a byte order mark and padding NULs go. An answer that was paid for is worth more than one character of it.
    """
    text = bare(line).decode("utf-8", "replace")
    pieces: list[str] = []
    at = 0
    for token in _TOKEN.finditer(text):
        found = token[0]
        if (mended := _mended(found)) is not found:
            pieces += (text[at : token.start()], mended)
            at = token.end()
    return "".join((*pieces, text[at:])).encode()


def bare(line: bytes) -> bytes:
    """The line without what stands around its JSON."""
    return line.removeprefix(BOM).strip(b"\x00 \t\r")


def _mended(text: str) -> str:
    if text[0] != '"':
        return "null"
    return _PIECE.sub(_mend_piece, text) if _SUSPECT.search(text) else text


def _mend_piece(piece: re.Match[str]) -> str:
    if piece["lone"]:
        return "\\ufffd"
    if piece["control"]:
        return f"\\u{ord(piece[0]):04x}"
    return piece[0]
