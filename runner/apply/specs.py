"""Everything that is wrong with specs, in one go.

What later steps would find is looked for beside what the first ones found: nobody wants to put one file right three
times.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.apply.checkable import problems_in_evals
from runner.apply.desire import check_extras, check_windows
from runner.apply.tables import check_columns
from runner.compile.render import check_inputs, check_templates
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
