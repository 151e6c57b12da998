"""`runner plan`: what apply would do, and why. Changes nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.habits import Consent
from runner.cli.options import Repaying, for_project, limited, option, selecting
from runner.cli.saying import columns_of, say, say_json

if TYPE_CHECKING:
    from runner.job.selection import Selection
    from runner.plan.guard import Guards


@click.command("plan", cls=Repaying)
@click.argument("paths", nargs=-1, type=click.Path())
@option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@option("--offline", is_flag=True, help="Ask no remote: plan from the recorded state alone.")
@option("--detailed-exitcode", is_flag=True, help="Exit 2 when there is something to do.")
@option("--out", metavar="FILE.json", help="Write the plan here: `runner apply FILE.json` sends exactly that.")
@option("--first-run", cls=Consent, is_flag=True, help="Plan as `runner apply --first-run` does.")
@selecting
@limited
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[str, ...],
    form: str,
    offline: bool,
    detailed_exitcode: bool,
    out: str | None,
    first_run: bool,
    guards: Guards,
    selection: Selection,
) -> int:
    """Show what `runner apply` would do with the specs at PATHS (default: specs).

    Signs: + create, ± some rows, -/+ every request changed, » send again what is not settled, . wait, ↓ fetch,
    ~ write a file, - remove one, ? after another job, ! blocked.
    """
    from msgspec.structs import replace

    from runner.apply.preview import preview
    from runner.cli import insync, plantext, views, voice
    from runner.cli.apply import in_project
    from runner.cli.opening import opened
    from runner.cli.progress import aside
    from runner.cli.question import is_asked
    from runner.cli.rows import ids_in
    from runner.cli.suggest import as_typed
    from runner.clock import RealClock
    from runner.plan import review
    from runner.plan.change import Action

    target = _target(out)
    with opened(ctx.obj, paths or ("specs",), aside(RealClock()), writes=False, selection=selection) as session:
        addresses = [job.address for job in session.desired]
        allowed = replace(guards, first_run=first_run)
        guards = for_project(allowed, session.project, addresses, is_asked=is_asked(yes=target is not None))
        seen = preview(session, guards, offline=offline)
        plan = seen.plan
        paid = review.of(session.project.namespace, session.desired, plan, seen.recorded, guards)
        view = views.of_plan(plan, seen.rewrites, ids_in(session.compiled), seen.not_asked, digest=paid.digest)
        is_calm = view.is_empty and not seen.notes and target is None
        looked_at = insync.looked_at(session) if is_calm else None
        view = views.of_environment(view, session.project)
    if target is not None:
        from runner.apply import planfile

        below = [in_project(path, ctx.obj.root) for path in paths or ("specs",)]
        planfile.write(target, paid, below, allowed, selection, of=session.project)
    if form == "json":
        say_json(view)
    else:
        say(plantext.text_of_plan(view, colour=voice.has_colour(), columns=columns_of(sys.stdout)))
        for note in seen.notes:
            say(f"warning: {note}", err=True)
        if plan.submissions or plan.ours or seen.rewrites or plan.later:
            command = as_typed("runner apply", paths or ("specs/",))
            exactly = ""
            if target is not None:
                command, exactly = as_typed("runner apply", (str(target),)), "exactly "
            say(f"\nNothing was sent. To do {exactly}this, run `{command}`", err=True)
        elif not view.is_empty:
            say("\nNothing was sent, and nothing would be sent before you decide about what is blocked", err=True)
    if any(job.is_blocked for job in plan.jobs) or any(c.action is Action.LOSE for _, c in plan.ours):
        return 5
    insync.keep(looked_at)
    return 2 if detailed_exitcode and not view.is_empty else 0


def _target(out: str | None) -> Path | None:
    """Where the plan is written. Raises UsageError for a name by which apply would not know it."""
    if out is None:
        return None
    from runner.apply.planfile import SUFFIX
    from runner.errors import UsageError, printable

    if not out.endswith(SUFFIX):
        raise UsageError(
            f"`--out {printable(out)}`: a plan is a {SUFFIX} file", hint=f"for example `--out plan{SUFFIX}`"
        )
    return Path(out)
