"""The id of a request on the wire: readable, and naming its request."""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence

from runner.compile.compiled import KEY_BYTES

MAX_READABLE = 40  # characters of the user's id in a custom_id
KEY_CHARACTERS = 22  # base64url of 16 bytes without padding
_ENCODED_BYTES = KEY_CHARACTERS + 3  # with padding and a newline
_SAFE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_TO_URL = bytes.maketrans(b"+/\n", b"-_-")
_TO_PLAIN = bytes.maketrans(b"-_", b"+/")


def custom_id_of(readable: str, key: bytes) -> str:
    """The id on the wire: at most 40 safe characters of the user's id, a dash, the key in base64url.

    At most 63 of [A-Za-z0-9_-], which every remote accepts.
    """
    return custom_ids((readable,), (key,))[0].decode()


def custom_ids(readable: Sequence[str], keys: Sequence[bytes]) -> list[bytes]:
    """`custom_id_of` of each."""
    whole = "".join(readable)
    is_safe = whole.isascii() and not whole.encode().translate(None, _SAFE)
    if not is_safe or not all(readable) or max(map(len, readable), default=0) > MAX_READABLE:
        readable = [_UNSAFE.sub("_", text[:MAX_READABLE]) or "r" for text in readable]
    # the newline that ends one key's base64 becomes the dash before the next
    encoded = b"".join((b"\n", *map(binascii.b2a_base64, keys))).translate(_TO_URL)
    starts = range(0, len(encoded) - 1, _ENCODED_BYTES)
    return [
        text.encode() + encoded[start : start + 1 + KEY_CHARACTERS]
        for text, start in zip(readable, starts, strict=True)
    ]


def key_of(custom_id: str) -> bytes | None:
    """The 16-byte key a custom_id of ours names, read from the right; None for anybody else's id."""
    readable, dash, text = custom_id[:-KEY_CHARACTERS], custom_id[-KEY_CHARACTERS - 1 : -KEY_CHARACTERS], ""
    text = custom_id[-KEY_CHARACTERS:]
    if dash != "-" or len(readable) < 2 or len(text) != KEY_CHARACTERS or not text.isascii():
        return None
    try:
        key = binascii.a2b_base64(text.encode().translate(_TO_PLAIN) + b"==", strict_mode=True)
    except binascii.Error:
        return None
    # one key has one spelling: the last character carries four bits that must be zero
    return key if len(key) == KEY_BYTES and custom_id_of("", key)[-KEY_CHARACTERS:] == text else None
