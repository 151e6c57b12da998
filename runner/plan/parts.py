"""What the requests of a job are made of, part by part, and which of these are not what they were.

Names of models, prompts, datasets and files are no parts: what is asked is the same under any name.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from runner.errors import Mark
from runner.job.project import AnyJob, AudioJob, Job

DATASET = "dataset"
FILES = "dataset.files"  # what the pictures and documents hold that its rows name


class Part(NamedTuple):
    """value: as it is shown. mark: where it is written; of a text, where that starts."""

    what: str
    value: str
    mark: Mark
    is_text: bool = False  # several lines, of which those are shown that differ
    is_made: bool = False  # a text of ours: its lines are not those of a file
    is_hidden: bool = False  # a digest: that it differs is all there is to be said


class Altered(NamedTuple):
    """One part, as it was and as it is; None: it was not there, or is not any more."""

    before: Part | None
    after: Part | None

    @property
    def what(self) -> str:
        return (self.after or self.before).what  # type: ignore[union-attr]  # one of them is there


class Line(NamedTuple):
    """The first line in which two texts differ. number: in the later text, from 0."""

    number: int
    before: str | None
    after: str | None
    more: int  # further lines that differ


def parts_of(job: AnyJob, content: str = "", files: str = "") -> dict[str, Part]:
    """By what they are called, in the order in which they are told. content: digest of what the dataset holds. files:
    of the files that its rows name, and that requests hold."""
    model = job.model
    found = [
        Part("provider", model.provider, model.mark),
        Part("model", model.name, model.mark),
        Part("endpoint", job.path if isinstance(job, AudioJob) else model.endpoint, model.mark),
        *_values("params", dict(model.params) if isinstance(job, Job) else dict(job.fields), model.mark),
        *_values("options", dict(model.options), model.mark),
        Part("replicate", str(job.replicate), job.mark),
    ]
    if isinstance(job, AudioJob):
        if job.endpoint_id:
            found.append(Part("options.endpoint_id", job.endpoint_id, model.mark))
    else:
        found += [*_of_prompt(job), *_of_dataset(job, content, files)]
    return {part.what: part for part in found}


def altered(before: Mapping[str, Part], after: Mapping[str, Part]) -> tuple[Altered, ...]:
    """What differs, in the order of the later ones; what is gone comes last."""
    names = dict.fromkeys([*after, *before])
    pairs = (Altered(before.get(name), after.get(name)) for name in names)
    return tuple(pair for pair in pairs if _value(pair.before) != _value(pair.after))


def first_line(before: str, after: str) -> Line:
    """Where two texts that differ begin to."""
    old, new = before.splitlines(), after.splitlines()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    ops = [op for op in matcher.get_opcodes() if op[0] != "equal"]
    if not ops:  # the end of the last line alone
        number = max(len(new) - 1, 0)
        return Line(number, old[-1] if old else None, new[-1] if new else None, 0)
    _, i1, i2, j1, j2 = ops[0]
    more = sum(max(op[2] - op[1], op[4] - op[3]) for op in ops) - 1
    return Line(min(j1, max(len(new) - 1, 0)), old[i1] if i2 > i1 else None, new[j1] if j2 > j1 else None, more)


def _value(part: Part | None) -> str | None:
    return None if part is None else part.value


def _of_prompt(job: Job) -> Iterator[Part]:
    prompt = job.prompt
    met: dict[str, int] = {}
    for message in prompt.messages:
        role = message.role or "messages"
        met[role] = number = met.get(role, 0) + 1
        name = f"prompt.{role}" + (f".{number}" if number > 1 else "")
        if message.column:
            yield Part(name, f"from {message.column}", message.mark)
            continue
        if isinstance(message.content, str):
            if message.content:
                yield Part(name, message.content, message.mark, is_text=True)
        else:
            for place, part in enumerate(message.content, 1):
                yield Part(f"{name}.part.{place}", part.shown(), part.mark, is_text=True)
        for field, value in message.fields.items():
            yield Part(f"{name}.{field}", _lines(value), message.mark, is_text=True, is_made=True)
    if prompt.tools_column:
        yield Part("prompt.tools", f"from {prompt.tools_column}", prompt.tools_mark)
    if (body := prompt.body) is not None:
        if body.column and not body.is_ready:
            yield Part("body", f"from {body.column}", body.mark)
        for name, value in body.tree.items():
            yield Part(f"body.{name}", _lines(value), body.mark, is_text=True, is_made=True)
    for name, value in (("response_format", prompt.response_format), ("tools", prompt.tools)):
        if value is not None:
            text = _lines(value)
            answer = prompt.answer if name == "response_format" else None
            mark = prompt.mark if answer is None else Mark(answer.file) if answer.file else answer.mark
            yield Part(f"prompt.{name}", text, mark, is_text=True, is_made=True)


def _lines(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _of_dataset(job: Job, content: str, files: str) -> Iterator[Part]:
    data = job.dataset
    if content:
        yield Part(DATASET, content, data.mark, is_hidden=True)
    if files:
        yield Part(FILES, files, data.mark, is_hidden=True)
    if data.where is not None:
        yield Part("dataset.where", data.where, data.where_mark if data.where_mark.file else data.mark)
    if data.sample_rows is not None:
        yield Part("dataset.sample", f"{data.sample_rows} rows, seed {data.sample_seed}", data.mark)
    if data.delimiter is not None:
        yield Part("dataset.delimiter", data.delimiter, data.mark)
    if data.chain is not None:
        yield Part("dataset.from", ", ".join(data.chain.parents), data.mark)


def _values(what: str, values: Mapping[str, Any], mark: Mark) -> Iterator[Part]:
    return (Part(f"{what}.{key}", told(value), mark) for key, value in sorted(values.items()))


def told(value: Any) -> str:
    """A value as a spec could say it: a text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
