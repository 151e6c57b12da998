"""`runner history`: what was done, by whom and when, why, and what it cost."""

from __future__ import annotations

import click

from runner.cli.durations import Duration
from runner.cli.options import addresses, option
from runner.cli.remembered import remembered
from runner.cli.saying import say


@click.command("history")
@click.argument("address", metavar="[JOB]", required=False, shell_complete=addresses)
@option("-n", "--number", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="Show the last N.")
@option(
    "--since", type=Duration(), metavar="TIME", help="Show what happened in this time, e.g. 7d: all of it without -n."
)
@option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(ctx: click.Context, address: str | None, number: int, since: float | None, form: str) -> int:
    """Show what happened to the jobs of this project, or to JOB: the newest last.

    It is read from the recorded state alone: no spec is read, and no remote is asked.
    """
    from contextlib import closing

    import msgspec

    from runner.cli import past
    from runner.clock import RealClock

    is_said = ctx.get_parameter_source("number") is not click.core.ParameterSource.DEFAULT
    most = number if is_said or since is None else None
    with closing(remembered(ctx.obj)) as memory:
        view = past.of_log(memory.records.events(), job=address, since=past.before(RealClock().now(), since), most=most)
    if form == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(view)))
    else:
        say(past.text_of(view))
    return 0
