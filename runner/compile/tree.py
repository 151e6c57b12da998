"""A template as Jinja2 reads it: its problems, the names it needs, and whether it is only text and names.

Nothing of a template runs here. Jinja2 folds constants when it *compiles*, so only the rendering process compiles.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice

from jinja2 import TemplateSyntaxError, nodes

from runner.compile.sandbox import Sandbox
from runner.compile.template import SPECIAL, Template
from runner.errors import Problem, SpecError
from runner.job.source import Source

MAX_PROBLEMS = 20  # of one template; nobody reads the next one before these are put right
_FORBIDDEN: Mapping[type[nodes.Node], str] = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "from",
    nodes.Extends: "extends",
    nodes.Block: "block",
}
_FORMATTERS = frozenset({"format", "format_map", "__format__"})


def template_of(source: Source) -> Template:
    """Raises SpecError with every problem that shows without data."""
    try:
        tree = _tree(source)
        problems = list(islice(_problems(tree, source), MAX_PROBLEMS))
        if problems:
            raise SpecError(problems)
        pattern, names = _simple(tree)
        mentions = _mentioned(tree)
        reads = None if "row" in mentions else mentions
        return Template(source, pattern, names, _needed(tree), reads, mentions=mentions)
    except RecursionError as error:  # also of a long chain, which is parsed in a loop and makes a deep tree
        raise SpecError([Problem(source.mark, f"{source.what} is nested too deeply")]) from error


@cache
def _sandbox() -> Sandbox:
    return Sandbox()


def _tree(source: Source) -> nodes.Template:
    try:
        return _sandbox().parse(source.text)
    except TemplateSyntaxError as error:
        problem = Problem(
            source.place(error.lineno),
            f"{source.what}: {_in_our_words(error.message or '')}",
            hint="write `{% raw %}...{% endraw %}` around braces that are text",
            inside=source.inside(error.lineno, _met_in(error.message or "")),
        )
        raise SpecError([problem]) from error
    except ValueError as error:  # Python reads no whole number of more than 4,300 digits
        raise SpecError([Problem(source.mark, f"{source.what} holds a number that is too long")]) from error


_MET = re.compile(r"'([^\W\d]\w*)'")


_ENDS = {"end of print statement": "}}", "end of statement block": "%}"}
_WANTS = re.compile(r"needs to be closed is '(\w+)'")
_TAG = re.compile(r"unknown tag '(\w+)'")


def _in_our_words(message: str) -> str:
    """What Jinja2 says, in the words of these messages."""
    if found := _WANTS.search(message):
        return f"`{{% {found[1]} %}}` is not closed: `{{% end{found[1]} %}}` is missing"
    if found := _TAG.search(message):
        return f"there is no statement `{found[1]}`"
    words = message.rstrip(".")
    for name, sign in _ENDS.items():
        words = words.replace(f"'{name}'", f"`{sign}`")
    words = re.sub(r"'([^']+)'", r"`\1`", words.replace("expected token", "expected"))
    return words[:1].lower() + words[1:]


def _met_in(message: str) -> str:
    """The word that a message of Jinja2 is about, the last it quotes; empty where it quotes none."""
    found = _MET.findall(message)
    return found[-1] if found else ""


def _problems(tree: nodes.Template, source: Source) -> Iterator[Problem]:
    sandbox = _sandbox()
    for node in _walk(tree):
        words = hint = word = ""
        if type(node) in _FORBIDDEN:
            words, hint = f"`{_FORBIDDEN[type(node)]}` cannot be used here", "write the text out, or use a macro"
            word = _FORBIDDEN[type(node)]
        elif isinstance(node, nodes.Filter) and (node.name not in sandbox.filters or node.name.startswith("_")):
            words, hint = f"there is no filter `{node.name}`", _one_of(node.name, sandbox.filters)
            word = node.name
        elif isinstance(node, nodes.Test) and node.name not in sandbox.tests:
            words, hint = f"there is no test `{node.name}`", _one_of(node.name, sandbox.tests)
            word = node.name
        elif isinstance(node, nodes.Getattr) and node.attr.startswith("__"):
            words, word = f"`{node.attr}` cannot be used here", node.attr
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr in _FORMATTERS:
            words, hint = f"`{node.node.attr}` cannot be used here", "join texts with `~`, or use `round`"
            word = node.node.attr
        if words:
            inside = source.inside(node.lineno, word)
            yield Problem(source.place(node.lineno), f"{source.what}: {words}", hint, inside=inside)


def _one_of(name: str, known: Iterable[str]) -> str:
    known = [word for word in known if not word.startswith("_")]
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean `{close[0]}`?" if close else "there are: " + ", ".join(sorted(known))


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    # a loop and not a recursion: trees of strangers are deep
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
            elif isinstance(part, nodes.Name) and part.name not in SPECIAL:
                pattern.append("%s")
                names.append(part.name)
            else:
                return None, ()
    return "".join(pattern), tuple(names)


def _mentioned(tree: nodes.Template) -> frozenset[str]:
    """The names that are read and not set by the template itself; `row` wherever it is read."""
    names = [node for node in _walk(tree) if isinstance(node, nodes.Name)]
    set_here = {node.name for node in names if node.ctx != "load"} - {"row"}
    return frozenset({node.name for node in names if node.ctx == "load"} - set_here)


# This is what lets a missing column be reported before a row is read, so it must never cry wolf: a name counts only
# where it is evaluated whatever the data. What stands behind an `if`, in a loop or right of an `or` may never be looked
# at.
def _needed(tree: nodes.Template) -> Mapping[str, int]:
    """Names read on every path through the template, with the line of their first use.

    Names that the template itself sets anywhere, or tests with `is defined` or `default`, are left out.
    """
    excused = set(SPECIAL)
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
