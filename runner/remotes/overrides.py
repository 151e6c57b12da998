"""What specs may write as `overrides` of a provider, made from the profile of its vendor: it is declared once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, create_model

from runner import fields
from runner.fields import Fields
from runner.job.observed import Phase
from runner.remotes.profile import BatchPace
from runner.remotes.written import MARK, MOST_CHARACTERS

_PHASES = tuple(phase.value for phase in Phase if phase is not Phase.UNKNOWN)
_HOURS_LIST = Annotated[list[fields.HoursOrDuration], Field(min_length=1)]
_OF_EVERY_REMOTE = frozenset(BatchPace.__struct_fields__)  # named last, after what is a vendor's own
_KINDS: dict[str, Any] = {
    "flag": bool,
    "count": fields.Count,
    "characters": Annotated[fields.Count, Field(le=MOST_CHARACTERS)],
    "whole": fields.Whole,
    "parallelism": fields.Parallelism,
    "hours": fields.HoursOrDuration,
    "hours list": _HOURS_LIST,
    "seconds": fields.Seconds,
    "share": fields.Share,
    "text": fields.Text,
    "raw text": fields.RawText,
    "words": list[fields.Text],
    "texts": fields.Texts,
    "path": fields.ApiPath,
    "header": fields.Header,
    "endpoints": Annotated[list[fields.Endpoint], Field(min_length=1)],
    "phases": dict[str, Literal[_PHASES]],  # type: ignore[valid-type]
    "raw texts": dict[str, fields.RawText],
    "json map": fields.JsonMap,
}


class Overrides:
    """Every field of a profile that says how it is written, and those within. name: of its model."""

    def __init__(self, profile: type[msgspec.Struct], name: str) -> None:
        self._profile, self._name = profile, name

    @cached_property
    def _fields(self) -> dict[str, Any]:
        found = sorted(msgspec.structs.fields(self._profile), key=lambda field: field.name in _OF_EVERY_REMOTE)
        return {field.name: field.type for field in found if _is_written(field.type)}

    def __contains__(self, name: str) -> bool:
        """Whether a field may be written."""
        return name in self._fields

    @cached_property
    def model(self) -> type[Fields]:
        """All of them."""
        return self._model_of(self._fields)

    def model_of(self, names: Iterable[str]) -> type[Fields]:
        """What checks these: pydantic takes 10 ms of a first apply to make all of them, and a block says two or three.

        With names that are unknown it is the whole model, which says what is known.
        """
        wanted = set(names)
        return self._model_of(wanted) if wanted <= self._fields.keys() else self.model

    def _model_of(self, names: Iterable[str]) -> type[Fields]:
        written: dict[str, Any] = {}
        for name, declared in self._fields.items():
            if name in names:
                kind, description = _kind_of(declared)
                written[name] = (Annotated[kind | None, fields.GIVEN], Field(default=None, description=description))
        doc = (self._profile.__doc__ or "").partition("\n\n")[0]
        return create_model(self._name, __base__=Fields, __doc__=doc, **written)


def overrides_of(profile: type[msgspec.Struct], name: str) -> Overrides:
    """What specs may say against a profile. name: of the model, in the JSON Schema."""
    return Overrides(profile, name)


def _is_written(declared: Any) -> bool:
    marks = [mark for mark in getattr(declared, "__metadata__", ()) if isinstance(mark, msgspec.Meta)]
    bare = declared.__origin__ if marks else declared
    return any(mark.extra for mark in marks) or (isinstance(bare, type) and issubclass(bare, msgspec.Struct))


def _kind_of(declared: Any) -> tuple[Any, str | None]:
    """The type of one field as users write it, None for one that they do not; and what is said of it."""
    marks = [mark for mark in getattr(declared, "__metadata__", ()) if isinstance(mark, msgspec.Meta)]
    bare = declared.__origin__ if marks else declared
    description = next((mark.description for mark in marks if mark.description), None)
    word = next((mark.extra[MARK] for mark in marks if mark.extra), None)
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        return Overrides(bare, f"{bare.__name__}Fields").model, description
    if word == "choice":
        return bare, description
    return _KINDS[word] if word else None, description
