"""What is special about a job of recordings: which fields it has, whom it can ask, and how each one is asked."""

from __future__ import annotations

from typing import Any

from runner.job.capabilities import Content
from runner.job.project import Model, ProviderBlock
from runner.remotes.registry import declared_by
from runner.spec import forms, kinds
from runner.spec.declared import Entry, check_no_template
from runner.spec.model import JobSpec
from runner.spec.nodes import Mapping, Sequence
from runner.spec.paths import is_too_long
from runner.spec.problems import Problems

SUFFIXES = {"text": ".txt", "srt": ".srt", "vtt": ".vtt"}  # of a transcript; any other response format is JSON


def is_of_recordings(entry: Entry) -> bool:
    return isinstance(entry.node, Mapping) and "audio" in entry.node.entries


def check_fields(entry: Entry, problems: Problems) -> bool:
    """Whether a job is of one kind: rows of a dataset, or recordings."""
    before = problems.errors
    if not is_of_recordings(entry):
        for name in ("exclude", "task", "skip_bad"):
            if entry.value(name) is not None:
                hint = "name the recordings with `audio`, or remove the line"
                if name == "skip_bad":
                    hint = "write it in the dataset"
                problems.error(entry.key_mark(name), f"`{name}` of {entry.subject} needs `audio`", hint)
        return problems.errors == before
    for name in ("dataset", "prompt"):
        for path in ((name,), ("matrix", name)):
            if (node := entry.value(*path)) is not None:
                mark = entry.key_mark(name) if len(path) == 1 else node.mark
                shown, hint = ".".join(path), "keep `audio`, or a `dataset` and a `prompt`"
                problems.error(mark, f"{entry.subject} has both `audio` and `{shown}`", hint)
    for name in ("answer", "on_invalid"):
        if entry.value(name) is not None:
            words = f"`{name}` of {entry.subject} is for the rows of a dataset, and recordings are written down"
            problems.error(entry.key_mark(name), words, "remove it")
    if entry.spec:
        spec: JobSpec = entry.spec
        check_no_template(entry, ("audio", "exclude"), problems)
        for name, patterns in (("audio", spec.audio or ()), ("exclude", spec.exclude or ())):
            for index, pattern in enumerate(patterns):
                check_pattern(entry, name, index, pattern, problems)
    return problems.errors == before


def check_pattern(entry: Entry, name: str, index: int, pattern: str, problems: Problems) -> None:
    """Whether a path or glob of a job leads to a place below the project root."""
    node = entry.value(name)
    mark = node.items[index].mark if isinstance(node, Sequence) else entry.value_mark(name)
    if not pattern.isprintable():
        problems.error(mark, f"`{name}` of {entry.subject} must not hold control characters")
    elif is_too_long(pattern):
        problems.error(mark, f"`{name}` of {entry.subject} holds a path that is too long")
    elif pattern.startswith(("/", "~")) or ".." in pattern.split("/") or not pattern.strip("./"):
        hint = "give a path relative to the root, without `..`"
        problems.error(mark, f"`{name}` of {entry.subject} must stay inside the project root", hint)


def check_provider(entry: Entry, model: Model, provider: ProviderBlock, problems: Problems) -> bool:
    """Whether a job and its model are of the same kind: both of recordings, or neither."""
    mark = entry.value_mark("model") if entry.value("model") else entry.value_mark("matrix", "model")
    if is_of_recordings(entry):
        if kinds.takes(provider, Content.RECORDING):
            return True
        able = " or ".join(f"`{kind}`" for kind, one in declared_by().items() if Content.RECORDING in one.content)
        message = f"{entry.subject} has recordings, and model `{model.key}` of provider `{provider.name}` takes none"
        problems.error(mark, message, f"use a model of {able}")
        return False
    if kinds.takes(provider, Content.TEXT):
        return True
    message = f"{entry.subject} has rows, and model `{model.key}` of provider `{provider.name}` takes recordings only"
    problems.error(mark, message, "name recordings with `audio`, or use another model")
    return False


def asked_of(
    entry: Entry, model_entry: Entry, model: Model, provider: ProviderBlock, problems: Problems
) -> dict[str, Any] | None:
    """The fields of an AudioJob that other jobs have not, or None after problems with the form."""
    spec: JobSpec = entry.spec
    task = spec.task or "transcribe"
    form = kinds.of(provider).form
    assert form is not None, "the provider takes recordings"
    if not check_no_template(model_entry, ("params",), problems):
        return None
    params = forms.form_of(model_entry, form, task, problems)
    if params is None:
        return None
    return {
        "patterns": tuple(spec.audio or ()),
        "exclude": tuple(spec.exclude or ()),
        "task": task,
        "path": "/" + (model.options.get("path") or form.paths[task]).strip("/"),
        "endpoint_id": model.options.get("endpoint_id") or form.endpoint_ids.get(model.name, ""),
        "fields": forms.texts_of(params),
        "patterns_mark": entry.value_mark("audio"),
    }
