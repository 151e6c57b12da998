"""`defaults:` of the specs: what each job has that it does not say itself, merged under it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from runner.errors import Mark
from runner.spec.merge import is_empty, merged, with_entries
from runner.spec.model import DefaultsSpec
from runner.spec.nodes import Mapping, Node, Scalar, data_of, kind_of
from runner.spec.nodes import Sequence as SequenceNode
from runner.spec.problems import Problems
from runner.spec.violations import Subject, report

_OF_ROWS = ("dataset", "prompt", "answer", "on_invalid")
_OF_RECORDINGS = ("audio", "exclude", "task", "skip_bad")
_AXES = ("model", "prompt", "dataset", "replicate", "window")


def with_defaults(tops: Sequence[Mapping], problems: Problems) -> list[Mapping]:
    """The files of the specs, each job with what it has from the defaults."""
    defaults = _declared(tops, problems)
    if defaults is None:
        return list(tops)
    # whatever is wrong there is wrong in every job that has it
    problems.say_once(*_marks(defaults))
    return [_filled(top, defaults) for top in tops]


def _declared(tops: Sequence[Mapping], problems: Problems) -> Mapping | None:
    """The defaults, said once among all files; None where there are none, or they are wrong."""
    found: Mapping | None = None
    for top in tops:
        node = top.get("defaults")
        if node is None or is_empty(node):
            continue
        key = top.key("defaults")
        if not isinstance(node, Mapping):
            hint = "write the fields that jobs have in common, such as `defaults: {window: 24h}`"
            problems.error(node.mark, f"`defaults` must be a mapping, not {kind_of(node)}", hint)
        elif found is not None:
            problems.error(key.mark, f"`defaults` are already set at {found.mark}", "keep one of the two")
        else:
            found = node
            try:
                DefaultsSpec.model_validate(data_of(node))
            except ValidationError as error:
                problems.say_once(*_marks(node))
                report(error, Subject("defaults"), key, node, DefaultsSpec, problems)
    return found


def _filled(top: Mapping, defaults: Mapping) -> Mapping:
    jobs = top.get("jobs")
    if not isinstance(jobs, Mapping):
        return top
    filled: dict[str, tuple[Scalar, Node]] = {
        name: (key, merged(_meant(defaults, job), job) if isinstance(job, Mapping) else job)
        for name, (key, job) in jobs.entries.items()
    }
    # a job is where it is declared, whatever it has from elsewhere
    for name, (key, node) in filled.items():
        if isinstance(node, Mapping):
            filled[name] = (key, Mapping(*_place(jobs.entries[name][1]), node.entries, node.size, node.height))
    return with_entries(top, {**top.entries, "jobs": (top.key("jobs"), with_entries(jobs, filled))})


def _place(node: Node) -> tuple[str, int, int]:
    return node.file, node.line, node.column


def _meant(defaults: Mapping, job: Mapping) -> Mapping:
    """Those that mean something to a job: of its kind, and of no axis that it has in another way."""
    without = set(_OF_ROWS if _is_of_recordings(defaults, job) else _OF_RECORDINGS)
    if "body" in job.entries or "requests" in job.entries:
        without |= {"prompt", "answer", "on_invalid"}
    if "requests" in job.entries:
        without |= {"dataset"} | ({"model"} if "provider" in job.entries else set())
    own, common = job.get("matrix"), defaults.get("matrix")
    if isinstance(own, Mapping):
        without |= own.entries.keys() & set(_AXES)
    entries = {name: entry for name, entry in defaults.entries.items() if name not in without}
    if isinstance(common, Mapping):
        left = {axis: one for axis, one in common.entries.items() if axis not in job.entries and axis not in without}
        entries["matrix"] = (defaults.key("matrix"), with_entries(common, left))
        if not left:
            del entries["matrix"]
    return with_entries(defaults, entries)


def _is_of_recordings(defaults: Mapping, job: Mapping) -> bool:
    own = job.get("matrix")
    said = job.entries.keys() | (own.entries.keys() if isinstance(own, Mapping) else set())
    if "audio" in said:
        return True
    return (
        not said & {"dataset", "prompt", "body", "requests"}
        and "audio" in defaults.entries
        and "dataset" not in defaults.entries
    )


def _marks(node: Node) -> Iterator[Mark]:
    """Every place at which something may be found wrong."""
    yield node.mark
    match node:
        case Mapping():
            for key, value in node.entries.values():
                yield key.mark
                yield from _marks(value)
        case SequenceNode():
            for item in node.items:
                yield from _marks(item)
        case _:
            yield node.text_mark
