"""JSON of strangers: what strict JSON forbids and vendors nevertheless write is put right, and no number is too large.

An answer that was paid for is worth more than one character of it.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

BOM = b"\xef\xbb\xbf"
NOT_SO = (msgspec.MsgspecError, ValueError, RecursionError)  # what decoding bytes of a stranger may raise
_decode = msgspec.json.Decoder().decode

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
_LONGEST = 300  # digits: Python reads integers of a few thousand, and no remote means one
_TEXT_OR_NUMBER = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?[0-9][0-9.eE+-]*+', re.DOTALL)
_IN_ITS_PLACE = b"[]"  # no text that could be taken for an answer, no status, and not nothing


def decode(data: bytes | str) -> Any:
    """The value, mended where it has to be. Raises ValueError for what is no JSON at all."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    try:
        return values_of(raw)
    except NOT_SO:
        pass
    try:
        return values_of(repaired(raw))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("not JSON" if isinstance(error, msgspec.MsgspecError) else "nested too deeply") from error


def values_of(data: bytes | msgspec.Raw) -> Any:
    """JSON as plain values, whatever numbers stand in it.

    A number that no float or small integer holds is no reason to give up what stands beside it: only where a whole
    line is looked at as values it becomes an empty list. Answers are cut out of the bytes and keep it.
    Raises msgspec.MsgspecError or ValueError for what is no JSON, RecursionError for what is nested too deeply.
    """
    try:
        return _decode(data)
    except msgspec.ValidationError:  # which only a number can be to a decoder that wants no type
        return _decode(_TEXT_OR_NUMBER.sub(_tamed, bytes(data)))


def _tamed(token: re.Match[bytes]) -> bytes:
    text = token[0]
    if text[:1] == b'"' or (len(text) < _LONGEST and b"e" not in text.lower()):
        return text
    try:
        is_out_of_range = float(text) in (float("inf"), float("-inf"))
    except ValueError:
        return text  # no number either: for the decoder to refuse
    return _IN_ITS_PLACE if is_out_of_range or text.lstrip(b"-").isdigit() else text


def repaired(line: bytes) -> bytes:
    """The line with what strict JSON forbids and vendors nevertheless write put right, everything else untouched.

    Bytes that are not UTF-8 and lone surrogates become U+FFFD, NaN and infinities null, raw control characters
    escapes; a byte order mark and padding NULs go.
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
