"""`runner render`: what would be sent, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from runner.cli.options import addresses

if TYPE_CHECKING:
    from pathlib import Path

    from runner.job.project import AudioJob, Job
    from runner.remotes.vendor import Lines


@click.command("render")
@click.argument("address", shell_complete=addresses)
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--rows", type=click.IntRange(min=1), metavar="N", help="Print only the first N requests of each job.")
@click.pass_context
def command(ctx: click.Context, address: str, paths: tuple[str, ...], rows: int | None) -> None:
    """Print the request lines of the job at ADDRESS, one JSON object a line, one line a row or recording.

    ADDRESS is a job, or one cell of it; a job with a matrix prints all of its cells. PATHS default to specs.
    Nothing is sent; no key and no network are needed.
    """

    from runner.compile.render import check_templates
    from runner.errors import SpecError, UsageError
    from runner.job.address import matches, unknown
    from runner.job.project import AudioJob
    from runner.remotes.registry import lines_of
    from runner.spec.load import load

    project = load(paths or ("specs",), ctx.obj.root, ctx.obj.chosen)
    jobs = [job for job in project.jobs if matches(job.address, address)]
    if not jobs:
        raise unknown(address, [job.address for job in project.jobs])
    problems = check_templates(msgspec.structs.replace(project, jobs=tuple(jobs)))
    if problems:
        raise SpecError(problems)
    for job in jobs:
        if job.chain is not None:
            parents = " and ".join(f"`{parent}`" for parent in job.chain.parents)
            raise UsageError(
                f"`{job.address}` asks about the answers of {parents}: its requests are known once those are there",
                hint="`runner plan` says about how many there will be",
            )
        if isinstance(job, AudioJob):
            _print_recordings(job, project.root, rows)
        else:
            _print(job, project.root, lines_of(project.providers[job.model.provider]), rows)


def _print(job: Job, root: Path, lines: Lines, rows: int | None) -> None:
    from runner.compile.compile import preview

    for line in preview(job, root, lines, rows):
        click.echo(line.data)


def _print_recordings(job: AudioJob, root: Path, rows: int | None) -> None:
    """A recording is sent as a form, not as a line: this line describes it."""
    from runner.compile.audio import preview

    for described in preview(job, root, rows):
        click.echo(described)
