"""Checks that have a judge: each is a job of its own, over the answers of the job that it checks.

It has the cells of that job, and is held to all that a job is held to; what is wrong with it stands where the check is
written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from runner.errors import SpecError
from runner.job.checks import OF_ANSWER, Check, Judge
from runner.job.project import AnyJob, Chain, Dataset, Evals
from runner.job.scored import judge_of, verdicts_path
from runner.remotes.registry import card_of, priced
from runner.spec import outputs
from runner.spec.cells import Scope, cell_of
from runner.spec.chains import Following
from runner.spec.declared import Entry
from runner.spec.evalfields import CheckSpec
from runner.spec.model import JobSpec
from runner.spec.nodes import Mapping, Scalar, data_of

_OF_JOB = ("model", "window", "budget", "max_attempts")  # keys of a check that are those of its judge's job
_NAMES = {"judge": ("prompts", "prompt"), "model": ("models", "model")}


class Asking(NamedTuple):
    """A check that has a judge, as the job that asks it."""

    check: Check
    judge: Judge
    job: Entry  # as if it were declared where the check is
    answers: Dataset  # that the judge is shown: all that the check applies to, or a sample


def asking_in(entry: Entry, checks: Iterable[Check], scope: Scope) -> list[Asking]:
    """The judges of a job that can be asked. The others are problems, told once for all of its cells."""
    found = (_asking(entry, check, check.judge) for check in checks if check.judge is not None)
    return [one for one in found if _is_right(entry, one, scope)]


def jobs_of(asking: Sequence[Asking], cells: Sequence[AnyJob], scope: Scope, following: Following) -> Iterator[AnyJob]:
    """The job of each judge, for each cell of the job that is checked."""
    for one in asking:
        nouns = replace(scope.nouns, datasets={one.job.name: one.answers})
        for cell in cells:
            job = cell_of(one.job, {}, cell.cell, Evals(), replace(scope, nouns=nouns), following)
            if job is None:
                break  # what is wrong with it is wrong in every cell
            path = verdicts_path(cell.output, one.check.name)
            if wrong := outputs.complaint_about(path, path, scope.root):
                words = f"`{path[-120:]}`, where the verdicts of check `{one.check.name}` go, {wrong[0]}"
                scope.problems.error(cell.output_mark, words, "change the name of the output")
                break
            yield replace(job, output=path, output_mark=one.check.mark)


def _asking(entry: Entry, check: Check, judge: Judge) -> Asking:
    checks, node = entry.value("checks"), entry.value("checks", check.name)
    assert isinstance(checks, Mapping) and isinstance(node, Mapping), "the check was read from there"
    written = CheckSpec.model_validate(data_of(node))
    name = judge_of(entry.name, check.name)
    fields: dict[str, Any] = {key: value for key in _OF_JOB if (value := getattr(written, key)) is not None}
    if written.window is not None:
        fields["window"] = f"{written.window}h"
    # the output is that of each cell, see `jobs_of`
    spec = JobSpec.model_validate({**fields, "dataset": name, "prompt": judge.prompt, "output": "verdicts.jsonl"})
    sample = written.sample
    answers = Dataset(
        key=name,
        files=(),
        where=check.where.text if check.where else None,
        sample_rows=sample.rows if sample else None,
        sample_seed=(sample.seed or 0) if sample else 0,
        mark=check.mark,
        where_mark=check.where.mark if check.where else check.mark,
        chain=Chain((entry.name,), OF_ANSWER[0], check.mark, is_judged=True),
    )
    return Asking(check, judge, Entry("jobs", name, checks.key(check.name), node, spec), answers)


def _is_right(entry: Entry, asking: Asking, scope: Scope) -> bool:
    """Whether a check names what there is, and what it may cost can be told."""
    problems, declared, judge = scope.problems, scope.declared, asking.judge
    before = problems.errors
    what = f"check `{asking.check.name}` of {entry.subject}"
    there = declared.entries["jobs"].get(asking.job.name)
    if there is not None:
        words = f"{there.subject} at {there.key.mark} is what the judge of {what} is called"
        problems.error(asking.check.mark, words, "rename the check, or that job")
    for key, (section, noun) in _NAMES.items():
        node, known = asking.job.value(key), declared.entries[section]
        if isinstance(node, Scalar) and node.source not in known and declared.is_whole:
            near = problems.nearest(node.source, known)
            hint = f"did you mean `{near}`?" if near else f"declare it under `{section}`"
            problems.error(node.mark, f"{what} uses the unknown {noun} `{node.source[:60]}`", hint)
    _check_price(what, asking, scope)
    is_usable = scope.nouns.models.get(judge.model) and scope.nouns.prompts.get(judge.prompt)
    return bool(is_usable) and problems.errors == before


def _check_price(what: str, asking: Asking, scope: Scope) -> None:
    """Under a budget nothing is sent whose cost nobody knows: better said now than after the answers are paid for."""
    model = scope.nouns.models.get(asking.judge.model)
    provider = scope.nouns.providers.get(model.provider) if model else None
    is_own = asking.job.value("budget") is not None
    if model is None or provider is None or not (is_own or scope.declared.budget is not None):
        return
    try:
        if card_of(provider).is_free or priced(provider, model.name, model.price) is not None:
            return
    except SpecError:  # whoever looks at the provider says what is wrong with it
        return
    words = (
        f"model `{model.key}`, which judges {what}, has no price, and {'it' if is_own else 'the project'} has a budget"
    )
    hint = f"write `price: {{input: ..., output: ...}}`, USD per 1M tokens, at {model.mark}"
    scope.problems.error(asking.job.value_mark("model"), words, hint)
