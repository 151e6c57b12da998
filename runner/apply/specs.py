"""Everything that is wrong with specs, in one go.

What later steps would find is looked for beside what the first ones found: nobody wants to put one file right three
times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from runner.apply.checkable import problems_in_evals
from runner.apply.desire import check_extras, check_windows
from runner.apply.tables import check_columns
from runner.compile.render import check_inputs, check_templates
from runner.errors import Problem, SpecError
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
    if len(found) == len(names) + len(bare):
        return list(found.values())
    raise SpecError([_told(one, where, everywhere=len(names) + len(bare)) for one, where in problems.items()])


def _told(problem: Problem, where: Sequence[str], *, everywhere: int) -> Problem:
    if len(where) == everywhere or "" in where:
        return problem
    listed = ", ".join(f"`{name}`" for name in where)
    return replace(problem, message=f"{problem.message} (in environment {listed})")
