"""`runner plan`: what apply would do, and why. Changes nothing."""

from __future__ import annotations

import click

from runner.cli.habits import Consent
from runner.cli.options import Dollars, option


@click.command("plan")
@click.argument("paths", nargs=-1)
@option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@option("--offline", is_flag=True, help="Ask no remote: plan from the recorded state alone.")
@option("--detailed-exitcode", is_flag=True, help="Exit 2 when there is something to do.")
@option("--max-usd", type=Dollars(), metavar="N", help="Block when the plan is estimated to cost more.")
@option("--confirm-repay", cls=Consent, is_flag=True, help="Allow asking again for much of what was already answered.")
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[str, ...],
    form: str,
    offline: bool,
    detailed_exitcode: bool,
    max_usd: float | None,
    confirm_repay: bool,
) -> int:
    """Show what `runner apply` would do with the specs at PATHS (default: specs).

    Signs: + create, ± some rows, -/+ every request changed, » again what is unsettled, . wait, ↓ fetch,
    ~ write a file, ! blocked.
    """
    import msgspec

    from runner.apply.preview import preview
    from runner.apply.reporter import Silent
    from runner.cli import views, voice
    from runner.cli.opening import opened
    from runner.plan.change import Action
    from runner.plan.guard import Guards

    with opened(ctx.obj, paths or ("specs",), Silent(), writes=False) as session:
        guards = Guards(max_usd, session.project.budget, confirm_repay)
        plan, rewrites, notes = preview(session, guards, offline=offline)
        view = views.of_plan(plan, rewrites)
    if form == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(view)))
    else:
        click.echo(views.text_of_plan(view, colour=voice.has_colour()))
        for note in notes:
            click.echo(note, err=True)
        if not view.is_empty:
            click.echo(f"\nNothing was sent. To do this, run `runner apply {' '.join(paths) or 'specs/'}`", err=True)
    if any(job.is_blocked for job in plan.jobs) or any(c.action is Action.LOSE for _, c in plan.batches):
        return 5
    return 2 if detailed_exitcode and not view.is_empty else 0
