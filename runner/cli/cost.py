"""`runner cost`: what was spent, and what was expected. Asks no remote and changes nothing."""

from __future__ import annotations

import sys

import click

from runner.cli.options import option
from runner.cli.saying import say, say_json


@click.command("cost")
@click.argument("paths", nargs=-1, type=click.Path())
@option(
    "--by",
    type=click.Choice(["job", "model", "provider", "month"]),
    default="job",
    show_default=True,
    help="Add up by this; by month: that of the submission, UTC.",
)
@option("-o", "--output", "form", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...], by: str, form: str) -> int:
    """Show what the batches of this project cost, and what had been expected of them.

    Answers cost what they say they used, at the price that the specs at PATHS (default: specs) give their model now; at
    that of their time where the specs have the model no more. What has no price is counted apart, never taken as 0.
    """
    from runner.apply.reporter import Silent
    from runner.cli import bill
    from runner.cli.opening import opened
    from runner.cli.saying import columns_of
    from runner.plan.spent import spent_on

    with opened(ctx.obj, paths or ("specs",), Silent(), writes=False) as session:
        models = {job.address: job.model for job in session.desired}
        view = bill.of_batches(spent_on(session.desired, session.recorded().batches), by, models)
    match form:
        case "json":
            say_json(view)
        case "markdown":
            click.echo(bill.markdown_of(view))
        case _:
            say(bill.text_of(view, columns_of(sys.stdout)))
    return 0
