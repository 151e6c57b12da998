"""Spec files to one checked project, or every problem of every file at once."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from runner.errors import Mark
from runner.job.project import AnyJob, Dataset, Job, Project, Prompt, ProviderBlock
from runner.spec import answers, nouns, outputs
from runner.spec.cells import Nouns, Scope
from runner.spec.chosen import NOTHING, Chosen
from runner.spec.declared import Declared, refuse_secrets
from runner.spec.jobs import jobs_of
from runner.spec.layers import layered
from runner.spec.loader import find_files, read
from runner.spec.moves import moves_of
from runner.spec.nodes import Mapping as MappingNode
from runner.spec.places import Root
from runner.spec.problems import Problems
from runner.spec.sent import that_may_not

DEFAULT_PROJECT = "runner"


class Survey(msgspec.Struct, frozen=True):
    """What can be made out of spec files. `project` is worth something only where `problems` holds no error."""

    project: Project
    prompts: tuple[Prompt, ...]  # also those that no job uses, or only one with a problem
    problems: Problems
    needs_environment: bool = False  # some of its vars have a value in environments alone, and none is chosen


def load(paths: Sequence[str], root: Path, chosen: Chosen = NOTHING) -> Project:
    """The project that the spec files below `paths` describe; both are relative to `root`.

    chosen: the environment, and what is said of vars.

    Raises UsageError when `paths` lead to nothing, SpecError with all problems otherwise.
    """
    found = survey(paths, root, chosen)
    found.problems.raise_errors()
    return found.project


def survey(paths: Sequence[str], root: Path, chosen: Chosen = NOTHING) -> Survey:
    """The same with its problems, so that others can be looked for beside them. Raises UsageError."""
    problems = Problems()
    root = Path(os.path.realpath(root))
    files = find_files(paths, root, lambda link, words: problems.warning(Mark(link), words))
    tops: list[MappingNode] = []
    is_whole = True
    for file in files:
        before = problems.errors
        top = read(root / file, file, problems)
        if top is not None:
            refuse_secrets(top, problems)
            tops.append(top)
        elif problems.errors > before:
            is_whole = False
    declared = Declared(layered(tops, chosen, problems), is_whole=is_whole)
    for top in declared.layers.tops:
        declared.add_file(top, problems)
    return _resolved(declared, files, tuple(paths), root, problems)


def _resolved(
    declared: Declared, files: Sequence[str], paths: tuple[str, ...], root: Path, problems: Problems
) -> Survey:
    providers = nouns.providers_of(declared, problems)
    unsent = that_may_not([*nouns.files_of_prompts(declared), *answers.files_of(declared)], root, problems)
    wanted = answers.answers_of(declared, root, unsent, problems)
    known = Nouns(
        datasets=nouns.datasets_of(declared, problems),
        prompts=nouns.prompts_of(declared, root, wanted, unsent, problems),
        models=nouns.models_of(declared, providers, problems),
        providers=providers,
        answers=wanted,
    )
    jobs = jobs_of(Scope(declared, known, Root(root), problems))
    datasets = [dataset for dataset in known.datasets.values() if dataset]
    datasets += {job.name: job.dataset for job in jobs if isinstance(job, Job) and job.dataset.is_ready}.values()
    outputs.check_collisions(jobs, _inputs(datasets, known.prompts.values(), files, jobs), problems)
    outputs.check_globs(jobs, datasets, problems)
    project = Project(
        name=declared.project or DEFAULT_PROJECT,
        root=root,
        jobs=tuple(jobs),
        providers=_wanted(declared, jobs, providers),
        files=tuple(files),
        paths=paths,
        budget=declared.budget,
        repay_usd=declared.repay_usd,
        moved=moves_of(declared, jobs, problems) if declared.moved else (),
        retention=declared.retention,
        warnings=problems.warnings(),
        environment=declared.layers.environment,
        environments=declared.layers.environments,
        vars=declared.layers.vars,
    )
    prompts = tuple(prompt for prompt in known.prompts.values() if prompt)
    return Survey(project, prompts, problems, declared.layers.needs_environment)


def _wanted(
    declared: Declared, jobs: Sequence[AnyJob], providers: Mapping[str, ProviderBlock | None]
) -> dict[str, ProviderBlock]:
    """Those the jobs use, and those declared."""
    names = {job.model.provider for job in jobs} | set(declared.entries["providers"])
    return {name: provider for name in sorted(names) if (provider := providers[name])}


def _inputs(
    datasets: Iterable[Dataset], prompts: Iterable[Prompt | None], files: Iterable[str], jobs: Iterable[AnyJob]
) -> dict[str, str]:
    """The files that specs read, as far as they are named one by one -> what they are. Case is folded."""
    found = {file.casefold(): "a spec file" for file in files}
    for prompt in prompts:
        for message in prompt.messages if prompt else ():
            found.setdefault(message.mark.file.casefold(), f"a file of prompt `{prompt.key}`" if prompt else "")
    for job in jobs:
        for check in job.evals.checks:
            found.setdefault(check.schema_file.casefold(), f"the schema of check `{check.name}` of job `{job.name}`")
    for prompt in (*prompts, *(job.prompt for job in jobs if isinstance(job, Job))):
        if prompt and prompt.answer:
            found.setdefault(prompt.answer.file.casefold(), f"the schema of the answers to prompt `{prompt.key}`")
    found.pop("", None)
    for dataset in datasets:
        for file in dataset.files:
            what = f"a file of dataset `{dataset.key}` at {dataset.mark}"
            found[posixpath.normpath(file).casefold()] = what
    return found
