"""`runner validate`: are the specs right?"""

from __future__ import annotations

import click

from runner.cli.saying import say


@click.command("validate")
@click.argument("paths", nargs=-1, type=click.Path())
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...]) -> None:
    """Check the specs below PATHS (default: specs), and show every problem of every file.

    Reads spec and prompt files, the first rows of datasets and the names of recordings; needs no key and no network.
    """
    from runner.apply.specs import checked
    from runner.apply.tables import warnings_in
    from runner.compile.render import warnings_of

    project = checked(paths or ("specs",), ctx.obj.root)
    told = dict.fromkeys(warning for job in project.jobs for warning in warnings_in(job, project.root))
    for warning in (*project.warnings, *told, *warnings_of(project)):
        say(f"warning: {warning}", err=True)
    jobs, files = len(project.jobs), len(project.files)
    verb = "is" if jobs == 1 else "are"
    say(f"{jobs} job{_s(jobs)} in {files} file{_s(files)} {verb} valid")


def _s(count: int) -> str:
    return "" if count == 1 else "s"
