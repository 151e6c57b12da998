"""Job entries to cells: references resolved, every matrix opened, outputs rendered."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from runner.errors import Mark
from runner.job.address import address_of
from runner.spec import outputs
from runner.spec.declared import SECTIONS, Declared, Entry
from runner.spec.model import JobSpec
from runner.spec.nodes import Mapping, Node, Scalar, Sequence
from runner.spec.problems import Problems
from runner.spec.project import ENDPOINTS, Dataset, Job, Model, Prompt, Provider

DEFAULT_WINDOW_HOURS = 24
DEFAULT_ATTEMPTS = 3
MAX_CELLS = 10_000

_REFERENCES = {"dataset": "datasets", "prompt": "prompts", "model": "models"}
_MATRIX_KEYS = (*_REFERENCES, "replicate", "window")


@dataclass(frozen=True, slots=True)
class Nouns:
    """What jobs refer to; None for what is declared but cannot be used."""

    datasets: MappingType[str, Dataset | None]
    prompts: MappingType[str, Prompt | None]
    models: MappingType[str, Model | None]
    providers: MappingType[str, Provider | None]


class _Use(NamedTuple):
    """One name a job refers to, and where."""

    field: str
    name: str
    mark: Mark


def jobs_of(declared: Declared, nouns: Nouns, root: Path, problems: Problems) -> list[Job]:
    """Every cell of every job that is right, sorted by address."""
    found: list[Job] = []
    for entry in declared.entries["jobs"].values():
        if _is_unsupported(entry) or not isinstance(entry.node, Mapping):
            continue
        are_known = _check_references(entry, declared, problems)
        are_once = _check_fields(entry, problems)
        if entry.spec and are_known and are_once:
            found.extend(_cells(entry, nouns, root, problems))
    return sorted(found, key=lambda job: job.address)


def _is_unsupported(entry: Entry) -> bool:
    return any(entry.value(name) is not None for name in ("audio", "task", "exclude"))


def _check_references(entry: Entry, declared: Declared, problems: Problems) -> bool:
    """Whether every name is declared. Looks at what is written, so that other problems hide none of these."""
    is_known = True
    for use in _uses(entry):
        section = _REFERENCES[use.field]
        known = declared.entries[section]
        if use.name in known:
            continue
        is_known = False
        if not declared.is_whole:
            continue
        noun = SECTIONS[section].noun
        near = problems.nearest(use.name, known)
        hint = f"did you mean `{near}`?" if near else f"declare it under `{section}`"
        problems.error(use.mark, f"{entry.subject} uses the unknown {noun} `{use.name[:60]}`", hint)
    return is_known


def _uses(entry: Entry) -> Iterator[_Use]:
    for field in _REFERENCES:
        for node in (entry.value(field), entry.value("matrix", field)):
            for item in node.items if isinstance(node, Sequence) else [node]:
                if isinstance(item, Scalar) and item.value is not None and not isinstance(item.value, bool):
                    yield _Use(field, item.source, item.mark)


def _check_fields(entry: Entry, problems: Problems) -> bool:
    """Every field either in the job or in its matrix: what must be there is, and nothing is there twice."""
    is_right = True
    for field in _MATRIX_KEYS:
        own, listed = entry.value(field), entry.value("matrix", field)
        if own is not None and listed is not None:
            hint = "keep it in the matrix, or in the job"
            problems.error(entry.key_mark(field), f"`{field}` of {entry.subject} is also in its matrix", hint)
            is_right = False
        elif own is None and listed is None and field in _REFERENCES:
            problems.error(entry.key.mark, f"{entry.subject} needs `{field}`")
            is_right = False
    return is_right


def _cells(entry: Entry, nouns: Nouns, root: Path, problems: Problems) -> Iterator[Job]:
    spec: JobSpec = entry.spec
    lists = _matrix(entry, problems)
    mark = entry.value_mark("output")
    if lists is None or not outputs.check_template(spec.output, str(entry.subject), mark, problems):
        return
    missing = [key for key, values in lists.items() if len(values) > 1 and key not in outputs.names_in(spec.output)]
    if missing:
        shown = " and ".join(f"`{{{{ {key} }}}}`" for key in missing)
        message = f"several cells of {entry.subject} would write `{spec.output[:120]}`"
        problems.error(mark, message, f"add {shown} to the name")
        return
    for values in itertools.product(*lists.values()):
        job = _cell(entry, dict(zip(lists, values, strict=True)), nouns, root, problems)
        if job is None:
            return
        yield job


def _matrix(entry: Entry, problems: Problems) -> dict[str, list[str]] | None:
    """Key -> values as they stand in an address, or None after a problem."""
    spec: JobSpec = entry.spec
    if spec.matrix is None:
        return {}
    written = {key: value for key in _MATRIX_KEYS if (value := getattr(spec.matrix, key)) is not None}
    if not written:
        problems.error(entry.value_mark("matrix"), f"`matrix` of {entry.subject} is empty", "remove it")
        return None
    lists = {key: [_shown(key, value) for value in values] for key, values in written.items()}
    is_right = True
    for key, values in lists.items():
        for value, count in Counter(values).items():
            if count > 1:
                place = values.index(value, values.index(value) + 1)
                message = f"`{value}` is twice in `matrix.{key}` of {entry.subject}"
                problems.error(_item_mark(entry.value("matrix", key), place, entry), message, "remove one of the two")
                is_right = False
    cells = math.prod(len(values) for values in lists.values())
    if cells > MAX_CELLS:
        message = f"`matrix` of {entry.subject} has {cells:,} cells, more than {MAX_CELLS:,}"
        problems.error(entry.value_mark("matrix"), message, "split it into several jobs")
        return None
    return lists if is_right else None


def _shown(key: str, value: str | int) -> str:
    return f"{value}h" if key == "window" else str(value)


def _item_mark(node: Node | None, index: int, entry: Entry) -> Mark:
    return node.items[index].mark if isinstance(node, Sequence) else entry.key.mark


def _cell(entry: Entry, cell: MappingType[str, str], nouns: Nouns, root: Path, problems: Problems) -> Job | None:
    """One job, or None when something it needs cannot be used (its own problem was reported)."""
    spec: JobSpec = entry.spec
    dataset = nouns.datasets[cell.get("dataset") or str(spec.dataset)]
    prompt = nouns.prompts[cell.get("prompt") or str(spec.prompt)]
    model = nouns.models[cell.get("model") or str(spec.model)]
    if dataset is None or prompt is None or model is None:
        return None
    if not _fits(entry, prompt, model, problems):
        return None
    replicate = int(cell.get("replicate") or spec.replicate or 1)
    hours = int(cell["window"][:-1]) if "window" in cell else spec.window or _default_window(nouns, model)
    names = {
        "dataset": dataset.key,
        "prompt": prompt.key,
        "model": model.key,
        "replicate": str(replicate),
        "window": f"{hours}h",
        "job": entry.name,
    }
    output = outputs.rendered(spec.output, names)
    wrong = outputs.complaint_about(spec.output, output, root)
    if wrong:
        problems.error(entry.value_mark("output"), f"`output` of {entry.subject} {wrong[0]}", wrong[1])
        return None
    return Job(
        address=address_of(entry.name, cell),
        name=entry.name,
        cell=cell,
        dataset=dataset,
        prompt=prompt,
        model=model,
        window_hours=hours,
        output=output,
        replicate=replicate,
        max_attempts=spec.max_attempts or DEFAULT_ATTEMPTS,
        on_unknown=spec.on_unknown or "hold",
        allow_empty=bool(spec.allow_empty),
        budget=spec.budget,
        protect=bool(spec.protect),
        tags=tuple(spec.tags or ()),
        mark=entry.key.mark,
        output_mark=entry.value_mark("output"),
        window_mark=entry.value_mark("matrix", "window") if "window" in cell else entry.value_mark("window"),
    )


def _default_window(nouns: Nouns, model: Model) -> int:
    """What the provider's block says is its default, else a day: every remote we know takes that."""
    provider = nouns.providers[model.provider]
    given = provider.overrides.get("window", {}).get("default") if provider else None
    return int(given or DEFAULT_WINDOW_HOURS)


def _fits(entry: Entry, prompt: Prompt, model: Model, problems: Problems) -> bool:
    """A key of the request is written once: by the model's params, or by the prompt."""
    for field, key in (("response_format", _format_key(model)), ("tools", "tools")):
        if getattr(prompt, field) is not None and key in model.params:
            message = f"{entry.subject}: prompt `{prompt.key}` and `params` of model `{model.key}` both set `{key}`"
            problems.error(entry.key.mark, message, f"remove it from one of them ({prompt.mark}, {model.mark})")
            return False
    return True


def _format_key(model: Model) -> str:
    """The responses endpoint takes the format inside `text`."""
    return "text" if model.endpoint == ENDPOINTS[1] else "response_format"
