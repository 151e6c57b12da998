"""`runner validate`: are the specs right?"""

from __future__ import annotations

import click

from runner.cli.saying import say


@click.command("validate")
@click.argument("paths", nargs=-1)
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...]) -> None:
    """Check the specs below PATHS (default: specs), and show every problem of every file.

    Reads spec and prompt files, the first rows of datasets and the names of recordings: no key, no network.
    """
    from runner.apply.desire import check_extras, check_windows
    from runner.apply.tables import warnings_in
    from runner.compile.render import check_inputs, check_templates
    from runner.errors import SpecError
    from runner.remotes.registry import card_of
    from runner.spec.load import load

    project = load(paths or ("specs",), ctx.obj.root)
    problems = check_windows(project, lambda name: card_of(project.providers[name]))
    problems += check_extras(project) + check_inputs(project) + check_templates(project)
    if problems:
        raise SpecError(problems)
    told = dict.fromkeys(warning for job in project.jobs for warning in warnings_in(job, project.root))
    for warning in (*project.warnings, *told):
        say(f"warning: {warning}", err=True)
    jobs, files = len(project.jobs), len(project.files)
    verb = "is" if jobs == 1 else "are"
    say(f"{jobs} job{_s(jobs)} in {files} file{_s(files)} {verb} valid")


def _s(count: int) -> str:
    return "" if count == 1 else "s"
