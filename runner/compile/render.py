"""What is wrong with a project's templates and inputs, as far as their first rows show it."""

from __future__ import annotations

from collections.abc import Iterable

from runner.errors import Problem
from runner.job.project import Project, Prompt


def check_inputs(project: Project) -> list[Problem]:
    """Problems of the files that jobs read, as far as their first rows show them."""
    from runner.compile.check import problems_of_inputs

    return problems_of_inputs(project)


def check_evals(project: Project) -> list[Problem]:
    """Problems of templates and columns that answers are held to. Reads at most the first rows of each dataset."""
    from runner.compile.check import problems_of_evals

    return problems_of_evals(project)


def warnings_of(project: Project) -> list[str]:
    """What a user should know of the columns that checks see."""
    from runner.compile.check import warnings_of_evals

    return warnings_of_evals(project)


def check_templates(project: Project, prompts: Iterable[Prompt] = ()) -> list[Problem]:
    """Problems of all templates, sorted by place. Reads at most the first rows of each dataset.

    prompts: to be looked at as well, whether or not a job uses them.

    Syntax, statements, filters and methods that cannot be used, names and an `id` that are no column.
    """
    # Jinja2 takes 50 ms to import: a plan that finds everything compiled does without
    from runner.compile.check import problems_of

    return problems_of(project, prompts)
