"""What is asked, as trees of JSON with a hole for each template, and the templates themselves with their places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.job.body import Hole, Kind, planned
from runner.job.content import ContentPart, PartKind, templates_in
from runner.job.project import Message, Model, Place, Prompt
from runner.job.reading import param_of
from runner.job.source import Form, Source, is_whole

PARAMS = "params"


def sources_of(prompt: Prompt) -> tuple[Source, ...]:
    """The templates of a prompt, and the columns that it names, in order."""
    trees: list[Any] = []
    for message in prompt.messages:
        trees.append(column_of(message, prompt) if message.column else Hole(sources_in(message, prompt)))
        trees.append(fields_of(message, prompt))
    if prompt.tools_column:
        trees.append(tools_of(prompt))
    if prompt.body is not None:
        trees.append(body_of(prompt))
    return planned(trees).sources


def sources_of_params(model: Model) -> tuple[Source, ...]:
    """The templates among a model's params, in order."""
    return planned([*_holes(model.places, model.params, f"of model `{model.key}`", PARAMS)]).sources


def sources_in(message: Message, prompt: Prompt) -> tuple[Source, ...]:
    """The templates of one message: of its content, or of each of its parts."""
    what = f"the {message.role} message of prompt `{prompt.key}`"
    if isinstance(message.content, str):
        return (Source(message.content, message.mark, what),) if message.content else ()
    return tuple(source for part in message.content for source in sources_of_part(part, what))


def sources_of_part(part: ContentPart, message: str) -> tuple[Source, ...]:
    """message: how its message is called."""
    if part.kind is PartKind.NATIVE:
        templates = templates_in(part.native)
        marks = part.marks or (part.mark,) * len(templates)
        return tuple(Source(text, mark, f"a part of {message}") for text, mark in zip(templates, marks, strict=True))
    if part.kind is PartKind.TEXT:
        return (Source(part.template, part.mark, f"a text of {message}"),)
    return (Source(part.template, part.mark, f"the {part.kind.value} of {message}"),)


def column_of(message: Message, prompt: Prompt) -> Hole:
    """All messages that a row has in a column."""
    what = f"`messages` of prompt `{prompt.key}`"
    return Hole((Source(message.column, message.mark, what, Form.COLUMN),), Kind.ITEMS)


def fields_of(message: Message, prompt: Prompt) -> Mapping[str, Any]:
    """What a message has beside role and content."""
    found: Mapping[str, Any] = with_holes(
        message.fields, message.places, f"of the {message.role} message of prompt `{prompt.key}`"
    )
    return found


def tools_of(prompt: Prompt) -> Hole:
    """The tools that each row has in a column."""
    what = f"`tools` of prompt `{prompt.key}`"
    return Hole((Source(prompt.tools_column, prompt.tools_mark, what, Form.COLUMN),), Kind.ITEMS)


def body_of(prompt: Prompt) -> Any:
    """A request as a whole: a hole where a column holds it, else a mapping with holes in it."""
    body = prompt.body
    assert body is not None
    if body.column:
        return Hole((Source(body.column, body.mark, f"`body` of {prompt.called}", Form.COLUMN),), Kind.JSON)
    return with_holes(body.tree, body.places, f"of {prompt.called}", "body")


def with_holes(value: Any, places: tuple[Place, ...], owner: str, top: str = "") -> Any:
    """A value of the specs with a hole for each of its templates. owner, top: what it is called in messages."""
    holes = dict(zip((place.path for place in places), _holes(places, value, owner, top), strict=True))
    return _filled(value, holes, ()) if holes else value


def _filled(value: Any, holes: Mapping[tuple[str | int, ...], Hole], path: tuple[str | int, ...]) -> Any:
    if path in holes:
        return holes[path]
    match value:
        case Mapping():
            return {key: _filled(item, holes, (*path, key)) for key, item in value.items()}
        case list() | tuple():
            return [_filled(item, holes, (*path, number)) for number, item in enumerate(value)]
        case _:
            return value


def _holes(places: tuple[Place, ...], value: Any, owner: str, top: str) -> Iterator[Hole]:
    for place in places:
        text = value
        for part in place.path:
            text = text[part]
        what = f"`{shown((top, *place.path) if top else place.path)}` {owner}"
        if is_whole(text):
            shape = param_of(place, what) if top == PARAMS else None
            yield Hole((Source(text, place.mark, what, Form.VALUE),), Kind.JSON, shape)
        else:
            yield Hole((Source(text, place.mark, what),))


def shown(path: tuple[str | int, ...]) -> str:
    """A path as people write it: `messages[0].content`."""
    first, *more = path
    return str(first) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in more)
