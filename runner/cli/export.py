"""`runner export`: results and scores as one table."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.options import addresses
from runner.cli.saying import say


@click.command("export")
@click.argument("words", metavar="[ADDRESS]... FILE", nargs=-1, required=True, shell_complete=addresses)
@click.option(
    "--to",
    "form",
    type=click.Choice(["hf-folder"]),
    help="Take FILE for a folder, and write what `datasets` loads: a .parquet for each job, and a card.",
)
@click.option("--specs", "paths", multiple=True, metavar="PATH", help="Where the specs are.  [default: specs]")
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...], form: str | None, paths: tuple[str, ...]) -> int:
    """Write the results and scores of the jobs ADDRESS (default: all) to FILE, a line for each job and row.

    FILE ends in .parquet, .csv or .jsonl. Its columns stay the same from release to release. It is made of results and
    scores files: nothing is sent, and no state is needed. With `--to hf-folder` each job has a file of its own, beside
    a README.md that names them; whatever else lies in the folder stays.
    """
    from runner.apply.export import export
    from runner.apply.hffolder import export_folder
    from runner.cli import voice
    from runner.job.address import matches, unknown
    from runner.spec.load import load

    *named, file = words
    project = load(paths or ("specs",), ctx.obj.root, ctx.obj.chosen)
    for word in named:
        if not any(matches(job.address, word) for job in project.jobs):
            raise unknown(word, [job.address for job in project.jobs], "FILE comes last")
    meant = [job for job in project.jobs if not named or any(matches(job.address, word) for word in named)]
    to = export if form is None else export_folder
    found = to(project, meant, Path(file))
    for note in found.notes:
        say(f"warning: {note}", err=True)
    say(f"{file}  {voice.count(found.jobs, 'job')}, {voice.count(found.rows, 'row')}")
    return 0
