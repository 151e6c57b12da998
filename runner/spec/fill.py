"""`{{ var.x }}` in specs, filled in before anything is checked: what is checked is what is meant.

Alone it is the value, of its own type; inside a text it is a part of it. In what is a template for each row (messages,
`where`, `id`, checks) it may also stand in an expression, `{% if var.tone == "kind" %}`, and becomes a constant there.
`{{ env }}` is the environment; where rows are filled in it is a column, like any other name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

import msgspec

from runner.errors import Mark
from runner.spec.composer import MAX_SCALAR_CHARS
from runner.spec.merge import with_entries
from runner.spec.nodes import Mapping, Node, Scalar, Sequence
from runner.spec.problems import Problems
from runner.spec.variables import Value, Vars, unknown_hint
from runner.spec.within import place_of

_ALONE = re.compile(r"\s*\{\{\s*var\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}\s*\Z")
_BRACES = re.compile(r"\{\{\s*(?:var\.([A-Za-z_][A-Za-z0-9_]*)|(env))\s*\}\}")
_STRAY = re.compile(r"\{\{\s*var\s*\.")
_SHELL = re.compile(r"\$\{([A-Za-z_][^}]{0,100})\}")
_LIKE_SHELL = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)\}")
_STRING = r"""\"(?:\\.|[^"\\])*+\"|'(?:\\.|[^'\\])*+'"""
_IS_PLAIN = re.compile(r"[^\r\n{]*")  # a value that means itself wherever it stands in a template, and on one line
_OPENER = re.compile(r"\{[{%#]")
_RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}")
_END_OF_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_MOST_PROBLEMS = 20  # of one text
_CLOSED = {
    "{{": re.compile(rf"\{{\{{(?:{_STRING}|[^\"'}}]|\}}(?!\}}))*+\}}\}}", re.DOTALL),
    "{%": re.compile(rf"\{{%(?:{_STRING}|[^\"'%]|%(?!\}}))*+%\}}", re.DOTALL),
    "{#": re.compile(r"\{#.*?#\}", re.DOTALL),
}
_MEANT = re.compile(rf"{_STRING}|(?<![\w.])var\s*\.\s*([A-Za-z_]\w*)|(?<![\w.])(?:set|for)\s+(var)\b", re.DOTALL)

# What is filled in for each row, or held to each answer
_TEMPLATES = {
    "prompts": ("system", "user", "messages"),
    "datasets": ("where", "id"),
    "jobs": ("body", "checks", "slices", "cluster", "references", "expect"),
}
WAYS = "declare it in `vars` and write `{{ var.NAME }}`; the variable that holds a key is named by `api_key_env`"


def is_worth_a_look(text: str) -> bool:
    """Whether a file may hold anything of this; a plain search is cheap."""
    return "var" in text or "env" in text or "${" in text


class _Place(msgspec.Struct, frozen=True):
    """A text of the specs, and what it is called in messages."""

    text: str
    mark: Mark
    what: str


class Filling:
    """The vars and the environment of one reading of specs."""

    def __init__(self, found: Vars, environment: str, problems: Problems) -> None:
        self._vars = found
        self._environment = environment
        self._problems = problems

    def file(self, top: Mapping) -> Mapping:
        """A spec file with all of it filled in. Anchors of its own (`x-`) are, where they are used."""
        entries = dict(top.entries)
        for name, (key, node) in top.entries.items():
            if name in ("project", "budget", "repay_usd", "retention"):
                entries[name] = (key, self._node(node, f"`{name}`"))
            elif name == "defaults":
                entries[name] = (key, self._entry(node, "jobs", "`defaults`"))
            elif name in ("models", "datasets", "prompts", "jobs", "providers") and isinstance(node, Mapping):
                inner = {
                    word: (at, self._entry(value, name, f"{name[:-1]} `{word[:60]}`"))
                    for word, (at, value) in node.entries.items()
                }
                entries[name] = (key, with_entries(node, inner))
        return with_entries(top, entries)

    def text(self, text: str, mark: Mark, what: str) -> str:
        """A template that is filled in for each row, of a file of its own."""
        return self._template(_Place(text, mark, what))

    # --- nodes ----------------------------------------------------------------------------------------------------

    def _entry(self, node: Node, section: str, subject: str) -> Node:
        if isinstance(node, Scalar):
            return self._of_rows(node, subject) if section == "prompts" else self._node(node, subject)
        if not isinstance(node, Mapping):
            return node
        entries = dict(node.entries)
        for name, (key, value) in node.entries.items():
            what = f"`{name[:60]}` of {subject}"
            if name in _TEMPLATES.get(section, ()):
                entries[name] = (key, self._of_rows(value, what))
            else:
                entries[name] = (key, self._node(value, what, keeps_env=(section, name) == ("jobs", "output")))
        return with_entries(node, entries)

    def _of_rows(self, node: Node, what: str) -> Node:
        if isinstance(node, Mapping):
            return with_entries(node, {n: (key, self._of_rows(v, what)) for n, (key, v) in node.entries.items()})
        if isinstance(node, Sequence):
            return _with_items(node, [self._of_rows(item, what) for item in node.items])
        if not isinstance(node.value, str):
            return node
        alone = _ALONE.match(node.value) if self._vars.declared else None
        if alone and (value := self._vars.values.get(alone[1])) and not isinstance(value.scalar.value, str):
            return self._alone(node, alone, what)  # a number of a check stays one
        text = self._template(_Place(node.value, node.text_mark, what))
        self._warn_of_shell(node, what)
        return _with_text(node, text)

    def _node(self, node: Node, what: str, *, keeps_env: bool = False) -> Node:
        """keeps_env: whoever reads it fills in the environment."""
        if isinstance(node, Mapping):
            return with_entries(node, {n: (key, self._node(v, what)) for n, (key, v) in node.entries.items()})
        if isinstance(node, Sequence):
            return _with_items(node, [self._node(item, what) for item in node.items])
        if not isinstance(node.value, str):
            return node
        if shell := _SHELL.search(node.value):
            words = f"{what} holds `{shell[0][:40]}`, and no variable of the shell is read into specs"
            self._problems.error(self._place(node, shell.start()), words, WAYS)
            self._problems.silence(node.mark)
            return node
        if alone := _ALONE.match(node.value):
            return self._alone(node, alone, what)
        return _with_text(node, self._plain(node, what, keeps_env=keeps_env))

    def _alone(self, node: Scalar, found: re.Match[str], what: str) -> Scalar:
        value = self._value(found[1], partial(self._place, node, found.start(1)), what)
        if value is None:
            self._problems.silence(node.mark)
            return node
        self._problems.explain(node.mark, f"`var.{found[1]}` is {_shown(value)}, by {value.said}")
        scalar = value.scalar
        return Scalar(node.file, node.line, node.column, scalar.value, scalar.source, is_plain=False)

    def _plain(self, node: Scalar, what: str, *, keeps_env: bool) -> str:
        parts, at = _Parts(), 0
        text = str(node.value)
        for found in _BRACES.finditer(text):
            place = partial(self._place, node, found.start())
            if found[2]:
                if keeps_env:
                    continue
                filled = self._environment
                if not filled:
                    words = f"{what} holds `{{{{ env }}}}`, and no environment is chosen"
                    self._problems.error(place(), words, "choose one with `--env NAME` or `RUNNER_ENV`")
                    self._problems.silence(node.mark)
                    return text
            else:
                value = self._value(found[1], place, what)
                if value is None:
                    self._problems.silence(node.mark)
                    return text
                self._problems.explain(node.mark, f"`var.{found[1]}` is {_shown(value)}, by {value.said}")
                filled = value.text
            parts.add(text[at : found.start()], filled)
            at = found.end()
            if parts.are_too_long:
                break
        filled = self._joined(parts, text[at:], node.mark, what)
        if stray := _STRAY.search(filled):
            words = f"{what} may hold `{{{{ var.NAME }}}}` only, and nothing else in its braces"
            self._problems.error(self._place(node, text.find(stray[0])), words, "work it out where the var is given")
            self._problems.silence(node.mark)
        return filled

    def _value(self, name: str, place: Callable[[], Mark], what: str) -> Value | None:
        """The value of a var, or None after a problem: its own, where it has one."""
        if name in self._vars.values:
            return self._vars.values[name]
        if name not in self._vars.declared and name not in self._vars.broken:
            hint = unknown_hint(name, {*self._vars.declared, *self._vars.broken}, self._problems)
            self._problems.error(place(), f"{what} uses the unknown var `{name[:60]}`", hint)
        return None

    # --- templates of rows ----------------------------------------------------------------------------------------

    def _template(self, place: _Place) -> str:
        """As it stands where no vars are declared: then `var` is a column."""
        text = place.text
        if not self._vars.declared or "var" not in text:
            return text
        parts, at, before = _Parts(), 0, self._problems.errors
        for found, is_text in _braces_in(text):
            parts.add(text[at : found.start], found.text if is_text else self._braces(found, place))
            at = found.end
            if parts.are_too_long or self._problems.errors - before >= _MOST_PROBLEMS:
                break
        return self._joined(parts, text[at:], place.mark, place.what)

    def _joined(self, parts: _Parts, rest: str, mark: Mark, what: str) -> str:
        parts.add(rest)
        if parts.are_too_long:
            words = f"{what} is over {MAX_SCALAR_CHARS:,} characters once its vars are filled in"
            self._problems.error(mark, words, "give them shorter values")
            self._problems.silence(mark)
            return ""
        return "".join(parts.texts)

    def _braces(self, found: _Braces, place: _Place) -> str:
        inner = found.text
        if alone := _ALONE.match(inner):
            value = self._value(alone[1], partial(self._inside, place, found.start + alone.start(1)), place.what)
            if value is None:
                return inner
            return value.text if _IS_PLAIN.fullmatch(value.text) else f"{{{{ {value.literal} }}}}"
        parts, at = [], 0
        for word in _MEANT.finditer(inner):
            if word[2]:
                mark = self._inside(place, found.start + word.start(2))
                words = f"{place.what} sets `var`, which is the name of the vars of the specs"
                self._problems.error(mark, words, "give it another name")
            elif word[1]:
                value = self._value(word[1], partial(self._inside, place, found.start + word.start()), place.what)
                if value is not None:
                    parts += [inner[at : word.start()], value.literal]
                    at = word.end()
        return "".join([*parts, inner[at:]])

    def _warn_of_shell(self, node: Scalar, what: str) -> None:
        """In a text that is sent, `${HOME}` may be what is meant: it goes as it stands."""
        text = str(node.value)
        found = _LIKE_SHELL.search(text)
        inside = (one for one, _ in _braces_in(text)) if found else ()
        if found and not any(one.start < found.start() < one.end for one in inside):
            words = f"{what} holds `{found[0][:40]}`, which is sent as it stands"
            hint = "if a value is meant, declare it in `vars`; `{% raw %}...{% endraw %}` says that it is not"
            self._problems.warning(self._place(node, found.start()), words, hint)

    # --- places ---------------------------------------------------------------------------------------------------

    def _place(self, node: Scalar, offset: int) -> Mark:
        return self._inside(_Place(str(node.value), node.text_mark, ""), offset, node.mark)

    def _inside(self, place: _Place, offset: int, otherwise: Mark | None = None) -> Mark:
        lines = self._problems.lines_of(place.mark.file)
        return place_of(lines, place.mark, place.text, offset) or otherwise or place.mark


class _Parts:
    """Pieces of a text that grows: vars of a stranger's spec may make a short one endless."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._chars = 0

    def add(self, *texts: str) -> None:
        self.texts += texts
        self._chars += sum(map(len, texts))

    @property
    def are_too_long(self) -> bool:
        return self._chars > MAX_SCALAR_CHARS


class _Braces(msgspec.Struct, frozen=True):
    """What stands in braces, with them, and where."""

    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def _braces_in(text: str) -> Iterator[tuple[_Braces, bool]]:
    """All of a template in their order, each with whether it is text, and nothing is worked out in it. Each character
    is looked at once; where something is not closed it ends: whoever parses the template says so.
    """
    at = 0
    while (opener := _OPENER.search(text, at)) is not None:
        start = opener.start()
        raw = _RAW.match(text, start)
        closed = _END_OF_RAW.search(text, raw.end()) if raw else _CLOSED[opener[0]].match(text, start)
        if closed is None:
            return
        at = closed.end()
        yield _Braces(text[start:at], start), raw is not None or opener[0] == "{#"


def _shown(value: Value) -> str:
    return f"`{value.text[:40]}`" if value.text.strip() else "empty"


def _with_text(node: Scalar, text: str) -> Scalar:
    if text == node.value:
        return node
    return Scalar(node.file, node.line, node.column, text, text, node.is_plain, node.is_block, node.size, node.height)


def _with_items(node: Sequence, items: list[Node]) -> Sequence:
    return Sequence(node.file, node.line, node.column, items, node.size, node.height)
