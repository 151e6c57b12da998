"""The form that goes with a recording: a model's params checked as one, and as the texts that are sent.

Source: Fireworks "Transcribe audio" and "Translate audio" (read 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runner.fields import Maybe
from runner.spec.declared import Entry, Part, part_of
from runner.spec.nodes import Mapping as MappingNode
from runner.spec.nodes import data_of
from runner.spec.options import AudioParams
from runner.spec.problems import Problems

_VERBOSE = "verbose_json"
_OF_TRANSCRIPTIONS = ("diarize", "min_speakers", "max_speakers", "diarization_model")


class _Form(Part):
    params: Maybe[AudioParams] = None


def form_of(entry: Entry, task: str | None, problems: Problems) -> dict[str, Any] | None:
    """The params of a model as a form for `task` (None: any), or None after problems."""
    before = problems.errors
    found = part_of(entry, _Form, problems)
    params = entry.value("params")
    if isinstance(params, MappingNode):
        _check_agreement(entry, params, task, problems)
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


def _check_agreement(entry: Entry, params: MappingNode, task: str | None, problems: Problems) -> None:
    """Fields that need others. Looks at what is written, so that other problems hide none of these."""
    form = data_of(params)

    def refuse(name: str, words: str, hint: str) -> None:
        problems.error(params.key(name).mark, f"`params.{name}` of {entry.subject} {words}", hint)

    if task == "translate":
        for name in (name for name in _OF_TRANSCRIPTIONS if name in form):
            refuse(name, "is for `task: transcribe` only", "give the job that translates a model without it")
    else:
        _check_speakers(form, refuse)
    if "timestamp_granularities" in form and form.get("response_format") != _VERBOSE:
        refuse("timestamp_granularities", f"needs `response_format: {_VERBOSE}`", f"add `response_format: {_VERBOSE}`")


def _check_speakers(form: Mapping[str, Any], refuse: Callable[[str, str, str], None]) -> None:
    granularities = form.get("timestamp_granularities", "")
    words = granularities.split(",") if isinstance(granularities, str) else granularities
    is_of_words = isinstance(words, list) and "word" in [str(word).strip() for word in words]
    if form.get("diarize") is True and not (form.get("response_format") == _VERBOSE and is_of_words):
        needs = f"needs `response_format: {_VERBOSE}` and `word` among `timestamp_granularities`"
        missing = [] if form.get("response_format") == _VERBOSE else [f"`response_format: {_VERBOSE}`"]
        missing += [] if is_of_words else ["`timestamp_granularities: [word]`"]
        refuse("diarize", needs, "write " + " and ".join(missing))
    speakers = [name for name in ("min_speakers", "max_speakers") if name in form]
    for name in speakers:
        if form.get("diarize") is not True:
            refuse(name, "needs `diarize: true`", "add it, or remove the line")
    low, high = form.get("min_speakers"), form.get("max_speakers")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        refuse("min_speakers", "is more than `max_speakers`", "")
