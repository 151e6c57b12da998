"""From a text to a template: parsed, checked, and sorted into those that are text and names and those that are more.

Most are plainly text and names, which a look at their braces tells; Jinja2, 50 ms to import, reads only the others.
"""

from __future__ import annotations

import re

from runner.compile.template import SPECIAL, Template
from runner.errors import Problem, SpecError
from runner.job.source import Form, Source

MAX_TEMPLATE_CHARACTERS = 1_000_000
# not all of them mean something where a name stands alone: Jinja2 knows which
_CONSTANTS = {"true", "false", "none", "True", "False", "None"}
_WORDS = SPECIAL | _CONSTANTS | {"not", "and", "or", "if", "else", "elif", "in", "is"}
_NEWLINE = re.compile(r"\r\n?")
_NAME = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def parse(source: Source) -> Template:
    """Raises SpecError with every problem that shows without data: syntax, unknown filters, forbidden statements."""
    if source.form is Form.COLUMN:
        name = source.text
        return Template(source, "%s", (name,), {name: 1}, frozenset({name}), mentions=frozenset({name}))
    if len(source.text) > MAX_TEMPLATE_CHARACTERS:
        raise SpecError([Problem(source.mark, f"{source.what} is over {MAX_TEMPLATE_CHARACTERS:,} characters")])
    plain = plain_of(source)
    if plain is not None:
        return plain
    from runner.compile.tree import template_of

    return template_of(source)


def plain_of(source: Source) -> Template | None:
    """The template if its braces hold ordinary names and nothing else, as Jinja2 would read it; None leaves it to that.

    Text ends at `{{`, `{%` and `{#`; every kind of line end is read as a newline.
    """
    text = _NEWLINE.sub("\n", source.text)
    # `{{{` opens a mapping inside of an expression, which is Jinja2's to read
    if "{%" in text or "{#" in text or "{{{" in text:
        return None
    pattern, names = [], []
    needed: dict[str, int] = {}
    at, line = 0, 1
    for found in _NAME.finditer(text):
        name = found[1]
        if name in _WORDS:
            return None
        line += text.count("\n", at, found.start(1))
        pattern.append(text[at : found.start()])
        names.append(name)
        needed.setdefault(name, line)
        line += text.count("\n", found.start(1), found.end())
        at = found.end()
    pattern.append(text[at:])
    if any("{{" in part for part in pattern):
        return None
    text = "%s".join(part.replace("%", "%%") for part in pattern)
    return Template(source, text, tuple(names), needed, frozenset(names), mentions=frozenset(names))


def static_text(content: str) -> str | None:
    """What a template without braces that mean anything renders to, the same for every row; None for any other."""
    if any(mark in content for mark in ("{{", "{%", "{#")):
        return None
    return _NEWLINE.sub("\n", content)
