"""The templates of what is asked, each with its place in the specs."""

from __future__ import annotations

from runner.job.project import Prompt
from runner.job.source import Source


def sources_of(prompt: Prompt) -> tuple[Source, ...]:
    """The templates of a prompt's messages, in order."""
    return tuple(
        Source(message.content, message.mark, f"the {message.role} message of prompt `{prompt.key}`")
        for message in prompt.messages
    )
