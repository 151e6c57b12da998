"""The `columns` of a job: those of its results that it names, and values that it picks out of answers.

columns: [custom_id, text, {city: answer.city}, digest, origin]   # these, in this order
columns: {city: answer.city, best: {from: "answer.scores[0]", type: number}}   # beside the usual ones
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import msgspec
from pydantic import ValidationError

from runner.job.project import Pick
from runner.spec.declared import Entry
from runner.spec.model import PickSpec
from runner.spec.nodes import Mapping, Node, Scalar, Sequence, data_of, kind_of
from runner.spec.placed import text_of
from runner.spec.problems import Problems
from runner.spec.violations import Subject, report

_PART = re.compile(r'\.(?P<name>[^\W\d][\w-]*)|\[(?P<place>0|[1-9][0-9]{0,8})\]|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]')
_START = "answer"
_HOW = 'such as `answer.city`, `answer.scores[0]` or `answer["odd name"]`'


class Columns(msgspec.Struct, frozen=True):
    names: tuple[str, ...] = ()  # in order; empty for the usual ones, with the picks among them
    picks: tuple[Pick, ...] = ()


def columns_of(entry: Entry, problems: Problems) -> Columns | None:
    """What a job says of its columns, or None after a problem."""
    node = entry.value("columns")
    before = problems.errors
    if isinstance(node, Mapping):
        found = Columns((), tuple(_picks(node, entry, problems)))
    elif isinstance(node, Sequence) and node.items:
        found = _listed(node, entry, problems)
    elif (name := text_of(node)) is not None:
        found = Columns((name,))
    else:
        found = Columns()
        if node is not None:
            _refuse(node, entry, problems)
    return found if problems.errors == before else None


def _listed(node: Sequence, entry: Entry, problems: Problems) -> Columns:
    names: list[str] = []
    picks: list[Pick] = []
    for item in node.items:
        if isinstance(item, Mapping):
            found = list(_picks(item, entry, problems))
            names += [pick.name for pick in found]
            picks += found
        elif (name := text_of(item)) is not None:
            names.append(name)
        else:
            _refuse(item, entry, problems)
    return Columns(tuple(names), tuple(picks))


def _refuse(node: Node, entry: Entry, problems: Problems) -> None:
    words = f"`columns` of {entry.subject} must name columns, not {kind_of(node)}"
    problems.error(node.mark, words, "write a list of names, or `{city: answer.city}` for a value out of the answer")


def _picks(node: Mapping, entry: Entry, problems: Problems) -> Iterator[Pick]:
    for name, (key, value) in node.entries.items():
        if not name.strip() or not name.isprintable():
            problems.error(key.mark, f"the name of a column of {entry.subject} must be printable, and not blank")
        elif (pick := _pick(key, value, entry, problems)) is not None:
            yield pick


def _pick(key: Scalar, node: Node, entry: Entry, problems: Problems) -> Pick | None:
    subject = Subject("column", f"{key.source[:60]}` of `{entry.name}")
    kind = ""
    written: Node | None = node
    if isinstance(node, Mapping):
        try:
            kind = PickSpec.model_validate(data_of(node)).type or ""
        except ValidationError as error:
            report(error, subject, key, node, PickSpec, problems)
            return None
        written = node.get("from")
    source = text_of(written)
    path = None if source is None else path_in(source)
    if source is None or path is None or written is None:
        words = f"{subject} must say where in the answer its value stands"
        problems.error((written or node).mark, words, _HOW)
        return None
    return Pick(key.source, path, source, kind, key.mark)


def path_in(source: str) -> tuple[str | int, ...] | None:
    """The path that is written: names of fields, and places in lists; None where it is none."""
    if not source.startswith(_START):
        return None
    parts: list[str | int] = []
    at = len(_START)
    while at < len(source):
        found = _PART.match(source, at)
        if found is None:
            return None
        if found["place"] is not None:
            parts.append(int(found["place"]))
        else:
            try:
                parts.append(found["name"] or str(json.loads(found["quoted"])))
            except ValueError:
                return None
        at = found.end()
    return tuple(parts)
