"""What a prompt, or a job, wants of its answers: a JSON Schema, and the `response_format` that asks for it.

The format is the one of chat completions; `Lines` of a vendor say it in the vendor's own way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from runner.job.project import ENDPOINTS, Answer, Model, Prompt
from runner.spec import jsonschemas
from runner.spec.declared import Declared, Entry, check_no_template
from runner.spec.jsonschemas import file_in
from runner.spec.model import AnswerSpec
from runner.spec.placed import text_of
from runner.spec.problems import Problems
from runner.spec.sent import SentFile

SECTIONS = ("prompts", "jobs")
_NAME = "answer"  # of a schema that has no name of its own: some providers refuse one without
_RESPONSES = ENDPOINTS[1]
_OF_TEXT = ENDPOINTS[:2]  # chat and responses: the others write no JSON when they are asked to

Wanted = tuple[Answer, Mapping[str, Any]]  # with the response_format that is made of it
Answers = Mapping[tuple[str, str], Wanted | None]  # by section and name; None after a problem


def files_of(declared: Declared) -> Iterator[SentFile]:
    """The files that hold schemas of answers."""
    for entry in _with_answer(declared):
        node = file_in(entry.value("answer", "schema"))
        if node is not None and (file := text_of(node)) is not None:
            yield SentFile(entry.subject, file, node.mark, "schema")


def answers_of(declared: Declared, root: Path, unsent: set[SentFile], problems: Problems) -> Answers:
    """What each prompt and each job wants that says so. unsent: files that are never sent, which was told."""
    bad = {(one.subject, one.file) for one in unsent}
    return {(entry.section, entry.name): _answer(entry, root, bad, problems) for entry in _with_answer(declared)}


def _with_answer(declared: Declared) -> Iterator[Entry]:
    for section in SECTIONS:
        for entry in declared.entries[section].values():
            if entry.spec is not None and entry.spec.answer is not None:
                yield entry


def _answer(entry: Entry, root: Path, unsent: set[tuple[Any, str]], problems: Problems) -> Wanted | None:
    spec: AnswerSpec = entry.spec.answer
    node = entry.value("answer", "schema")
    if not check_no_template(entry, ("answer",), problems):
        return None
    if node is None or (entry.subject, text_of(file_in(node)) or "") in unsent:
        return None
    schema = jsonschemas.schema_of(node, "answer.schema", entry.subject, problems, root)
    if schema is None:
        return None
    strict = {} if spec.strict is None else {"strict": spec.strict}
    inner = {"name": spec.name or _NAME, **strict, "schema": schema.content}
    answer = Answer(schema.content, schema.file, entry.key_mark("answer"))
    return answer, {"type": "json_schema", "json_schema": inner}


def with_answer(prompt: Prompt, wanted: Wanted, entry: Entry, problems: Problems) -> Prompt | None:
    """A prompt that asks for such answers; None where it asks for others, after a problem. entry: says `answer`."""
    answer, asked = wanted
    if prompt.response_format is None:
        return msgspec.structs.replace(prompt, answer=answer, response_format=asked)
    if _is_same(prompt.response_format, asked, entry):
        return msgspec.structs.replace(prompt, answer=answer)
    words = f"`answer` of {entry.subject} and `response_format` of prompt `{prompt.key}` ask for different answers"
    problems.error(answer.mark, words, "remove the `response_format`: `answer` makes one")
    return None


def asked_with(prompt: Prompt, model: Model, entry: Entry, problems: Problems) -> Prompt | None:
    """The prompt as a model is asked with it; None after a problem. entry: of the job."""
    answer, asked = prompt.answer, prompt.response_format
    if answer is None or asked is None:
        return prompt
    if model.endpoint not in _OF_TEXT:
        words = f"{entry.subject}: model `{model.key}` is asked at `{model.endpoint}`, which takes no `answer.schema`"
        problems.error(entry.key.mark, words, f"remove the `answer` at {answer.mark}, or ask another model")
        return None
    _, there = format_in(model)
    if there is None:
        return prompt
    chat = there
    if model.endpoint == _RESPONSES and isinstance(there, Mapping):  # which has no wrapper around the schema
        chat = {"type": there.get("type"), "json_schema": {k: v for k, v in there.items() if k != "type"}}
    if _holds(chat, asked):  # the model says it already
        return msgspec.structs.replace(prompt, response_format=None)
    words = f"{entry.subject}: `answer` and the format in `params` of model `{model.key}` ask for different answers"
    problems.error(entry.key.mark, words, f"remove one of them ({answer.mark}, {model.mark})")
    return None


def format_in(model: Model) -> tuple[str, Any]:
    """Where the params of a model say the form of answers, and what they say; None for nothing."""
    if model.endpoint != _RESPONSES:
        return "response_format", model.params.get("response_format")
    text = model.params.get("text")
    return "text.format", text.get("format") if isinstance(text, Mapping) else None


def _is_same(there: Mapping[str, Any], asked: Mapping[str, Any], entry: Entry) -> bool:
    """Whether a format that is written out asks for the same; what `answer` leaves open it may say."""
    spec: AnswerSpec = entry.spec.answer
    open_fields = {name for name, value in (("name", spec.name), ("strict", spec.strict)) if value is None}
    return _holds(there, asked, open_fields)


def _holds(there: Any, asked: Mapping[str, Any], open_fields: set[str] | frozenset[str] = frozenset()) -> bool:
    inner = there.get("json_schema") if isinstance(there, Mapping) and there.get("type") == asked["type"] else None
    if not isinstance(inner, Mapping):
        return False
    mine = {name: value for name, value in asked["json_schema"].items() if name not in open_fields}
    theirs = {name: value for name, value in inner.items() if name not in open_fields}
    return mine == theirs
