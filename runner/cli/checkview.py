"""What `runner validate -o json` prints."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runner.errors import Problem
from runner.job.project import Project

VERSION = 1


class ProblemView(msgspec.Struct, frozen=True):
    file: str
    line: int  # from 1; 0: the whole file
    column: int
    severity: str  # or `warning`
    message: str
    hint: str


class ValidateView(msgspec.Struct, frozen=True):
    version: int
    is_valid: bool
    jobs: int
    files: int
    problems: tuple[ProblemView, ...]
    warnings: tuple[str, ...]


def of_check(project: Project | None, problems: Sequence[Problem], warnings: Sequence[str]) -> ValidateView:
    """project: None where its specs cannot be read."""
    told = tuple(
        ProblemView(one.mark.file, one.mark.line, one.mark.column, one.severity, one.message, one.hint)
        for one in problems
    )
    jobs, files = (len(project.jobs), len(project.files)) if project else (0, 0)
    return ValidateView(VERSION, project is not None, jobs, files, told, tuple(warnings))
