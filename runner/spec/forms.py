"""The form that goes with a recording: a model's params checked as one, and as the texts that are sent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import create_model

from runner.fields import GIVEN, Fields
from runner.remotes.vendor import RecordingForm
from runner.spec.declared import Entry, Part, part_of
from runner.spec.nodes import Mapping as MappingNode
from runner.spec.nodes import data_of
from runner.spec.problems import Problems


@cache
def _part(params: type[Fields]) -> type[Part]:
    wanted: dict[str, Any] = {"params": (Annotated[params | None, GIVEN], None)}
    return create_model("FormPart", __base__=Part, **wanted)


def form_of(entry: Entry, form: RecordingForm, task: str | None, problems: Problems) -> dict[str, Any] | None:
    """The params of a model as a form for `task` (None: any), or None after problems."""
    before = problems.errors
    found = part_of(entry, _part(form.params), problems)
    params = entry.value("params")
    if isinstance(params, MappingNode):
        # what is written, so that other problems hide none of these
        for field, words, hint in form.faults(data_of(params), task):
            problems.error(params.key(field).mark, f"`params.{field}` of {entry.subject} {words}", hint)
    return None if found is None or problems.errors > before else found.get("params", {})


def texts_of(params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """A form as it is sent, sorted by name: lists in one text with commas, numbers as short as they can be written."""
    return tuple((name, _text(value)) for name, value in sorted(params.items()))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(_text, value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)
