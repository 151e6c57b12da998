"""What the YAML parser says, in plain words and with what to do about it."""

from __future__ import annotations

import re

import msgspec
import yaml

from runner.errors import Mark

_BREAK = re.compile(r"\r\n|\r|\n")
_CONFLICT = re.compile(r"(?:^|(?<=[\r\n]))(?:<{7}|>{7})(?: [^\r\n]*)?(?=[\r\n]|\Z)")
_BOTH_SIDES = re.compile(r"^<{7}(?: [^\n]*)?\r?$.*?^={7}\r?$.*?^>{7}(?: [^\n]*)?\r?$", re.MULTILINE | re.DOTALL)
_INDENT = "keys of one mapping start in the same column and end in `:`"
_QUOTE = "quote the whole value"

# (pattern over the parser's context and problem, message, hint, whether the context's place is meant).
# The C and the Python parser word some of these differently; both are covered.
_ESCAPE = "write `\\\\` for a backslash, or use single quotes"
_COLUMN = f"{_INDENT}; a text that goes on behind a quote needs quotes around the whole"
_PLAIN = "specs are plain data: remove the tag, or quote the value"


class _Rule(msgspec.Struct, frozen=True):
    """pattern is looked for in what the parser says; the place is the problem's, or the context's."""

    pattern: str
    message: str
    hint: str
    is_context: bool = False


# The C and the Python parser word some of these differently; both are covered.
_RULES = (
    _Rule(r"quoted scalar.*(end of|document ind)", "the quote opened here is never closed", "close it", True),
    _Rule(r"flow sequence", "the list opened here is never closed with `]`", "separate items with `,`", True),
    _Rule(r"flow mapping", "the mapping opened here is never closed with `}`", "separate keys with `,`", True),
    _Rule(r"unknown escape", "unknown escape in a double-quoted text", _ESCAPE),
    _Rule(r"escape|hexadecimal|hexdecimal", "an escape in a double-quoted text is not complete", _ESCAPE),
    _Rule(r"mapping values are not", "`:` is not allowed here", f"{_INDENT}; {_QUOTE} if `: ` belongs to it"),
    _Rule(r"sequence entries are not", "`- ` is not allowed here", "start the list on a line of its own"),
    _Rule(r"mapping keys are not", "`? ` is not allowed here", _QUOTE),
    _Rule(r"could not find expected ':'", "a `:` is missing after this key", "write `key: value`", True),
    _Rule(r"expected key|block mapping", "this line does not fit the mapping above it", _COLUMN),
    _Rule(r"'-' indicator|block collection", "this line does not fit the list above it", "align the items' `- `"),
    _Rule(r"scanning an? (alias|anchor)", "`*` and `&` at the start mean alias and anchor", _QUOTE, True),
    _Rule(r"unexpected ':'", "`:` is not allowed here", _QUOTE),
    _Rule(r"tab character", "a tab where spaces are wanted", "indent with spaces"),
    _Rule(r"node content", "a value cannot start like this", _QUOTE),
    _Rule(r"block scalar", "`|` and `>` start a text on the next lines", "put it below, or quote the value", True),
    _Rule(r"directive|document start", "this is not a YAML document", "remove lines that start with `%` or `---`"),
    _Rule(r"tag", "this tag cannot be read", _PLAIN, True),
)  # fmt: skip


def explain(error: yaml.YAMLError, text: str, file: str) -> tuple[Mark, str, str]:
    """Where, what and what next, for whatever the parser raised."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return Mark(file), "this is not YAML", ""
    if conflict := conflict_in(text, file):  # wherever it is that the parser stumbles over what git wrote
        return *conflict, "resolve the conflict first"
    place = error.problem_mark or error.context_mark
    line, column = (place.line, place.column) if place else (0, 0)
    source = _line(text, line)
    if re.search(r"[:\-]\s+\{\{", source) and (start := source.find("{{")) < column:
        mark = Mark(file, line + 1, start + 1)
        return mark, "a value that starts with `{{` must be quoted", 'write `"{{ name }}"`'
    words = f"{error.context or ''} {error.problem or ''}"
    if "cannot start any token" in words:
        return _bad_start(source, Mark(file, line + 1, column + 1))
    for rule in _RULES:
        if re.search(rule.pattern, words, re.DOTALL):
            if rule.is_context and error.context_mark:
                line, column = error.context_mark.line, error.context_mark.column
            return _inside(Mark(file, line + 1, column + 1), text), rule.message, rule.hint
    return _inside(Mark(file, line + 1, column + 1), text), f"YAML: {error.problem or 'cannot be read'}", ""


def conflict_in(text: str, file: str) -> tuple[Mark, str] | None:
    """The first line that git wrote around what it could not merge, and what it is; None where there is none."""
    found = _CONFLICT.search(text)
    if found is None:
        return None
    line = len(_BREAK.findall(text, 0, found.start())) + 1
    return Mark(file, line, 1), f"the line is a mark of a merge conflict, `{found[0][:40]}`"


def has_both_sides(text: str) -> bool:
    """Whether a text, in which such lines may be meant, holds all three marks of a conflict in their order."""
    return _BOTH_SIDES.search(text) is not None


def _bad_start(source: str, mark: Mark) -> tuple[Mark, str, str]:
    char = source[mark.column - 1 : mark.column]
    if char == "\t":
        return mark, "a tab where spaces are wanted", "indent with spaces"
    shown = "a backtick" if char == "`" else f"`{char}`"
    return mark, f"a value cannot start with {shown}", "quote it"


def _inside(mark: Mark, text: str) -> Mark:
    """The parser places what is missing behind the end of the file; a user looks at its last line."""
    lines = text.splitlines() or [""]
    if mark.line <= len(lines):
        return mark
    return Mark(mark.file, len(lines), len(lines[-1]) + 1)


def _line(text: str, index: int) -> str:
    lines = _BREAK.split(text)
    return lines[index] if index < len(lines) else ""
