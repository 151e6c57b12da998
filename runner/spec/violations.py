"""pydantic's findings as problems: our words, at the exact place, never with the value that was refused.

pydantic's own texts repeat the input, which may be a misplaced key; only `loc`, `type` and `ctx` are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingType
from collections.abc import Sequence as SequenceType
from typing import Any, get_args

import msgspec
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from runner.errors import Mark
from runner.fields import ENDPOINT_NAMES
from runner.remotes.registry import declared_by
from runner.spec.model import ProviderSpec
from runner.spec.nodes import Mapping, Node, Scalar, Sequence, kind_of
from runner.spec.problems import Problems
from runner.spec.scalars import resolve

_WRONG_TYPE = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "`true` or `false`",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
}
_MAPPINGS = [kind for kind, word in _WRONG_TYPE.items() if word == "a mapping"]
_BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}

_KEY = "[key]"  # how pydantic says that the name of an entry is meant, not its value

Part = str | int


class Subject(msgspec.Struct, frozen=True):
    """What a problem is about: `job` and `sentiment`, or nothing for the top of a file."""

    noun: str = ""
    name: str = ""
    owner: str = ""  # what it is part of

    def __str__(self) -> str:
        words = f"{self.noun} `{self.name}`" if self.name else self.noun or "the file"
        return f"{words} of {self.owner}" if self.owner else words


class _Place(msgspec.Struct, frozen=True):
    """The deepest part of `loc` that was written."""

    node: Node
    key: Scalar | None  # the key that holds it


def report(
    error: ValidationError, subject: Subject, key: Scalar | None, node: Node, model: type[BaseModel], to: Problems
) -> None:
    """Put every finding of `error` into `to`. `node` is what was validated, `key` the key that holds it."""
    for detail in error.errors(include_url=False, include_context=True, include_input=False):
        _report(detail, subject, key, node, model, to)
        if to.leaves_out:
            break


def as_meant(
    error: ValidationError, subject: Subject, key: Scalar | None, node: Node, model: type[BaseModel], to: Problems
) -> Node | None:
    """What was validated, its misspelled fields called what they are like, and each of them reported; None where there
    is none. So a slip is one problem, not a missing field as well, and hides nothing of what else is wrong.
    """
    names: dict[tuple[Part, ...], dict[str, str]] = {}  # by the path of a mapping
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        *path, field = detail["loc"] or ("",)
        if detail["type"] != "extra_forbidden" or (model is ProviderSpec and not path and _is_overridable(str(field))):
            continue
        if to.leaves_out:
            break
        holder, found = _inside(node, path), names.setdefault(tuple(path), {})
        near = to.nearest(str(field), fields_of(model, tuple(path))) if holder else None
        is_taken = any(near in one.entries for one in (holder, node) if isinstance(one, Mapping))
        if near and not is_taken and near not in found.values():
            _unknown_field(subject, (*path, field), _find(node, key, (*path, field)), model, to, near)
            found[str(field)] = near
    for path_of, found in names.items():
        node = _renamed(node, path_of, found) if found else node
    return node if any(names.values()) else None


def _inside(node: Node, path: SequenceType[Part]) -> Mapping | None:
    """The mapping at `path`; None where another stands there."""
    for part in path:
        if isinstance(node, Mapping) and str(part) in node.entries:
            node = node.entries[str(part)][1]
        elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
        else:
            return None
    return node if isinstance(node, Mapping) else None


def _renamed(node: Node, path: SequenceType[Part], names: MappingType[str, str]) -> Node:
    """A copy in which entries of the mapping at `path` have other names, at their places."""
    if isinstance(node, Sequence):
        items = [_renamed(item, path[1:], names) if at == path[0] else item for at, item in enumerate(node.items)]
        return msgspec.structs.replace(node, items=items)
    assert isinstance(node, Mapping), "it was walked through"
    if not path:
        return msgspec.structs.replace(node, entries={names.get(one, one): pair for one, pair in node.entries.items()})
    key, value = node.entries[str(path[0])]
    return msgspec.structs.replace(
        node, entries={**node.entries, str(path[0]): (key, _renamed(value, path[1:], names))}
    )


def _report(
    detail: ErrorDetails, subject: Subject, key: Scalar | None, node: Node, model: type[BaseModel], to: Problems
) -> None:
    context = detail.get("ctx", {})
    loc: tuple[Part, ...] = (*detail["loc"], *context.get("path", ()))
    place = _find(node, key, loc)
    if detail["type"] == "extra_forbidden":
        _unknown_field(subject, loc, place, model, to)
    elif detail["type"] == "missing":
        owner = _named(subject, loc[:-1])
        to.error(place.key.mark if place.key else place.node.mark, f"{owner} needs `{loc[-1]}`")
    elif loc[-1:] == (_KEY,) and place.key is not None:
        message, hint = _predicate(detail["type"], context, place.key, to)
        to.error(place.key.mark, f"the name `{loc[-2]}` in {_named(subject, loc[:-2])} {message}", hint)
    else:
        message, hint = _predicate(detail["type"], context, place.node, to)
        to.error(place.node.mark, f"{_named(subject, loc)} {message}", hint)


def _find(node: Node, key: Scalar | None, loc: tuple[Part, ...]) -> _Place:
    for part in loc:
        if isinstance(node, Mapping) and str(part) in node.entries:
            key, node = node.entries[str(part)]
        elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
            key, node = None, node.items[part]
        else:
            break
    return _Place(node, key)


def _named(subject: Subject, loc: tuple[Part, ...]) -> str:
    """`price.input` of model `llama`."""
    if not loc:
        return str(subject)
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    return f"`{path}` of {subject}" if subject.noun else f"`{path}`"


def _unknown_field(
    subject: Subject, loc: tuple[Part, ...], place: _Place, model: type[BaseModel], to: Problems, near: str = ""
) -> None:
    """near: what it most likely means, where that is known already."""
    field = str(loc[-1])
    owner = f"`{_named(Subject(), loc[:-1]).strip('`')}` of {subject}" if len(loc) > 1 else str(subject)
    mark = place.key.mark if place.key else place.node.mark
    if model is ProviderSpec and len(loc) == 1 and _is_overridable(field):
        hint = f"write `{field}` below `overrides:`"
    elif near:
        hint = f"did you mean `{near}`?"
    else:
        hint = near_or_all(field, fields_of(model, loc[:-1]), to)
    to.error(mark, f"unknown field `{field[:60]}` in {owner}", hint)


def _is_overridable(field: str) -> bool:
    """Whether some kind of provider lets its users override it."""
    return any(one.overrides and field in one.overrides for one in declared_by().values())


def near_or_all(word: str, known: list[str], to: Problems) -> str:
    """A did-you-mean, or the list of what there is."""
    near = to.nearest(word, known)
    if near:
        return f"did you mean `{near}`?"
    return "use one of " + ", ".join(f"`{name}`" for name in known[:30]) if known else ""


def fields_of(model: type[BaseModel], loc: tuple[Part, ...]) -> list[str]:
    """The fields a user may write at `loc` below `model`."""
    found: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int):
            continue
        by_name = {field.alias or name: field for name, field in found.model_fields.items()} if found else {}
        found = _model_in(by_name[part].annotation) if part in by_name else None
    return [field.alias or name for name, field in found.model_fields.items()] if found else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside `X | None`, `list[X]`, `Annotated[X, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)


def _predicate(kind: str, context: MappingType[str, Any], node: Node, to: Problems) -> tuple[str, str]:
    """What is wrong with the value at `node`, and what to do."""
    if isinstance(node, Scalar) and node.value is None and kind != "runner":
        return "has no value", "give it one, or remove the line"
    if kind in _WRONG_TYPE:
        return f"must be {_WRONG_TYPE[kind]}, not {kind_of(node)}", _type_hint(kind, node)
    match kind:
        case "runner":
            return context["message"], context["hint"] or _endpoint_hint(context["message"], node, to)
        case "literal_error":
            return _choice(context["expected"], node, to)
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}", ""
        case "less_than_equal":
            return f"must be at most {context['le']:g}", ""
        case "finite_number":
            return "must be a finite number", ""
        case "too_short":
            return "is empty", "give it at least one entry"
    return "is not valid", ""


def _choice(expected: str, node: Node, to: Problems) -> tuple[str, str]:
    choices = re.findall(r"'([^']*)'|(?<![\w'])(\d+)(?![\w'])", expected)
    names = [word or number for word, number in choices]
    listed = ", ".join(f"`{name}`" for name in names)
    near = to.nearest(node.source, names) if isinstance(node, Scalar) else None
    if isinstance(node, Scalar) and node.source == near:
        return f"must be {listed}, not text", "remove the quotes"
    return f"must be one of {listed}" if len(
        names
    ) > 1 else f"must be {listed}", f"did you mean `{near}`?" if near else ""


def _endpoint_hint(message: str, node: Node, to: Problems) -> str:
    if not isinstance(node, Scalar) or "`responses`" not in message:
        return ""
    near = to.nearest(node.source, list(ENDPOINT_NAMES))
    return f"did you mean `{near}`?" if near else ""


def _type_hint(kind: str, node: Node) -> str:
    if kind in _MAPPINGS:
        return "write it as `name: value`"
    if not isinstance(node, Scalar):
        return ""
    source = node.source
    if kind == "string_type":
        return f'quote it: `"{source}"`'
    if kind == "bool_type" and source.lower() in _BOOLEANS:
        return f"write `{_BOOLEANS[source.lower()]}`"
    if kind in ("int_type", "float_type") and isinstance(node.value, str):
        bare = source.replace("_", "").replace(",", "")
        if isinstance(resolve(bare.strip()), int | float) and not isinstance(resolve(bare.strip()), bool):
            return f"write `{bare.strip()}` without quotes" if not node.is_plain else f"write `{bare}`"
    if kind == "list_type":
        return f"write `[{source}]`" if node.is_plain and len(source) <= 40 else "write it as a list"
    return ""


def mark_of(node: Node, *path: Part) -> Mark:
    """Where the value at `path` below `node` is written; the deepest part that is there."""
    return _find(node, None, path).node.mark
