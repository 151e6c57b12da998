"""What specs may write as `overrides` of a provider, made from the profile of its vendor: it is declared once."""

from __future__ import annotations

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


def overrides_of(profile: type[msgspec.Struct], name: str) -> type[Fields]:
    """A model of every field of a profile that says how it is written, and of those within. name: of the model."""
    written: dict[str, Any] = {}
    for field in sorted(msgspec.structs.fields(profile), key=lambda field: field.name in _OF_EVERY_REMOTE):
        kind, description = _kind_of(field.type)
        if kind is not None:
            written[field.name] = (Annotated[kind | None, fields.GIVEN], Field(default=None, description=description))
    doc = (profile.__doc__ or "").partition("\n\n")[0]
    return create_model(name, __base__=Fields, __doc__=doc, **written)


def _kind_of(declared: Any) -> tuple[Any, str | None]:
    """The type of one field as users write it, None for one that they do not; and what is said of it."""
    marks = [mark for mark in getattr(declared, "__metadata__", ()) if isinstance(mark, msgspec.Meta)]
    bare = declared.__origin__ if marks else declared
    description = next((mark.description for mark in marks if mark.description), None)
    word = next((mark.extra[MARK] for mark in marks if mark.extra), None)
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        return overrides_of(bare, f"{bare.__name__}Fields"), description
    if word == "choice":
        return bare, description
    return _KINDS[word] if word else None, description
