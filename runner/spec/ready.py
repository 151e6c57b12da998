"""Jobs whose requests are ready: lines of a batch file, as OpenAI and Fireworks take them, sent as they stand.

Whom they ask is told by the first of them where the job names no model. Every line is held to that when it is read.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path

from runner import formats
from runner.data.rows import open_rows
from runner.errors import DataError, Mark
from runner.job.project import ENDPOINTS, Body, Dataset, Model, Prompt, ProviderBlock
from runner.job.ready import BODY, CUSTOM_ID, endpoint_of
from runner.remotes.registry import built_in_names, declared_by
from runner.spec.declared import Entry, check_no_template
from runner.spec.model import JobSpec
from runner.spec.nodes import Sequence
from runner.spec.paths import is_too_long
from runner.spec.problems import Problems
from runner.spec.recordings import check_pattern

_LINES = (".jsonl", ".ndjson")
_NOT_BESIDE = {
    ("dataset",): "the lines are the rows",
    ("prompt",): "the lines hold what is asked",
    ("body",): "the lines hold what is asked",
    ("audio",): "recordings have a job of their own",
    ("matrix", "dataset"): "the lines are the rows",
    ("matrix", "prompt"): "the lines hold what is asked",
    ("answer",): "each line has a `response_format` of its own",
    ("on_invalid",): "it is about `answer`",
}


def is_ready(entry: Entry) -> bool:
    return entry.value("requests") is not None


def check_fields(entry: Entry, problems: Problems) -> bool:
    """Whether a job of ready requests says nothing else about what is asked, and whom it asks."""
    before = problems.errors
    if not is_ready(entry):
        if entry.value("provider") is not None:
            words = f"`provider` of {entry.subject} is for `requests`, whose lines name their model"
            problems.error(entry.key_mark("provider"), words, "name a model, which has a provider")
        return problems.errors == before
    for path, why in _NOT_BESIDE.items():
        if (node := entry.value(*path)) is not None:
            mark = entry.key_mark(path[0]) if len(path) == 1 else node.mark
            problems.error(mark, f"{entry.subject} has both `requests` and `{'.'.join(path)}`", f"remove it: {why}")
    has_model = entry.value("model") is not None or entry.value("matrix", "model") is not None
    if has_model and entry.value("provider") is not None:
        words = f"{entry.subject} has both `model` and `provider`"
        problems.error(entry.key_mark("provider"), words, "keep one of the two")
    elif not has_model and entry.value("provider") is None:
        words = f"{entry.subject} needs `provider`, or `model`"
        problems.error(entry.key.mark, words, f"such as `provider: {built_in_names()[1]}`: the lines name their model")
    if entry.spec:
        check_no_template(entry, ("requests", "provider"), problems)
        for index, pattern in enumerate(entry.spec.requests):
            _check_file(entry, index, pattern, problems)
    return problems.errors == before


def _check_file(entry: Entry, index: int, pattern: str, problems: Problems) -> None:
    before = problems.errors
    check_pattern(entry, "requests", index, pattern, problems)
    form, _ = formats.kind_of(pattern)
    if problems.errors > before or is_too_long(pattern) or form in _LINES or "*" in posixpath.basename(pattern):
        return
    node = entry.value("requests")
    mark = node.items[index].mark if isinstance(node, Sequence) else entry.value_mark("requests")
    words = f"`requests` of {entry.subject} names `{pattern[:80]}`, which is no file of lines"
    problems.error(mark, words, "a batch file is JSON lines: it ends in `.jsonl`, and may add `.gz` or `.zst`")


def dataset_of(entry: Entry) -> Dataset:
    """The lines, each of which is a row with the columns `custom_id`, `method`, `url` and `body`."""
    spec: JobSpec = entry.spec
    mark = entry.value_mark("requests")
    return Dataset(entry.name, tuple(spec.requests or ()), CUSTOM_ID, mark=mark, id_mark=mark, is_ready=True)


def prompt_of(entry: Entry, head: Mark | None) -> Prompt:
    """head: the first line, where it told the model."""
    body = Body(BODY, mark=entry.value_mark("requests"), is_ready=True, head=head)
    return Prompt(entry.name, (), mark=entry.key.mark, body=body)


def model_of(
    entry: Entry, dataset: Dataset, providers: Mapping[str, ProviderBlock | None], root: Path, problems: Problems
) -> tuple[Model, Mark] | None:
    """The model that the first line names, and where that is; None after a problem."""
    spec: JobSpec = entry.spec
    mark, asked = entry.value_mark("provider"), str(spec.provider)
    if asked not in providers:
        near = problems.nearest(asked, providers)
        hint = f"did you mean `{near}`?" if near else "declare it under `providers`"
        problems.error(mark, f"{entry.subject} uses the unknown provider `{asked[:60]}`", hint)
        return None
    try:
        row = next(iter(open_rows(dataset, root)), None)
    except DataError as error:
        at = error.mark if error.mark is not None and error.mark.line else dataset.mark
        words = error.message.replace(f"of dataset `{dataset.key}`", f"of {entry.subject}")
        hint = "paths start at the project root" if words.startswith("no file") else error.hint
        problems.error(at, words, hint)
        return None
    if row is None:
        problems.error(dataset.mark, f"`requests` of {entry.subject} has no line", "name a file that has")
        return None
    body = row.row.get(BODY)
    name = body.get("model") if isinstance(body, dict) else None
    if not isinstance(name, str) or not name.strip():
        words = f"the first line of {entry.subject}, at `{row.mark}`, names no model"
        problems.error(mark, words, "declare one under `models`, and name it: `model: NAME` instead of `provider`")
        return None
    endpoint = endpoint_of(row.row.get("url"))
    if endpoint not in ENDPOINTS:
        words = f"the first line of {entry.subject} asks `{endpoint[:60]}`, and no batch of that is known"
        problems.error(row.mark, words, f"one of {', '.join(f'`{one}`' for one in ENDPOINTS)}")
        return None
    provider = providers[asked]
    served = declared_by()[provider.kind].endpoints if provider else ()
    if served and endpoint not in served:
        words = f"{entry.subject}: provider `{asked}` has no batches for `{endpoint}`"
        problems.error(mark, words, f"it has batches for {', '.join(f'`{one}`' for one in served)} only")
        return None
    return Model(name, asked, name, endpoint, mark=mark), row.mark


def takes_no_params(entry: Entry, model: Model, problems: Problems) -> bool:
    """Whether a model that is named for ready requests has nothing to add to them."""
    if not model.params:
        return True
    words = f"{entry.subject} sends its lines as they stand, without the `params` of model `{model.key}`"
    problems.error(entry.value_mark("model"), words, "name a model without params, or use `body: {from: ...}`")
    return False
