"""`runner validate`: are the specs right?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.saying import say, say_json
from runner.errors import Problem, RunnerError, SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.cli.checkview import ValidateView
    from runner.job.project import Project


@click.command("validate")
@click.argument("paths", nargs=-1, type=click.Path())
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="`github`: as annotations of the lines in a pull request, beside the text.",
)
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...], form: str) -> int:
    """Check the specs below PATHS (default: specs), and show every problem of every file.

    In every environment that the specs have, and without one, unless `--env` chooses.

    Reads spec and prompt files, the first rows of datasets and the names of recordings; needs no key and no network.
    """
    from runner.apply.specs import checked_everywhere

    try:
        projects = checked_everywhere(paths or ("specs",), ctx.obj.root, ctx.obj.chosen)
    except SpecError as error:
        if form == "json":
            say_json(_view((), error.problems, ()))
            return error.exit_code
        if form == "github":
            _annotate(error.problems, ctx.obj.root)
        raise
    except RunnerError as error:
        if form == "github" and error.mark:
            _annotate([Problem(error.mark, error.message, error.hint)], ctx.obj.root)
        raise
    warnings = list(dict.fromkeys(words for project in projects for words in _warnings(project)))
    if form == "json":
        say_json(_view(projects, (), warnings))
        return 0
    if form == "github":
        from runner.cli.annotations import warning

        for words in warnings:
            click.echo(warning(words))
    for words in warnings:
        say(f"warning: {words}", err=True)
    for project in projects:
        jobs, files = len(project.jobs), len(project.files)
        where = f"{project.environment}: " if project.environment else ""
        say(f"{where}{jobs} job{_s(jobs)} in {files} file{_s(files)} {'is' if jobs == 1 else 'are'} valid")
    return 0


def _warnings(project: Project) -> list[str]:
    from runner.apply.tables import warnings_in
    from runner.compile.render import warnings_of

    told = dict.fromkeys(warning for job in project.jobs for warning in warnings_in(job, project.root))
    return [*project.warnings, *told, *warnings_of(project)]


def _view(projects: Sequence[Project], problems: Sequence[Problem], warnings: Sequence[str]) -> ValidateView:
    from runner.cli.checkview import of_check

    return of_check(projects, problems, warnings)


def _annotate(problems: Sequence[Problem], root: Path) -> None:
    from runner.cli.annotations import annotation

    top = Path(os.environ.get("GITHUB_WORKSPACE") or Path())
    for problem in problems:
        click.echo(annotation(problem, os.path.relpath(root / problem.mark.file, top.resolve())))


def _s(count: int) -> str:
    return "" if count == 1 else "s"
