"""The parts of a message's content: pictures, recordings and files beside text, judged as OpenAI judges them.

Inlined bytes are decoded and hashed a piece at a time, and never kept. What is said of a part names them by their
digest, so that a client can prove that a model got the very bytes of a file. Nothing is fetched: a URL stays a URL.

Source of the names: the types of OpenAI's Python SDK, openai 3.57.0 (2026-11-30). Limits and the words of errors are
from general knowledge of its reference.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from runner.server.engines.base import UnfitBody

MAX_INLINED_BYTES = 50 * 1024 * 1024  # of all parts of one request
_IMAGES = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}
_SOUNDS = {"wav": (b"RIFF",), "mp3": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa")}
_DETAILS = ("auto", "low", "high", "original")
_PIECE = 1 << 20  # characters of base64 decoded at a time: a multiple of four
_HEAD_BYTES = 16


class _Inlined(NamedTuple):
    """Bytes that came as base64: how many, their SHA-256, and the first few."""

    size_bytes: int
    sha256: str
    head: bytes

    def __str__(self) -> str:
        return f"{self.size_bytes} bytes sha256:{self.sha256}"


class Parts:
    """Reads the parts of one request; the bytes of all of them count against one limit."""

    def __init__(self, *, is_hosted: bool) -> None:
        self._is_hosted = is_hosted  # by OpenAI itself, which knows no parts but its own
        self._inlined = 0

    def text_of(self, content: Any, allowed: Mapping[str, Reader], place: str) -> str:
        """What a content says: its words, and a description in brackets of whatever is no text. Raises UnfitBody."""
        if isinstance(content, str):
            return content
        if not isinstance(content, list):
            raise _wrong_type(place, "one of a string or array of content parts")
        if not content:
            raise UnfitBody(400, "empty_array", f"Invalid '{place}': empty array.", param=place)
        said = [self._said(part, allowed, f"{place}[{index}]") for index, part in enumerate(content)]
        # texts alone are one text in pieces
        joint = "" if all(is_text for is_text, _ in said) else " "
        return joint.join(text for _, text in said if text)

    def _said(self, part: Any, allowed: Mapping[str, Reader], place: str) -> tuple[bool, str]:
        if not isinstance(part, dict):
            raise _wrong_type(place, "an object")
        kind = part.get("type")
        if not isinstance(kind, str):
            raise _missing(f"{place}.type")
        reader = allowed.get(kind)
        if reader is None and (self._is_hosted or kind in READERS):
            known = ", ".join(f"'{name}'" for name in allowed)
            text = f"Invalid value: '{kind[:64]}'. Supported values are: {known}."
            raise UnfitBody(400, "invalid_value", text, param=f"{place}.type")
        # servers beside OpenAI have more kinds (`video_url`, say), and some without a meaning here
        text = f"[{kind[:64]}]" if reader is None else reader(self, part, place)
        return reader is _text or reader is _refusal, text

    def inlined(self, data: str, place: str, *, code: str = "invalid_base64") -> _Inlined:
        """Bytes that stand in a request as base64."""
        digest, size, head = hashlib.sha256(), 0, b""
        try:
            # Python's strict mode takes `AAAA====`
            if len(data) % 4 or not data.isascii() or data.endswith("==="):
                raise binascii.Error
            for start in range(0, len(data), _PIECE):
                piece = binascii.a2b_base64(data[start : start + _PIECE], strict_mode=True)
                head = head or piece[:_HEAD_BYTES]
                size += len(piece)
                digest.update(piece)
        except binascii.Error as error:
            text = f"Invalid '{place}'. Expected a base64-encoded value, but got a value with an invalid format."
            raise UnfitBody(400, code, text, param=place) from error
        if size == 0:
            raise UnfitBody(400, code, f"Invalid '{place}': the base64-encoded value is empty.", param=place)
        self._inlined += size
        if self._inlined > MAX_INLINED_BYTES:
            text = f"The request holds more than {MAX_INLINED_BYTES:,} bytes of images, files and recordings."
            raise UnfitBody(400, "request_too_large", text, param=place)
        return _Inlined(size, digest.hexdigest(), head)

    def image(self, url: str, detail: Any, place: str) -> str:
        """A picture by its URL, or inlined in one."""
        if detail is not None and detail not in _DETAILS:
            raise _unsupported(str(detail), _DETAILS, f"{place.rpartition('.')[0]}.detail")
        if not url.startswith("data:"):
            return f"[image {_web_url(url, place)}]"
        media_type, data = _of_data_url(url, place)
        found = self.inlined(data, place)
        is_known = any(found.head.startswith(start) for starts in _IMAGES.values() for start in starts)
        if media_type not in _IMAGES or not is_known or (found.head[:4] == b"RIFF" and found.head[8:12] != b"WEBP"):
            text = (
                "You uploaded an unsupported image. Please make sure your image has of one the following formats:"
                " ['png', 'jpeg', 'gif', 'webp']."
            )
            raise UnfitBody(400, "invalid_image_format", text, param=place)
        return f"[image {media_type} {found}]"

    def file(self, said: Mapping[str, Any], place: str) -> str:
        """A file inlined, uploaded before, or by its URL."""
        name = said.get("filename")
        shown = f"{name[:128]} " if isinstance(name, str) else ""
        if isinstance(data := said.get("file_data"), str):
            media_type, inner = _of_data_url(data, f"{place}.file_data")
            return f"[file {shown}{media_type} {self.inlined(inner, f'{place}.file_data')}]"
        if isinstance(url := said.get("file_url"), str):
            return f"[file {shown}{_web_url(url, f'{place}.file_url')}]"
        if isinstance(file_id := said.get("file_id"), str):
            return f"[file {shown}{file_id[:128]}]"
        raise _missing(f"{place}.file_id")

    def sound(self, said: Mapping[str, Any], place: str) -> str:
        """A recording, inlined."""
        form = _needed(said, "format", place)
        if form not in _SOUNDS:
            raise _unsupported(form, tuple(_SOUNDS), f"{place}.format")
        found = self.inlined(_needed(said, "data", place), f"{place}.data")
        if not found.head.startswith(_SOUNDS[form]):
            text = f"The data provided for 'input_audio' is not of valid {form} format."
            raise UnfitBody(400, "invalid_value", text, param=f"{place}.data")
        return f"[audio {form} {found}]"


Reader = Callable[[Parts, Mapping[str, Any], str], str]


def _text(parts: Parts, part: Mapping[str, Any], place: str) -> str:
    return _needed(part, "text", place)


def _refusal(parts: Parts, part: Mapping[str, Any], place: str) -> str:
    return _needed(part, "refusal", place)


def _image_url(parts: Parts, part: Mapping[str, Any], place: str) -> str:
    inner = _object(part, "image_url", place)
    return parts.image(_needed(inner, "url", f"{place}.image_url"), inner.get("detail"), f"{place}.image_url.url")


def _input_image(parts: Parts, part: Mapping[str, Any], place: str) -> str:
    if isinstance(file_id := part.get("file_id"), str):
        return f"[image {file_id[:128]}]"
    return parts.image(_needed(part, "image_url", place), part.get("detail"), f"{place}.image_url")


def _input_audio(parts: Parts, part: Mapping[str, Any], place: str) -> str:
    return parts.sound(_object(part, "input_audio", place), f"{place}.input_audio")


def _file(parts: Parts, part: Mapping[str, Any], place: str) -> str:
    return parts.file(_object(part, "file", place), f"{place}.file")


def _input_file(parts: Parts, part: Mapping[str, Any], place: str) -> str:
    return parts.file(part, place)


READERS: Mapping[str, Reader] = {
    "text": _text,
    "image_url": _image_url,
    "input_audio": _input_audio,
    "file": _file,
    "refusal": _refusal,
    "input_text": _text,
    "input_image": _input_image,
    "input_file": _input_file,
    "output_text": _text,
}


def readers(*kinds: str) -> Mapping[str, Reader]:
    """Those of some kinds of parts."""
    return {kind: READERS[kind] for kind in kinds}


def _of_data_url(url: str, place: str) -> tuple[str, str]:
    """The media type and the base64 of `data:image/png;base64,...`."""
    head, comma, data = url.partition(",")
    kind, _, coding = head.removeprefix("data:").partition(";")
    if not head.startswith("data:") or not comma or coding.rpartition(";")[2] != "base64" or "/" not in kind:
        text = (
            f"Invalid '{place}'. Expected a base64-encoded data URL with a MIME type (e.g. 'data:image/png;base64,')."
        )
        raise UnfitBody(400, "invalid_value", text, param=place)
    return kind.lower(), data


def _web_url(url: str, place: str) -> str:
    if not url.startswith(("https://", "http://")) or len(url) > 20_000 or not url.isprintable() or " " in url:
        text = f"Invalid '{place}'. Expected a valid URL, but got a value with an invalid format."
        raise UnfitBody(400, "invalid_value", text, param=place)
    return url


def _object(part: Mapping[str, Any], name: str, place: str) -> Mapping[str, Any]:
    found = part.get(name)
    if found is None:
        raise _missing(f"{place}.{name}")
    if not isinstance(found, dict):
        raise _wrong_type(f"{place}.{name}", "an object")
    return found


def _needed(part: Mapping[str, Any], name: str, place: str) -> str:
    found = part.get(name)
    if found is None:
        raise _missing(f"{place}.{name}")
    if not isinstance(found, str):
        raise _wrong_type(f"{place}.{name}", "a string")
    return found


def _missing(place: str) -> UnfitBody:
    text = f"Missing required parameter: '{place}'."
    return UnfitBody(400, "missing_required_parameter", text, param=place)


def _wrong_type(place: str, wanted: str) -> UnfitBody:
    return UnfitBody(400, "invalid_type", f"Invalid type for '{place}': expected {wanted}.", param=place)


def _unsupported(value: str, known: tuple[str, ...], place: str) -> UnfitBody:
    text = f"Invalid value: '{value[:64]}'. Supported values are: {', '.join(map(repr, known))}."
    return UnfitBody(400, "invalid_value", text, param=place)
