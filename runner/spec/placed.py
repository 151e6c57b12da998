"""A part of an entry that is checked by itself: how it is called in messages, and where its parts are written."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from pydantic import ValidationError

from runner.errors import Mark
from runner.fields import MAX_NAME_CHARS, Fields, name_rule
from runner.job.address import NAME
from runner.job.source import Source, Value
from runner.spec.nodes import Mapping, Node, Scalar, data_of, kind_of
from runner.spec.problems import Problems
from runner.spec.violations import Subject, report

T = TypeVar("T", bound=Fields)


def name_wrong(name: str) -> str:
    """What is wrong with a name that is a key, in words; empty where nothing is."""
    return "" if NAME.match(name) and len(name) <= MAX_NAME_CHARS else name_rule()


def is_template(text: str) -> bool:
    return "{{" in text or "{%" in text


class Placed(msgspec.Struct, frozen=True):
    """What is written below `key`, which is `subject`: "check `intent` of job `reply`"."""

    subject: Subject
    key: Scalar
    node: Node
    problems: Problems

    def fields(self, model: type[T]) -> T | None:
        """Its fields, or None after problems with them."""
        try:
            return model.model_validate(data_of(self.node))
        except ValidationError as error:
            report(error, self.subject, self.key, self.node, model, self.problems)
            return None

    def value(self, name: str) -> Node | None:
        return self.node.get(name) if isinstance(self.node, Mapping) else None

    def key_mark(self, name: str) -> Mark:
        is_written = isinstance(self.node, Mapping) and name in self.node.entries
        return self.node.key(name).mark if is_written and isinstance(self.node, Mapping) else self.key.mark

    def error(self, mark: Mark, words: str, hint: str = "") -> None:
        self.problems.error(mark, words, hint)

    def source(self, name: str, node: Node | None = None) -> Source:
        """The text at `name`, or in `node` below it. It was found to be text."""
        node = node or self.value(name)
        assert isinstance(node, Scalar), "whoever asks has looked"
        return Source(text_of(node) or "", node.text_mark, f"`{name}` of {self.subject}")

    def template(self, name: str) -> Source | None:
        """The template at `name`; None where there is none, and after a problem: one without braces is always the
        same."""
        if self.value(name) is None:
            return None
        source = self.source(name)
        if is_template(source.text):
            return source
        words = f"`{name}` of {self.subject} holds no template, so it is the same for every row"
        self.error(source.mark, words, 'write what changes in braces, such as `"{{ answer }}"`')
        return None


def text_of(node: Node | None) -> str | None:
    """The text of a node, a number as it was written; None where it is none, or blank."""
    if not isinstance(node, Scalar) or node.value is None or isinstance(node.value, bool):
        return None
    text = node.value if isinstance(node.value, str) else node.source
    return text if text.strip() else None


def value_of(node: Node | None, what: str, problems: Problems) -> Value | None:
    """A column, or a template; None after a problem. what: how it is called in messages."""
    text = text_of(node)
    if text is None or not isinstance(node, Scalar):
        if node is not None:
            problems.error(node.mark, f"{what} must be a column or a template, not {kind_of(node)}")
        return None
    if is_template(text):
        return Value(template=Source(text, node.text_mark, what), mark=node.text_mark, what=what)
    return Value(column=text, mark=node.text_mark, what=what)
