"""Contents of messages in parts, as chat completions and responses have them.

Sources, of openai 3.57.0 (read 2026-11-30): `types/chat/chat_completion_content_part_param.py` (`text`; `file` with
`file_data` and `filename`), `..._image_param.py` (`image_url` with `url`, which may be a data URL, and `detail`),
`..._input_audio_param.py` (`data`, and `format`: wav or mp3); of `types/responses`, `response_input_text_param.py`
(`input_text`), `..._image_param.py` (`input_image` with `image_url`, `detail`), `..._file_param.py` (`input_file` with
`file_data`, `file_url`, `filename`); and OpenAI "File inputs" for `file_data` as a data URL. Of chat no URL of a file
is known, and of recordings none at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.job.asking import sources_in, sources_of_part
from runner.job.body import Hole, Inline, Kind
from runner.job.content import AUDIO_FORMATS, DOCUMENTS, ContentPart, PartKind, templates_in
from runner.job.project import ENDPOINTS, Message, Prompt
from runner.job.source import Source

_RESPONSES = ENDPOINTS[1]


def content_of(message: Message, prompt: Prompt, endpoint: str) -> Any:
    """The content of a message as a tree with holes."""
    if isinstance(message.content, str):
        return Hole(sources_in(message, prompt))
    what = f"the {message.role} message of prompt `{prompt.key}`"
    return [_part(part, what, endpoint == _RESPONSES) for part in message.content]


def _part(part: ContentPart, what: str, is_responses: bool) -> Any:
    sources = sources_of_part(part, what)
    match part.kind:
        case PartKind.NATIVE:
            return _with_holes(part.native, iter(sources))
        case PartKind.TEXT:
            return {"type": "input_text" if is_responses else "text", "text": Hole(sources)}
    return Hole(sources, Kind.FILE, inline=(_of_responses if is_responses else _of_chat)(part))


def _with_holes(native: Any, sources: Iterator[Source]) -> Any:
    match native:
        case Mapping():
            return {name: _with_holes(value, sources) for name, value in native.items()}
        case list() | tuple():
            return [_with_holes(value, sources) for value in native]
        case str() if templates_in(native):
            return Hole((next(sources),))
    return native


def _of_chat(part: ContentPart) -> Inline:
    detail = {"detail": part.detail} if part.detail else {}
    match part.kind:
        case PartKind.IMAGE:
            return _inline(
                part,
                lambda kind, data: {"type": "image_url", "image_url": {"url": _url(kind, data), **detail}},
                lambda url: {"type": "image_url", "image_url": {"url": url, **detail}},
            )
        case PartKind.FILE:
            return _inline(part, lambda kind, data: {"type": "file", "file": _document(kind, data)})
    return _inline(
        part,
        lambda kind, data: {"type": "input_audio", "input_audio": {"data": data, "format": _format(kind)}},
    )


def _of_responses(part: ContentPart) -> Inline:
    detail = {"detail": part.detail} if part.detail else {}
    match part.kind:
        case PartKind.IMAGE:
            return _inline(
                part,
                lambda kind, data: {"type": "input_image", "image_url": _url(kind, data), **detail},
                lambda url: {"type": "input_image", "image_url": url, **detail},
            )
        case PartKind.FILE:
            return _inline(
                part,
                lambda kind, data: {"type": "input_file", **_document(kind, data)},
                lambda url: {"type": "input_file", "file_url": url},
            )
    raise AssertionError("specs with recordings for this endpoint are refused")


def _inline(part: ContentPart, of_file: Any, of_url: Any = None) -> Inline:
    return Inline(part.kind, of_file, of_url, part.detail, part.media_type)


def _url(media_type: str, data: str) -> str:
    return f"data:{media_type};base64,{data}"


def _document(media_type: str, data: str) -> dict[str, str]:
    """Its own name is none of our business: with another one it would be another request."""
    return {"filename": f"file.{DOCUMENTS.get(media_type, 'bin')}", "file_data": _url(media_type, data)}


def _format(media_type: str) -> str:
    return AUDIO_FORMATS.get(media_type) or media_type.partition("/")[2]
