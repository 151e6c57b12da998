"""Job entries to cells: references checked, every matrix opened."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from runner.errors import Mark
from runner.job.project import AnyJob, Evals
from runner.spec import outputs, ready, recordings
from runner.spec.cells import Scope, Written, cell_of
from runner.spec.chains import Following
from runner.spec.declared import SECTIONS, Declared, Entry
from runner.spec.model import JobSpec
from runner.spec.nodes import Mapping, Node, Scalar, Sequence
from runner.spec.order import check_order
from runner.spec.pairs import check_pairs, check_preferences, with_orders
from runner.spec.problems import Problems

if TYPE_CHECKING:
    from runner.spec.expect import Lists

MAX_JOBS = 10_000  # of a project, cells counted: a short matrix may ask for millions

_REFERENCES = {"dataset": "datasets", "prompt": "prompts", "model": "models"}
_OF_ANSWERS = ("checks", "expect", "slices", "cluster", "references")
_MATRIX_KEYS = (*_REFERENCES, "replicate", "window")


class _Use(msgspec.Struct, frozen=True):
    """One name a job refers to, and where."""

    field: str
    name: str
    mark: Mark


def jobs_of(scope: Scope) -> list[AnyJob]:
    """Every cell of every job that is right, sorted by address."""
    declared, problems = scope.declared, scope.problems
    found: list[AnyJob] = []
    check_order(declared, problems)
    jobs = declared.entries["jobs"]
    jobs.update({entry.name: _as_meant(entry, declared, problems) for entry in jobs.values()})
    entries = [entry for entry in jobs.values() if isinstance(entry.node, Mapping)]
    following = Following(declared, {entry.name: _own_lists(entry, scope) for entry in entries}, problems)
    following.check()
    for entry in entries:
        lists = following.axes(entry.name)
        evals = _evals_of(entry, lists, scope)
        if lists is not None:
            # counted before they are made: five lists of a hundred values are ten thousand million cells
            total = len(found) + math.prod(map(len, lists.values()))
            if total > MAX_JOBS:
                message = f"with {entry.subject} there are {total:,} jobs; a project may have {MAX_JOBS:,}"
                problems.error(entry.value_mark("matrix"), message, "split them into several projects")
                break
            cells = list(_cells(entry, lists, evals, scope, following))
            found += cells
            if any(check.judge is not None for check in evals.evals.checks):
                from runner.spec import judges

                found += judges.jobs_of(judges.asking_in(entry, evals.evals.checks, scope), cells, scope, following)
    check_pairs(declared, following, {job.address: job for job in found}, problems)
    check_preferences(found, problems)
    return sorted(map(with_orders, found), key=lambda job: job.address)


def _evals_of(entry: Entry, lists: Lists | None, scope: Scope) -> Written:
    if not isinstance(entry.node, Mapping) or entry.node.entries.keys().isdisjoint(_OF_ANSWERS):
        return Written(entry.name, Evals(), ())
    from runner.spec.evals import evals_of  # takes longer to import than all else of a small project to read

    return evals_of(entry, lists, scope.declared, scope.nouns.datasets, scope.root.path, scope.problems)


def _own_lists(entry: Entry, scope: Scope) -> Lists | None:
    """The axes of a job's own matrix; None where something is wrong with the job."""
    declared, problems = scope.declared, scope.problems
    are_known = _are_declared(entry, declared)
    are_once = _check_fields(entry, problems)
    are_of_one_kind = recordings.check_fields(entry, problems) and ready.check_fields(entry, problems)
    return _matrix(entry, problems) if entry.spec and are_known and are_once and are_of_one_kind else None


def _as_meant(entry: Entry, declared: Declared, problems: Problems) -> Entry:
    """The entry, names that are not declared replaced by those they are like, and each of them reported.

    Looks at what is written, so that other problems hide none of these, and these none of the others.
    """
    meant: dict[str, str] = {}
    for use in _uses(entry):
        section = _REFERENCES[use.field]
        known = declared.entries[section]
        # where a file could not be read, the name may be declared in it, and its own problem has been told
        if use.name in known or not declared.is_whole:
            continue
        noun = SECTIONS[section].noun
        near = problems.nearest(use.name, known)
        hint = f"did you mean `{near}`?" if near else f"declare it under `{section}`"
        problems.error(use.mark, f"{entry.subject} uses the unknown {noun} `{use.name[:60]}`", hint)
        if near and not any((one.field, one.name) == (use.field, near) for one in _uses(entry)):
            meant[use.name] = near
    if not meant or entry.spec is None:
        return entry
    assert isinstance(entry.node, Mapping), "it refers to something"
    fields = dict(entry.node.entries)
    for field in (*_REFERENCES, "matrix"):
        if field in fields:
            fields[field] = (fields[field][0], _called(fields[field][1], meant))
    return msgspec.structs.replace(entry, node=msgspec.structs.replace(entry.node, entries=fields)).checked()


def _called(node: Node, meant: dict[str, str]) -> Node:
    """A copy in which names are called what they mean."""
    if isinstance(node, Scalar):
        near = meant.get(node.source)
        return msgspec.structs.replace(node, value=near, source=near) if near else node
    if isinstance(node, Sequence):
        return msgspec.structs.replace(node, items=[_called(item, meant) for item in node.items])
    entries = {
        name: (key, _called(value, meant) if name in _REFERENCES else value)
        for name, (key, value) in node.entries.items()
    }
    return msgspec.structs.replace(node, entries=entries)


def _are_declared(entry: Entry, declared: Declared) -> bool:
    return all(use.name in declared.entries[_REFERENCES[use.field]] for use in _uses(entry))


def _uses(entry: Entry) -> Iterator[_Use]:
    for field in _REFERENCES:
        for node in (entry.value(field), entry.value("matrix", field)):
            for item in node.items if isinstance(node, Sequence) else [node]:
                if isinstance(item, Scalar) and item.value is not None and not isinstance(item.value, bool):
                    yield _Use(field, item.source, item.mark)


def _check_fields(entry: Entry, problems: Problems) -> bool:
    """Every field either in the job or in its matrix: what must be there is, and nothing is there twice."""
    is_right = True
    needed = ("model",) if recordings.is_of_recordings(entry) else tuple(_REFERENCES)
    if ready.is_ready(entry):
        needed = ()
    elif entry.value("body") is not None:
        is_right = _check_body(entry, problems)
        needed = ("dataset", "model")
    for field in _MATRIX_KEYS:
        own, listed = entry.value(field), entry.value("matrix", field)
        if own is not None and listed is not None:
            hint = "keep it in the matrix, or in the job"
            problems.error(entry.key_mark(field), f"`{field}` of {entry.subject} is also in its matrix", hint)
            is_right = False
        elif own is None and listed is None and field in needed:
            problems.error(entry.key.mark, f"{entry.subject} needs `{field}`")
            is_right = False
    return is_right


_OF_A_PROMPT = {
    "answer": "write the `response_format` into the body",
    "on_invalid": "it is about `answer`, which a body has not",
}


def _check_body(entry: Entry, problems: Problems) -> bool:
    """Whether a job whose requests are given as a whole says nothing else about what is asked."""
    before = problems.errors
    for path in (("prompt",), ("matrix", "prompt"), ("audio",)):
        if (node := entry.value(*path)) is not None:
            words = f"{entry.subject} has both `body` and `{'.'.join(path)}`"
            problems.error(entry.key_mark(path[0]) if len(path) == 1 else node.mark, words, "keep one of the two")
    for name, hint in _OF_A_PROMPT.items():
        if entry.value(name) is not None:
            problems.error(entry.key_mark(name), f"`{name}` of {entry.subject} means nothing to a `body`", hint)
    return problems.errors == before


def _cells(entry: Entry, lists: Lists, evals: Written, scope: Scope, following: Following) -> Iterator[AnyJob]:
    """The cells of one job that are right, of these `lists`. A model with a problem is not tried in the next cell."""
    spec: JobSpec = entry.spec
    problems = scope.problems
    mark = entry.value_mark("output")
    names = outputs.AUDIO_NAMES if spec.audio else outputs.NAMES
    if not outputs.check_template(spec.output, str(entry.subject), mark, problems, names):
        return
    if outputs.ENV in outputs.names_in(spec.output) and not scope.declared.layers.environment:
        words = f"`output` of {entry.subject} holds `{{{{ env }}}}`, and no environment is chosen"
        problems.error(
            mark,
            words,
            "choose one with `--env NAME` or `RUNNER_ENV`, or leave it out: outputs of an "
            "environment lie in a folder of its own anyway",
        )
        return
    missing = [key for key, values in lists.items() if len(values) > 1 and key not in outputs.names_in(spec.output)]
    if missing:
        shown = " and ".join(f"`{{{{ {key} }}}}`" for key in missing)
        message = f"several cells of {entry.subject} would write `{spec.output[:120]}`"
        problems.error(mark, message, f"add {shown} to the name")
        return
    # a model that is wrong is wrong in each of its cells: told once, not a hundred times
    wrong: set[str | None] = set()
    is_followed = following.inherits(entry.name)
    for values in itertools.product(*lists.values()):
        cell = dict(zip(lists, values, strict=True))
        own = {} if is_followed else cell  # the model of another job says nothing of whom this one asks
        if own.get("model") in wrong:
            continue
        job = cell_of(entry, own, cell, evals.of_cell(cell), scope, following)
        if job is None:
            wrong.add(own.get("model"))
        else:
            yield job


def _matrix(entry: Entry, problems: Problems) -> Lists | None:
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
        for value, place in _second(values).items():
            message = f"`{value}` is twice in `matrix.{key}` of {entry.subject}"
            problems.error(_item_mark(entry.value("matrix", key), place, entry), message, "remove one of the two")
            is_right = False
    return lists if is_right else None


def _second(values: list[str]) -> dict[str, int]:
    """Value -> the second place where it stands, for those that stand at two or more."""
    seen: set[str] = set()
    found: dict[str, int] = {}
    for place, value in enumerate(values):
        if value in seen:
            found.setdefault(value, place)
        seen.add(value)
    return found


def _shown(key: str, value: str | int) -> str:
    return f"{value}h" if key == "window" else str(value)


def _item_mark(node: Node | None, index: int, entry: Entry) -> Mark:
    return node.items[index].mark if isinstance(node, Sequence) else entry.key.mark
