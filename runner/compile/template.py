"""One template of a spec: parsed, checked, and sorted into those that are text and names and those that are more.

Nothing of a template runs here. Jinja2 folds constants when it *compiles*, so only the rendering process compiles.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any

from jinja2 import TemplateSyntaxError, nodes

from runner.compile.sandbox import Sandbox
from runner.errors import Mark, Problem, SpecError

MAX_TEMPLATE_CHARACTERS = 1_000_000
# names that may mean something else than a column
_SPECIAL = frozenset({"row", "range", "namespace", "self", "loop", "caller", "varargs", "kwargs"})
_FORBIDDEN: Mapping[type[nodes.Node], str] = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "from",
    nodes.Extends: "extends",
    nodes.Block: "block",
}
_FORMATTERS = frozenset({"format", "format_map", "__format__"})


@dataclass(frozen=True, slots=True)
class Source:
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


@dataclass(frozen=True, slots=True)
class Template:
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
    tree = _tree(source)
    problems = list(_problems(tree, source))
    if problems:
        raise SpecError(problems)
    pattern, names = _simple(tree)
    return Template(source, pattern, names, _needed(tree))


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


@cache
def _sandbox() -> Sandbox:
    return Sandbox()


def _tree(source: Source) -> nodes.Template:
    if len(source.text) > MAX_TEMPLATE_CHARACTERS:
        raise SpecError([Problem(source.mark, f"{source.what} is over {MAX_TEMPLATE_CHARACTERS:,} characters")])
    try:
        return _sandbox().parse(source.text)
    except TemplateSyntaxError as error:
        problem = Problem(
            source.place(error.lineno),
            f"{source.what}: {error.message}",
            hint="write `{% raw %}...{% endraw %}` around braces that are text",
            snippet=source.snippet(error.lineno),
        )
        raise SpecError([problem]) from error
    except RecursionError as error:
        raise SpecError([Problem(source.mark, f"{source.what} is nested too deeply")]) from error


def _problems(tree: nodes.Template, source: Source) -> Iterator[Problem]:
    sandbox = _sandbox()
    for node in _walk(tree):
        words, hint = "", ""
        if type(node) in _FORBIDDEN:
            words, hint = f"`{_FORBIDDEN[type(node)]}` cannot be used here", "write the text out, or use a macro"
        elif isinstance(node, nodes.Filter) and node.name not in sandbox.filters:
            words, hint = f"there is no filter `{node.name}`", _one_of(node.name, sandbox.filters)
        elif isinstance(node, nodes.Test) and node.name not in sandbox.tests:
            words, hint = f"there is no test `{node.name}`", _one_of(node.name, sandbox.tests)
        elif isinstance(node, nodes.Getattr) and node.attr.startswith("__"):
            words = f"`{node.attr}` cannot be used here"
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr in _FORMATTERS:
            words, hint = f"`{node.node.attr}` cannot be used here", "join texts with `~`, or use `round`"
        if words:
            yield Problem(source.place(node.lineno), f"{source.what}: {words}", hint, source.snippet(node.lineno))


def _one_of(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean `{close[0]}`?" if close else "there are: " + ", ".join(sorted(known))


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    waiting = [node]
    while waiting:
        here = waiting.pop()
        yield here
        waiting.extend(here.iter_child_nodes())


def _simple(tree: nodes.Template) -> tuple[str | None, tuple[str, ...]]:
    """The %-pattern and names of a template that is only text and plain names, or (None, ())."""
    pattern, names = [], []
    for statement in tree.body:
        if not isinstance(statement, nodes.Output):
            return None, ()
        for part in statement.nodes:
            if isinstance(part, nodes.TemplateData):
                pattern.append(part.data.replace("%", "%%"))
            elif isinstance(part, nodes.Name) and part.name not in _SPECIAL:
                pattern.append("%s")
                names.append(part.name)
            else:
                return None, ()
    return "".join(pattern), tuple(names)


def _needed(tree: nodes.Template) -> Mapping[str, int]:
    """Names read on every path through the template, with the line of their first use.

    Names that the template itself sets anywhere, or tests with `is defined` or `default`, are left out.
    """
    excused = set(_SPECIAL)
    for node in _walk(tree):
        if isinstance(node, nodes.Macro) or (isinstance(node, nodes.Name) and node.ctx != "load"):
            excused.add(node.name)
        elif (isinstance(node, nodes.Test) and node.name in ("defined", "undefined")) or (
            isinstance(node, nodes.Filter) and node.name in ("default", "d")
        ):
            excused.update(inner.name for inner in _walk(node) if isinstance(inner, nodes.Name))
    needed: dict[str, int] = {}
    for node in _always(tree):
        if isinstance(node, nodes.Name) and node.name not in excused:
            needed.setdefault(node.name, node.lineno)
    return needed


def _always(node: nodes.Node) -> Iterator[nodes.Node]:
    """The nodes that are evaluated whatever the data, in reading order."""
    yield node
    match node:
        case nodes.If() | nodes.CondExpr():
            certain = [node.test]
        case nodes.For():
            certain = [node.iter]
        case nodes.And() | nodes.Or():
            certain = [node.left]
        case nodes.Compare():
            certain = [node.expr]
        case nodes.Macro() | nodes.CallBlock():
            certain = []
        case _:
            certain = list(node.iter_child_nodes())
    for child in certain:
        yield from _always(child)
