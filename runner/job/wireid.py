"""The id of a request on the wire: readable, and naming its request."""

from __future__ import annotations

import binascii
import re
import struct
from collections.abc import Sequence
from contextlib import suppress

from runner.job.packed import KEY_BYTES

MAX_READABLE = 40  # characters of the user's id in a custom_id
KEY_CHARACTERS = 22  # base64url of 16 bytes without padding
_CODED = struct.Struct("16s2x")  # what such characters and "AA" for their padding stand for
_CODED_CHARACTERS = KEY_CHARACTERS + 2
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
    """The 16-byte key in the last 22 characters of a wire custom_id, None where it is not one of ours.

    The 22 characters may hold `-` and `_` themselves, so they are counted from the right. The last one carries
    two bits only: another spelling of the same bits is not ours.
    """
    if len(custom_id) <= KEY_CHARACTERS or custom_id[-KEY_CHARACTERS - 1] != "-" or custom_id[-1] not in "AQgw":
        return None
    text = custom_id[-KEY_CHARACTERS:]
    if "+" in text or "/" in text:
        return None
    try:
        return binascii.a2b_base64(text.replace("-", "+").replace("_", "/") + "==", strict_mode=True)
    except (binascii.Error, ValueError):  # ValueError: characters outside ASCII
        return None


def coded(key: bytes) -> str:
    """How a wire custom_id ends that names this 16-byte key: a dash and 22 characters."""
    return "-" + binascii.b2a_base64(key, newline=False)[:KEY_CHARACTERS].translate(_TO_URL).decode()


def keys_named(custom_ids: list[str]) -> Sequence[bytes | None]:
    """`key_of` for many ids, at a fraction of the cost: one decode for all of them.

    With "AA" in place of padding each id is 18 bytes: the key, a byte that is zero in the one spelling that is ours,
    and a zero.
    """
    count = len(custom_ids)
    ends = "AA".join([*[custom_id[-KEY_CHARACTERS - 1 :] for custom_id in custom_ids], ""])
    step = 1 + _CODED_CHARACTERS
    if len(ends) == step * count and ends[::step] == "-" * count and ends.isascii():
        text = bytearray(ends.encode())
        del text[::step]  # the dashes
        if b"+" not in text and b"/" not in text:
            with suppress(binascii.Error):
                packed = binascii.a2b_base64(text.translate(_TO_PLAIN), strict_mode=True)
                if not any(packed[KEY_BYTES :: _CODED.size]):
                    return [key for (key,) in _CODED.iter_unpack(packed)]
    return [key_of(custom_id) for custom_id in custom_ids]
