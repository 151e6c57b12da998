"""`vars:` of the specs: what there are, and the value of each.

By precedence: `--var`, `--var-file`, `RUNNER_VAR_...`, the environment that is chosen, the default. A value keeps its
type; it is never a secret, since it goes into requests, plans and logs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingType
from pathlib import Path

import msgspec
from pydantic import ValidationError

from runner.errors import Mark
from runner.fields import MAX_NAME_CHARS
from runner.spec.chosen import PREFIX, Chosen
from runner.spec.loader import FORBIDDEN, parse, read_text
from runner.spec.merge import is_empty
from runner.spec.model import VarSpec
from runner.spec.nodes import Mapping, Node, Scalar, data_of, kind_of
from runner.spec.problems import Problems
from runner.spec.scalars import resolve
from runner.spec.secrets import KEY_HINT, is_secret_name, literal_keys
from runner.spec.sections import entries_of
from runner.spec.violations import Subject, report

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
OPENERS = ("{{", "{%", "{#")
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true` or `false`",
}


class Value(msgspec.Struct, frozen=True):
    """What a var is, and who says so: `--var rows`, say."""

    scalar: Scalar
    said: str

    @property
    def text(self) -> str:
        """As it stands in a text."""
        value = self.scalar.value
        return value if isinstance(value, str) else self.scalar.source

    @property
    def literal(self) -> str:
        """As it stands in an expression of a template."""
        value = self.scalar.value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return f"({value!r})" if value < 0 else repr(value)
        plain = str(value).encode("unicode_escape").decode().replace("'", "\\'")
        return "'" + re.sub(r"[{}%#]", lambda found: f"\\x{ord(found[0]):02x}", plain) + "'"


class Var(msgspec.Struct, frozen=True):
    """One that the specs declare."""

    name: str
    mark: Mark
    type: str
    default: Value | None


class Vars(msgspec.Struct, frozen=True):
    """All of them. Values are those that are right."""

    declared: MappingType[str, Var]
    values: MappingType[str, Value]
    broken: frozenset[str] = frozenset()  # what is wrong with these is told


def vars_of(
    tops: Sequence[Mapping],
    environment: str,
    overlay: MappingType[str, tuple[Scalar, Node]],
    givers: MappingType[str, Sequence[str]] | None,
    chosen: Chosen,
    problems: Problems,
) -> Vars:
    """Every var with its value, all problems told at once.

    overlay: what the chosen environment says. givers: by var, the environments that say something of it, where none is
    chosen; None where it is not known which one is meant: then nobody can say what has no value.
    """
    declared, broken = _declared(tops, problems)
    values = {name: var.default for name, var in declared.items() if var.default is not None}
    before = problems.errors
    values |= dict(_given(declared, broken, environment, overlay, chosen, problems))
    for name, var in declared.items():
        if name not in values and problems.errors == before and givers is not None:
            problems.error(var.mark, *_without_value(name, givers.get(name, ())))
    return Vars(declared, values, frozenset(broken))


def _without_value(name: str, givers: Sequence[str]) -> tuple[str, str]:
    hint = f"give it one with `--var {name}=...`, `--var-file FILE` or `{PREFIX}{name.upper()}`, or a `default` here"
    if givers:
        listed = " or ".join(f"`--env {one}`" for one in givers[:5])
        hint = f"choose an environment, {listed}, or {hint}"
    return f"var `{name}` has no value", hint


# --- what is declared ---------------------------------------------------------------------------------------------


def _declared(tops: Sequence[Mapping], problems: Problems) -> tuple[dict[str, Var], set[str]]:
    """Those that are right by name, and the names of the others."""
    found: dict[str, Var] = {}
    places: dict[str, tuple[str, Mark]] = {}
    for top in tops:
        hint = "write a name and a default for each, such as `vars: {rows: 100}`"
        for name, (key, value) in entries_of("vars", top, hint, problems).items():
            there = places.setdefault(name.casefold(), (name, key.mark))
            if there[1] != key.mark:
                words = f"var `{name[:60]}` is already declared at {there[1]}"
                if there[0] != name:
                    words = f"var `{name[:60]}` and `{there[0][:60]}` at {there[1]} differ only in case"
                problems.error(key.mark, words, "rename one of the two")
            elif var := _var(name, key, value, problems):
                found[name] = var
    return found, {name for name, _ in places.values()} - found.keys()


def _var(name: str, key: Scalar, node: Node, problems: Problems) -> Var | None:
    if not NAME.match(name) or len(name) > MAX_NAME_CHARS:
        words = f"the name of var `{name[:60]}` must be letters, digits and `_`, and not begin with a digit"
        problems.error(key.mark, words, "rename it: templates have it as `var.NAME`")
        return None
    if is_secret_name(name):
        words = f"var `{name}` is named like a key: a var goes into requests, plans and logs"
        hint = "name the variable that holds a key with `api_key_env`, or in `headers_env`; rename it if it is none"
        problems.error(key.mark, words, hint)
        problems.silence(node.mark)
        return None
    if not isinstance(node, Mapping):
        kind = _kind_of(node)
        if kind is None:
            hint = "write its default, or a mapping of `type`, `default` and `description`"
            problems.error(node.mark, f"var `{name}` must be a value, not {kind_of(node)}", hint)
            return None
        return _with_default(name, key, kind, None if is_empty(node) else node, problems)
    try:
        spec = VarSpec.model_validate(data_of(node))
    except ValidationError as error:
        report(error, Subject("var", name), key, node, VarSpec, problems)
        return None
    default = node.get("default")
    return _with_default(name, key, spec.type or _kind_of(default) or "string", default, problems)


def _kind_of(node: Node | None) -> str | None:
    """The type that a default has; None where it can be none."""
    if node is None or is_empty(node):
        return "string"
    if not isinstance(node, Scalar):
        return None
    if isinstance(node.value, bool):
        return "boolean"
    # any number: whoever writes 1 for a price means no whole number
    return "number" if isinstance(node.value, int | float) else "string"


def _with_default(name: str, key: Scalar, kind: str, node: Node | None, problems: Problems) -> Var | None:
    if node is None:
        return Var(name, key.mark, kind, None)
    scalar, wrong = _of_type(node, kind)
    if scalar is None or wrong is not None:
        assert wrong is not None, "whatever is no value is told why"
        problems.error(node.mark, f"the default of var `{name}` {wrong.words}{wrong.found}", wrong.hint)
        return None
    return Var(name, key.mark, kind, Value(scalar, f"its default at {node.mark}"))


# --- what is given ------------------------------------------------------------------------------------------------


def _given(
    declared: MappingType[str, Var],
    broken: set[str],
    environment: str,
    overlay: MappingType[str, tuple[Scalar, Node]],
    chosen: Chosen,
    problems: Problems,
) -> Iterator[tuple[str, Value]]:
    """What is said of vars, the strongest last. What is wrong with it is told."""
    known = _Known(declared, broken, problems)
    for name, (key, node) in overlay.items():
        if known.has(name, key.mark, f"environment `{environment}` gives a value to var `{name[:60]}`"):
            yield from known.value(name, node, node.mark, f"environment `{environment}` at {node.mark}")
    folded = {name.casefold(): name for name in declared}
    for variable, text in sorted(chosen.environ.items()):
        name = folded.get(variable.removeprefix(PREFIX).casefold(), "")
        if name:
            yield from known.value(name, _as_written(text, declared[name].type), declared[name].mark, f"`{variable}`")
        elif near := problems.nearest(variable.removeprefix(PREFIX).lower(), declared):
            problems.warning(Mark(""), f"`{variable}` is set, and there is no such var; did you mean `{near}`?")
    for file in chosen.files:
        for name, (key, node) in _read(file, problems).items():
            if known.has(name, key.mark, f"`{file.name}` gives a value to var `{name[:60]}`"):
                yield from known.value(name, node, node.mark, f"`{file.name}` at {node.mark}")
    for name, text in chosen.given:
        if known.has(name, Mark(""), f"`--var` gives a value to var `{name[:60]}`"):
            var = declared[name]
            yield from known.value(name, _as_written(text, var.type), var.mark, f"`--var {name}`")


class _Known(msgspec.Struct, frozen=True):
    declared: MappingType[str, Var]
    broken: set[str]
    problems: Problems

    def has(self, name: str, mark: Mark, words: str) -> bool:
        if name in self.declared:
            return True
        if name not in self.broken:
            self.problems.error(mark, f"{words}, and there is none of that name", self.way(name))
        return False

    def way(self, name: str) -> str:
        return unknown_hint(name, {*self.declared, *self.broken}, self.problems)

    def value(self, name: str, node: Node, mark: Mark, said: str) -> Iterable[tuple[str, Value]]:
        """The value, if it is one for this var. mark: where it is told that it is not."""
        scalar, wrong = _of_type(node, self.declared[name].type)
        if scalar is not None and wrong is None:
            return [(name, Value(scalar, said))]
        assert wrong is not None, "whatever is no value is told why"
        found = wrong.found if node.file else f", and {said} gives it {wrong.shown}" if wrong.shown else f", by {said}"
        self.problems.error(mark, f"var `{name}` {wrong.words}{found}", wrong.hint)
        return []


def unknown_hint(name: str, known: Iterable[str], problems: Problems) -> str:
    """What somebody who named a var that there is not may want."""
    known = sorted(known)
    near = problems.nearest(name, known)
    if near:
        return f"did you mean `{near}`?"
    listed = "vars are " + ", ".join(f"`{one}`" for one in known[:20]) if known else "no vars are declared"
    return f"declare it under `vars`; {listed}"


def _as_written(text: str, kind: str) -> Scalar:
    """What a command line or a variable says, which is text: of another type only where the var is."""
    source = text if kind == "string" else text.strip()
    return Scalar("", 0, 0, text if kind == "string" else resolve(source), source)


class _Wrong(msgspec.Struct, frozen=True):
    """Why something is no value of a var: `must be a whole number`, `, not text`."""

    words: str
    found: str = ""
    shown: str = ""  # the value itself, where it may be told
    hint: str = ""


def _of_type(node: Node, kind: str) -> tuple[Scalar | None, _Wrong | None]:
    """The value as one of this type, or why it is none."""
    value = node.value if isinstance(node, Scalar) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(node, Scalar) or not _is_of(value, kind, is_number=is_number):
        is_text = kind == "string" and isinstance(value, bool)
        source = node.source if isinstance(node, Scalar) else ""
        hint = f'quote it: `"{source}"`' if is_text else ""
        return None, _Wrong(f"must be {_TYPES[kind]}", f", not {kind_of(node)}", f"`{source[:40]}`", hint)
    if kind == "string" and is_number:  # as it is written, `3.10` too
        return Scalar(node.file, node.line, node.column, node.source, node.source), None
    text = value if isinstance(value, str) else ""
    if literal_keys(text):
        return None, _Wrong("is given a literal key", hint=KEY_HINT)
    if any(opener in text for opener in OPENERS):
        hint = "a var is a value: write the template where the var is used"
        return None, _Wrong("holds braces of a template", hint=hint)
    if FORBIDDEN.search(text):
        return None, _Wrong("holds characters that no spec may hold", hint="give it plain text")
    return node, None


def _is_of(value: object, kind: str, *, is_number: bool) -> bool:
    match kind:
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return is_number and isinstance(value, int)
        case "number":
            return is_number and isinstance(value, int | float) and math.isfinite(value)
        case _:
            return is_number or isinstance(value, str)


def _read(file: Path, problems: Problems) -> dict[str, tuple[Scalar, Node]]:
    """What a file of values says: a mapping in YAML or JSON."""
    name = str(file)
    text = read_text(file, name, problems)
    if text is None:
        return {}
    # YAML may not be indented by tabs, and JSON has none inside of its texts
    top = parse(text.replace("\t", " ") if file.suffix == ".json" else text, name, problems)
    return dict(top.entries) if top is not None else {}
