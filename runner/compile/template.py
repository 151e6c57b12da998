"""One template of a spec: parsed, checked, and sorted into those that are text and names and those that are more.

Most are plainly text and names, which a look at their braces tells; Jinja2, 50 ms to import, reads only the others.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

import msgspec

from runner.errors import Mark, Problem, SpecError

MAX_TEMPLATE_CHARACTERS = 1_000_000
# names that may mean something else than a column
SPECIAL = frozenset({"row", "range", "namespace", "self", "loop", "caller", "varargs", "kwargs"})
# not all of them mean something where a name stands alone: Jinja2 knows which
_CONSTANTS = {"true", "false", "none", "True", "False", "None"}
_WORDS = SPECIAL | _CONSTANTS | {"not", "and", "or", "if", "else", "elif", "in", "is"}
_NEWLINE = re.compile(r"\r\n?")
_NAME = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


class Source(msgspec.Struct, frozen=True):
    """A template as the user wrote it: `what` names it in messages, `mark` is where its text starts."""

    text: str
    mark: Mark
    what: str

    def place(self, line: int) -> Mark:
        """The place of line `line` (from 1) of the template."""
        return Mark(self.mark.file, self.mark.line + line - 1) if self.mark.line else self.mark

    def snippet(self, line: int) -> str:
        lines = self.text.splitlines()
        return lines[line - 1] if 0 < line <= len(lines) else ""


class Template(msgspec.Struct, frozen=True):
    """A checked template. `pattern` is None where it needs the rendering process."""

    source: Source
    pattern: str | None  # text with a %s for every name
    names: tuple[str, ...]  # the names of `pattern`, in order
    needed: Mapping[str, int]  # name -> line: without these columns every row fails

    @property
    def is_static(self) -> bool:
        return self.pattern is not None and not self.names

    @property
    def is_simple(self) -> bool:
        return self.pattern is not None

    def renderer(self) -> Callable[[Mapping[str, Any]], str]:
        """row -> text for a simple template, as `Template.render` would give it. Raises KeyError(name)."""
        pattern, values = self._parts()
        return lambda row: pattern % values(row)

    def texts(self, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """The same for many rows. Raises KeyError(name)."""
        pattern, values = self._parts()
        return [pattern % values(row) for row in rows]

    def _parts(self) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
        assert self.pattern is not None
        # one value may stand alone right of a `%`: it is never a tuple, rows come from JSON, CSV and Parquet
        return self.pattern, itemgetter(*self.names) if self.names else lambda row: ()


def parse(source: Source) -> Template:
    """Raises SpecError with every problem that shows without data: syntax, unknown filters, forbidden statements."""
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
    return Template(source, "%s".join(part.replace("%", "%%") for part in pattern), tuple(names), needed)


def static_text(content: str) -> str | None:
    """What a template without braces that mean anything renders to, the same for every row; None for any other."""
    if any(mark in content for mark in ("{{", "{%", "{#")):
        return None
    return _NEWLINE.sub("\n", content)


def unknown_names(template: Template, columns: Iterable[str]) -> Problem | None:
    """A problem if the template cannot render because it needs names that are not among `columns`."""
    known = set(columns)
    missing = [name for name in template.needed if name not in known]
    if not missing:
        return None
    line = template.needed[missing[0]]
    names = ", ".join(f"`{name}`" for name in missing)
    return Problem(
        template.source.place(line),
        f"{template.source.what} uses {names}, which {'is no column' if len(missing) == 1 else 'are no columns'}",
        hint=suggestion(missing[0], known),
        snippet=template.source.snippet(line),
    )


def suggestion(name: str, columns: Iterable[str]) -> str:
    """Did you mean, or the columns there are."""
    known = sorted(columns)
    close = difflib.get_close_matches(name, known, n=1)
    listed = ", ".join(f"`{column}`" for column in known[:20]) + (", ..." if len(known) > 20 else "")
    return (f"did you mean `{close[0]}`? " if close else "") + f"columns: {listed}"
