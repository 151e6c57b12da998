"""Everything that is wrong with specs, in one go.

What later steps would find is looked for beside what the first ones found: nobody wants to put one file right three
times.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from runner.apply.checkable import problems_in_evals
from runner.apply.desire import check_extras, check_windows
from runner.apply.tables import check_columns
from runner.compile.render import check_inputs, check_templates
from runner.errors import Mark, Problem, SpecError
from runner.job.project import Project
from runner.remotes.registry import card_of
from runner.spec.chosen import NOTHING, Chosen
from runner.spec.load import survey


def checked(paths: Sequence[str], root: Path, chosen: Chosen = NOTHING) -> Project:
    """The project at `paths`, with nothing wrong in its specs, templates, windows, nor the first rows of its files.

    Raises SpecError with all problems of all files; UsageError where `paths` lead to nothing.
    """
    found = survey(paths, root, chosen)
    project = found.project
    more = check_windows(project, lambda name: card_of(project.providers[name]))
    more += check_extras(project) + check_inputs(project) + check_templates(project, found.prompts)
    more += check_columns(project)
    more = list(dict.fromkeys(more + problems_in_evals(project)))
    found.problems.raise_errors(more)
    return project


def checked_everywhere(paths: Sequence[str], root: Path, chosen: Chosen = NOTHING) -> list[Project]:
    """The project as it is in each environment, and as it stands where it can; in the one that is chosen alone.

    Raises as `checked` does; of a problem that not all of them have, it is told which do.
    """
    first = survey(paths, root, chosen)
    names = first.project.environments
    if chosen.environment or not names:
        return [checked(paths, root, chosen)]
    bare = [] if first.needs_environment or first.project.environment else [""]
    found: dict[str, Project] = {}
    problems: dict[Problem, list[str]] = {}
    for name in (*bare, *names):
        try:
            found[name] = checked(paths, root, chosen.in_environment(name))
        except SpecError as error:
            for one in error.problems:
                problems.setdefault(one, []).append(name)
    for problem in _same_outputs(list(found.values())):
        problems[problem] = [""]
    if not problems:
        return list(found.values())
    raise SpecError([_told(one, where, everywhere=len(names) + len(bare)) for one, where in problems.items()])


def _same_outputs(projects: Sequence[Project]) -> Iterator[Problem]:
    """Files that two environments write, once their templates are filled in."""
    written: dict[str, tuple[str, Mark]] = {}
    for project in projects:
        whose = f"environment `{project.environment}`" if project.environment else "the specs without an environment"
        for job in project.jobs:
            other, mark = written.setdefault(os.path.normpath(job.output), (whose, job.output_mark))
            if other != whose:
                yield Problem(
                    job.output_mark,
                    f"`{job.address}` in {whose} writes `{job.output}`, and so does {other} at {mark}",
                    "give it another name; or leave it out: outputs lie in a folder of the environment anyway",
                )


def _told(problem: Problem, where: Sequence[str], *, everywhere: int) -> Problem:
    if len(where) == everywhere or "" in where:
        return problem
    listed = ", ".join(f"`{name}`" for name in where)
    return replace(problem, message=f"{problem.message} (in environment {listed})")
