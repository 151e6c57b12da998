"""The templates of what is asked, each with its place in the specs."""

from __future__ import annotations

from runner.job.content import ContentPart, PartKind, templates_in
from runner.job.project import Message, Prompt
from runner.job.source import Source


def sources_of(prompt: Prompt) -> tuple[Source, ...]:
    """The templates of a prompt's messages, in order."""
    return tuple(source for message in prompt.messages for source in sources_in(message, prompt))


def sources_in(message: Message, prompt: Prompt) -> tuple[Source, ...]:
    """The templates of one message: of its content, or of each of its parts."""
    what = f"the {message.role} message of prompt `{prompt.key}`"
    if isinstance(message.content, str):
        return (Source(message.content, message.mark, what),)
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
