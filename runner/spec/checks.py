"""Checks of a job: one kind each, no key that means nothing to it, and every default filled in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from runner.errors import Mark
from runner.job.checks import (
    ANSWER,
    WITH_REFERENCE,
    Better,
    Check,
    Ignore,
    Judge,
    Kind,
    Lacking,
    Normalize,
    Occurrence,
    Reference,
    Within,
)
from runner.job.expect import ANSWERED, Part
from runner.job.pairs import Place
from runner.job.source import Source
from runner.spec import jsonschemas
from runner.spec.declared import Entry
from runner.spec.evalfields import CheckSpec
from runner.spec.nodes import Mapping as MappingNode
from runner.spec.nodes import Node, Scalar, Sequence, kind_of
from runner.spec.placed import Placed, name_wrong, text_of
from runner.spec.problems import Problems
from runner.spec.violations import Subject

_ALL = frozenset(Kind)
_RENDERED = frozenset({Kind.EXPRESSION, Kind.MEASURE})  # their value is what is looked at
_ERRORS = frozenset({Kind.WER, Kind.CER})
_JUDGE = frozenset({Kind.JUDGE})
# Keys that mean something to some kinds only.
_OF_KINDS = {
    "text": _ALL - _RENDERED,
    "extract": _ALL - {Kind.EXPRESSION},
    "occurrence": _ALL - {Kind.EXPRESSION},
    "ignore": frozenset({Kind.EQUALS, Kind.CONTAINS, Kind.CHOICE, Kind.PREFERENCE, Kind.JUDGE}),
    "not": _ALL - _ERRORS - {Kind.MEASURE, Kind.PREFERENCE, Kind.JUDGE},
    "unreadable": _ALL - {Kind.MEASURE},  # what has no number has no bad one either
    "unanswered": _ALL - {Kind.MEASURE},
    "empty_reference": WITH_REFERENCE,
    "all": frozenset({Kind.CONTAINS}),
    "whole_words": frozenset({Kind.CONTAINS}),
    "within": frozenset({Kind.NUMBER}),
    "classes": frozenset({Kind.CHOICE}),
    "normalize": _ERRORS,
    "better": frozenset({Kind.MEASURE}),
    "model": _JUDGE,
    "verdicts": _JUDGE,
    "human": _JUDGE,
    "window": _JUDGE,
    "sample": _JUDGE,
    "budget": _JUDGE,
    "max_attempts": _JUDGE,
}
_INSTEAD = {
    ("text", Kind.EXPRESSION): "its value is what is looked at",
    ("text", Kind.MEASURE): "its value is what is looked at",
    ("ignore", Kind.REGEX): "write flags into the pattern, such as `(?i)`",
    ("ignore", Kind.WER): "use `normalize`",
    ("ignore", Kind.CER): "use `normalize`",
    ("not", Kind.MEASURE): "write `better: lower`",
    ("not", Kind.PREFERENCE): "name the two jobs the other way round in `pairs`",
    ("not", Kind.JUDGE): "`verdicts` say what each is worth",
    ("classes", Kind.JUDGE): "they are its `verdicts`",
}
_NEEDED = {
    "model": "name one of `models`",
    "verdicts": "write what each word of the judge is worth, such as `{good: 1, partly: 0.5, bad: 0}`",
}
_WITHIN = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(%?)")


def checks_of(entry: Entry, root: Path, problems: Problems) -> dict[str, Check | None]:
    """The checks of a job in their order, by name; None for one with a problem."""
    node = entry.value("checks")
    if node is None:
        return {}
    if not isinstance(node, MappingNode):
        hint = "write a name for each, such as `checks: {intent: {choice: ...}}`"
        problems.error(node.mark, f"`checks` of {entry.subject} must be a mapping, not {kind_of(node)}", hint)
        return {}
    found: dict[str, Check | None] = {}
    for key, value in node.entries.values():
        placed = Placed(Subject("check", key.source[:60], str(entry.subject)), key, value, problems)
        found[key.source] = _check(placed, root) if _may_be_called(placed) else None
    return found


def _schema(placed: Placed, root: Path) -> jsonschemas.Schema | None:
    """What JSON has to be; None where it only has to parse, and after a problem."""
    node = placed.value("json")
    if node is None or (isinstance(node, Scalar) and node.value is True):
        return None
    return jsonschemas.schema_of(node, "json", placed.subject, placed.problems, root)


def _may_be_called(placed: Placed) -> bool:
    """Whether a name is one, and none that a metric of another check could have."""
    name = placed.key.source
    last = name.rpartition(".")[2]
    if wrong := name_wrong(name):
        placed.error(placed.key.mark, f"the name of {placed.subject} {wrong}", "rename it")
    elif name == ANSWERED or last in (Part.MACRO_F1, Part.UNREADABLE):
        words = f"the name of {placed.subject} is also the name of a metric: `expect` could not tell them apart"
        placed.error(placed.key.mark, words, "rename it")
    else:
        return True
    return False


def _check(placed: Placed, root: Path) -> Check | None:
    if not isinstance(placed.node, MappingNode):
        hint = 'write its kind and its value, such as `{equals: "{{ expected }}"}`'
        placed.error(placed.node.mark, f"{placed.subject} must be a mapping, not {kind_of(placed.node)}", hint)
        return None
    before = placed.problems.errors
    spec = placed.fields(CheckSpec)
    kind = _kind(placed)
    if kind is None or spec is None:
        return None
    _check_keys(placed, kind)
    looked_at = _template(placed, kind.value if kind in _RENDERED else "text")
    extract = _pattern(placed, "extract")
    reference, schema = Reference(), None
    if kind in WITH_REFERENCE:
        reference = _reference(placed, kind.value)
    elif kind is Kind.JSON:
        schema = _schema(placed, root)
    judge = _judge(placed, spec) if kind is Kind.JUDGE else None
    where = _template(placed, "where")
    pattern = _pattern(placed, kind.value) if kind is Kind.REGEX else None
    within = _within(placed)
    words = _words(placed) if kind is Kind.PREFERENCE else {}
    if spec.all_ and len(reference.templates) < 2 and not reference.column:
        placed.error(placed.key_mark("all"), f"`all` of {placed.subject} needs a list", "give the texts as a list")
    if placed.problems.errors > before:
        return None
    lacking = Lacking.EXCLUDED if kind in (Kind.MEASURE, Kind.PREFERENCE, Kind.JUDGE) else Lacking.WRONG
    return Check(
        name=placed.key.source,
        kind=kind,
        text=looked_at or Source(ANSWER, placed.key.mark, f"`text` of {placed.subject}"),
        reference=reference,
        pattern=pattern,
        schema=schema.content if schema else None,
        schema_file=schema.file if schema else "",
        extract=extract,
        occurrence=Occurrence(spec.occurrence or Occurrence.LAST),
        ignore=_ignored(spec.ignore, kind),
        where=where,
        is_negated=bool(spec.not_),
        unreadable=Lacking(spec.unreadable or lacking),
        unanswered=Lacking(spec.unanswered) if spec.unanswered else None,
        empty_counts=spec.empty_reference == "counts",
        every=bool(spec.all_),
        whole_words=bool(spec.whole_words),
        within=within,
        classes=tuple(spec.classes or ()),
        normalize=Normalize(spec.normalize or Normalize.BASIC),
        better=Better.LOWER if kind in _ERRORS else Better(spec.better or Better.HIGHER),
        words=words,
        judge=judge,
        mark=placed.key.mark,
    )


def _kind(placed: Placed) -> Kind | None:
    """The one kind that is written, or None after a problem."""
    written = [kind for kind in Kind if placed.value(kind.value) is not None]
    if len(written) == 1:
        return written[0]
    if written:
        first, second = written[:2]
        words = f"{placed.subject} has both `{first}` and `{second}`"
        placed.error(placed.key_mark(second), words, "make two checks of it")
    elif not _has_unknown_keys(placed):  # that one is the kind, most likely, and was told of
        words = "give it one of " + ", ".join(f"`{kind}`" for kind in Kind)
        placed.error(placed.key.mark, f"{placed.subject} has no kind", words)
    return None


def _has_unknown_keys(placed: Placed) -> bool:
    known = {field.alias or name for name, field in CheckSpec.model_fields.items()}
    return isinstance(placed.node, MappingNode) and not placed.node.entries.keys() <= known


def _check_keys(placed: Placed, kind: Kind) -> None:
    """No key that says nothing about this kind."""
    for key, kinds in _OF_KINDS.items():
        if placed.value(key) is not None and kind not in kinds:
            usual = "it is for " + " and ".join(f"`{one}`" for one in Kind if one in kinds)
            hint = _INSTEAD.get((key, kind)) or (usual if len(kinds) <= len(_ALL) / 2 else "remove the line")
            placed.error(placed.key_mark(key), f"`{key}` of {placed.subject} means nothing to `{kind}`", hint)
    if placed.value("occurrence") is not None and placed.value("extract") is None:
        words = f"`occurrence` of {placed.subject} says which match of `extract` counts, and there is none"
        placed.error(placed.key_mark("occurrence"), words, "give the pattern with `extract`, or remove the line")


def _judge(placed: Placed, spec: CheckSpec) -> Judge:
    """Who judges, or half of it after a problem."""
    for name in ("model", "verdicts"):
        if getattr(spec, name) is None:
            placed.error(placed.key.mark, f"{placed.subject} needs `{name}`", _NEEDED[name])
    verdicts = {word: float(worth) for word, worth in (spec.verdicts or {}).items()}
    for word in verdicts:
        if not word.strip():
            placed.error(placed.key_mark("verdicts"), f"a verdict of {placed.subject} is empty", "give it a word")
    return Judge(spec.judge or "", spec.model or "", verdicts, _template(placed, "human"))


def _template(placed: Placed, name: str) -> Source | None:
    return None if text_of(placed.value(name)) is None else placed.template(name)


def _pattern(placed: Placed, name: str) -> Source | None:
    """A pattern that compiles, or None where there is none, and after a problem."""
    if text_of(placed.value(name)) is None:
        return None
    source = placed.source(name)
    try:
        re.compile(source.text, re.MULTILINE)
    except (re.error, RecursionError, OverflowError) as error:
        words = str(error).partition("\n")[0] if isinstance(error, re.error) else "it is nested too deeply"
        placed.error(source.mark, f"`{name}` of {placed.subject} is not a pattern: {words}", _hint_of(source.text))
        return None
    return source


def _hint_of(pattern: str) -> str:
    return "write `\\` before a character that is meant as itself" if re.search(r"[()\[\]*+?{]", pattern) else ""


def _reference(placed: Placed, name: str) -> Reference:
    node = placed.value(name)
    what = f"`{name}` of {placed.subject}"
    if isinstance(node, MappingNode):
        return _column(placed, what, node)
    items: Iterable[Node] = node.items if isinstance(node, Sequence) else [node] if node else []
    if isinstance(node, Sequence) and not node.items:
        placed.error(node.mark, f"{what} is an empty list", "give it at least one text")
    sources = []
    for item in items:
        if text_of(item) is None:
            shown = "is empty" if _is_blank(item) else f"must be text, not {kind_of(item)}"
            hint = f'quote it: `"{item.source}"`' if isinstance(item, Scalar) and isinstance(item.value, bool) else ""
            placed.error(item.mark, f"{what} {shown}", hint or 'such as `"{{ expected }}"`, or `{column: expected}`')
        else:
            sources.append(placed.source(name, item))
    return Reference(tuple(sources), mark=node.mark if node else Mark(""))


def _is_blank(node: Node) -> bool:
    return isinstance(node, Scalar) and (node.value is None or isinstance(node.value, str))


def _column(placed: Placed, what: str, node: MappingNode) -> Reference:
    """`{column: name}`."""
    name = text_of(node.get("column"))
    if name is None or len(node.entries) > 1:
        placed.error(node.mark, f"{what} must be a text, a list of texts, or `{{column: name}}`")
        return Reference()
    return Reference(column=name, mark=node.entries["column"][1].mark)


def _within(placed: Placed) -> Within:
    node = placed.value("within")
    text = text_of(node)
    if node is None:
        return Within()
    found = _WITHIN.fullmatch(text.strip()) if text else None
    if found is None:
        words = f"`within` of {placed.subject} must be a number, or a share such as `1 %`"
        placed.error(node.mark, words, "" if text else "such as `within: 0.5`")
        return Within()
    amount = Decimal(found[1])
    return Within(amount / 100, True) if found[2] else Within(amount)


def _words(placed: Placed) -> dict[Place, str]:
    """What the judge calls each place."""
    node = placed.value("preference")
    assert isinstance(node, MappingNode), "its fields were found to be right"
    words = {place: text_of(node.get(place)) for place in Place}
    return {place: word for place, word in words.items() if word is not None}


def _ignored(written: Any, kind: Kind) -> tuple[Ignore, ...]:
    if written is None:
        return (Ignore.CASE, Ignore.SPACE) if kind in (Kind.CHOICE, Kind.PREFERENCE, Kind.JUDGE) else ()
    return tuple(one for one in Ignore if one in written)
