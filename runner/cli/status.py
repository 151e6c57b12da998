"""`runner status`: jobs and batches, as recorded and as the remotes show them now. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.options import option, selecting
from runner.cli.saying import say, say_json

if TYPE_CHECKING:
    from runner.job.selection import Selection


@click.command("status")
@click.argument("paths", nargs=-1, type=click.Path())
@option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@option("--offline", is_flag=True, help="Ask no remote.")
@selecting
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...], form: str, offline: bool, selection: Selection) -> int:
    """Show every job of the specs at PATHS (default: specs), and the batches in flight."""
    from runner.apply.narrow import meant
    from runner.apply.refresh import look
    from runner.cli import standing
    from runner.cli.opening import opened
    from runner.cli.progress import aside
    from runner.clock import LONGEST_LOOK, RealClock, hurried
    from runner.plan.plan import make
    from runner.plan.spent import spent_by

    with opened(ctx.obj, paths or ("specs",), aside(RealClock()), writes=False) as session:
        if selection:
            session.keep(meant(session, "", selection, writes=False))
        recorded = session.recorded()
        batches = [entry.batch for entry in recorded.batches if not selection or session.is_about(entry.batch)]
        active = [batch for batch in batches if batch.is_active]
        with hurried(session.clock, LONGEST_LOOK):
            observations = {} if offline else look(session, active).observations
        plan = make(session.desired, recorded, observations, scope=session.project.scope)
        spent = spent_by(session.desired, recorded.batches)
        view = standing.of_plan(plan, session.records.jobs(), standing.asked_in(session.records), observations, spent)
    if form == "json":
        say_json(view)
    else:
        say(standing.text_of(view))
    return 0
