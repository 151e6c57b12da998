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
    jobs: int  # in the environment that has most
    files: int
    problems: tuple[ProblemView, ...]
    warnings: tuple[str, ...]
    environments: tuple[str, ...] = ()  # that were checked


def of_check(projects: Sequence[Project], problems: Sequence[Problem], warnings: Sequence[str]) -> ValidateView:
    """projects: one for each environment; none where the specs cannot be read."""
    told = tuple(
        ProblemView(one.mark.file, one.mark.line, one.mark.column, one.severity, one.message, one.hint)
        for one in problems
    )
    jobs = max((len(project.jobs) for project in projects), default=0)
    files = max((len(project.files) for project in projects), default=0)
    environments = tuple(project.environment for project in projects if project.environment)
    return ValidateView(VERSION, bool(projects), jobs, files, told, tuple(warnings), environments)
