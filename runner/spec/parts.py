"""The content of a message as a list: texts, pictures, documents, recordings, and parts as an endpoint has them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field

from runner.fields import Before, Text, complaint, plain
from runner.job.content import ContentPart, PartKind, templates_in
from runner.spec.nodes import Mapping, Node, Scalar, Sequence

# Source: openai 3.57.0, `types/chat/chat_completion_content_part_image_param.py`.
_DETAILS = ("auto", "low", "high", "original")
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*")
_KINDS = tuple(kind.value for kind in PartKind if kind is not PartKind.NATIVE)
_OPTIONS = {
    "text": (),
    "image": ("detail", "media_type"),
    "file": ("media_type",),
    "audio": ("media_type",),
}
_SUCH_AS = "such as `{text: ...}` or `{image: ...}`"


def _content(value: Any) -> Any:
    """A template, or a list of parts."""
    text = getattr(value, "source", value)  # a number as it is written
    if isinstance(text, str):
        if not text.strip():
            raise complaint("is empty")
        return text
    if not isinstance(value, list):
        raise complaint("must be text, or a list of parts", _SUCH_AS)
    if not value:
        raise complaint("is empty", "give it at least one part")
    return [_part(item, index) for index, item in enumerate(value)]


def _form() -> Any:
    from runner.spec.partfields import AnyPart  # only the JSON Schema shows them

    return Text | Annotated[list[AnyPart], Field(min_length=1)]


Content = Annotated[Any, Before(_content, _form)]


def _part(item: Any, index: int) -> Any:
    if not isinstance(item, dict):
        raise complaint("must be a mapping", _SUCH_AS, (index,))
    if "type" in item:
        return plain(item, (index,))
    kinds = [name for name in item if name in _KINDS]
    if len(kinds) != 1:
        words = (
            f"has both `{kinds[0]}` and `{kinds[1]}`" if kinds else "must have one of `text`, `image`, `file`, `audio`"
        )
        raise complaint(
            words, "make two parts of it" if kinds else f"{_SUCH_AS}, or `type` for a native part", (index,)
        )
    (kind,) = kinds
    for name in item:
        if name != kind and name not in _OPTIONS[kind]:
            known = ", ".join(f"`{option}`" for option in _OPTIONS[kind])
            hint = f"beside `{kind}` there may be {known}" if known else "remove it"
            raise complaint(f"cannot have `{str(name)[:60]}` beside `{kind}`", hint, (index, name))
    return {name: _value(name, value, index) for name, value in item.items()}


def _value(name: str, value: Any, index: int) -> str:
    text = getattr(value, "source", value)
    if not isinstance(text, str):
        raise complaint("must be text", path=(index, name))
    if not text.strip():
        raise complaint("is empty", path=(index, name))
    if name == "detail" and text not in _DETAILS:
        raise complaint("must be one of " + ", ".join(f"`{one}`" for one in _DETAILS), path=(index, name))
    if name == "media_type" and not _MEDIA_TYPE.fullmatch(text):
        raise complaint("must be a media type", "such as `image/png`", (index, name))
    return text


def parts_of(content: list[dict[str, Any]], node: Node | None) -> tuple[ContentPart, ...]:
    """The parts of a checked content. node: where it is written."""
    items = node.items if isinstance(node, Sequence) else []
    return tuple(_checked(part, item) for part, item in zip(content, items, strict=True))


def _checked(part: dict[str, Any], node: Node) -> ContentPart:
    if "type" in part:
        marks = tuple(scalar.text_mark for scalar in _texts_in(node))
        return ContentPart(PartKind.NATIVE, mark=node.mark, native=part, marks=marks[: len(templates_in(part))])
    kind = PartKind(next(name for name in part if name in _KINDS))
    written = node.get(kind.value) if isinstance(node, Mapping) else None
    mark = written.text_mark if isinstance(written, Scalar) else node.mark
    return ContentPart(kind, part[kind.value], mark, part.get("detail", ""), part.get("media_type", ""))


def _texts_in(node: Node) -> list[Scalar]:
    """The scalars below a node that are templates, in the order of `templates_in`."""
    match node:
        case Mapping():
            return [scalar for _, value in node.entries.values() for scalar in _texts_in(value)]
        case Sequence():
            return [scalar for item in node.items for scalar in _texts_in(item)]
        case Scalar(value=str()) if templates_in(node.value):
            return [node]
    return []
