"""`runner plan`: what apply would do, and why. Changes nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.habits import Consent
from runner.cli.options import DIFFS, Repaying, for_project, limited, option, selecting
from runner.cli.saying import columns_of, say, say_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.cli.views import PlanView
    from runner.job.selection import Selection
    from runner.plan.guard import Guards


@click.command("plan", cls=Repaying)
@click.argument("paths", nargs=-1, type=click.Path())
@option("-o", "--output", "form", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
@option("--offline", is_flag=True, help="Ask no remote: plan from the recorded state alone.")
@option("--detailed-exitcode", is_flag=True, help="Exit 2 when there is something to do.")
@option("--out", metavar="FILE.json", help="Write the plan here: `runner apply FILE.json` sends exactly that.")
@option("--first-run", cls=Consent, is_flag=True, help="Plan as `runner apply --first-run` does.")
@option("--against", "against", metavar="REV", help="Tell what changed since a git revision: `main`, `HEAD~1`.")
@option(
    "--diff",
    "requests",
    type=click.IntRange(1, 100),
    is_flag=False,
    flag_value=DIFFS,
    metavar="[N]",
    help=f"Show N requests ({DIFFS}) of each changed job as they were asked and as they would be.",
)
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
    against: str | None,
    requests: int | None,
    guards: Guards,
    selection: Selection,
) -> int:
    """Show what `runner apply` would do with the specs at PATHS (default: specs).

    Signs: + create, ± some rows, -/+ every request changed, » send again what is not settled, . wait, ↓ fetch,
    ~ write a file, - remove one, ? after another job, ! blocked.
    """
    from msgspec.structs import replace

    from runner.apply import retention
    from runner.apply.preview import preview
    from runner.cli import insync, plantext, views, voice
    from runner.cli.apply import in_project
    from runner.cli.comparing import compared
    from runner.cli.opening import opened
    from runner.cli.progress import aside
    from runner.cli.question import is_asked
    from runner.cli.rows import ids_in
    from runner.cli.suggest import as_typed
    from runner.clock import RealClock
    from runner.plan.change import Action
    from runner.plan.paid import paid_by

    target = _target(out)
    with opened(ctx.obj, paths or ("specs",), aside(RealClock()), writes=False, selection=selection) as session:
        addresses = [job.address for job in session.desired]
        allowed = replace(guards, first_run=first_run)
        guards = for_project(allowed, session.project, addresses, is_asked=is_asked(yes=target is not None))
        seen = preview(session, guards, offline=offline)
        plan = seen.plan
        paid = paid_by(session.project.namespace, session.desired, plan, seen.recorded, guards)
        told, notes = compared(
            session,
            plan,
            against=against,
            chosen=ctx.obj.chosen,
            requests=requests or 0,
            asks_remotes=not offline,
        )
        ids = ids_in(session.compiled)
        view = views.of_plan(plan, seen.rewrites, ids, seen.not_asked, told, digest=paid.digest)
        if not session.desired and session.project.left_out and not view.parts:
            view = replace(view, summary=views.NONE_SELECTED)
        view = views.with_deletions(view, retention.foretold(session))
        gates = views.gates_of(session.desired, view, session.records.jobs())
        view = replace(view, gates=gates, warnings=(*seen.notes, *notes))
        is_calm = view.is_empty and not view.warnings and target is None and against is None
        looked_at = insync.looked_at(session) if is_calm else None
        view = views.of_environment(view, session.project)
    if target is not None:
        from runner.apply import planfile

        below = [in_project(path, ctx.obj.root) for path in paths or ("specs",)]
        planfile.write(target, paid, below, allowed, selection.naming(addresses), of=session.project)
    given = paths or ("specs/",)
    command = as_typed("runner apply", given if target is None else (str(target),))
    match form:
        case "json":
            say_json(view)
        case "markdown":
            from runner.cli.planmarkdown import markdown_of

            exactly = as_typed(f"runner apply --plan-digest {view.digest}", given)
            click.echo(markdown_of(view, command if view.digest.startswith("0-") else exactly), nl=False)
        case _:
            say(plantext.text_of_plan(view, colour=voice.has_colour(), columns=columns_of(sys.stdout)))
            compares = as_typed("runner plan --against REV", given) if against is None else ""
            for words in _aside(view, command, compares, ctx.obj.root, exactly=target is not None):
                say(words, err=True)
    if any(job.is_blocked for job in plan.jobs) or any(c.action is Action.LOSE for _, c in plan.ours):
        return 5
    insync.keep(looked_at)
    return 2 if detailed_exitcode and not view.is_empty else 0


def _aside(view: PlanView, command: str, compares: str, root: Path, *, exactly: bool) -> Iterator[str]:
    """What is said beside a plan in text. command: what applies it, exactly or as things stand then. compares: what
    would tell more of what changed; empty where nothing would."""
    from runner.gittree import worktree_of

    yield from (f"warning: {words}" for words in view.warnings)
    if compares and _is_more_to_tell(view) and worktree_of(root):
        yield f"\nWhat changed is not known here: `{compares}` tells it against a git revision, such as `main`"
    if view.goes_on:
        yield f"\nNothing was sent. To do {'exactly ' if exactly else ''}this, run `{command}`"
    elif not view.is_empty:
        yield "\nNothing was sent, and nothing would be sent before you decide about what is blocked"


def _is_more_to_tell(view: PlanView) -> bool:
    """Whether some requests take the place of others, and nobody knows what became of them."""
    lines = (line for group in view.groups if not group.since for line in group.lines)
    return any(line.verb in ("replace", "delta") for line in lines)


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
    if Path(out).is_dir():
        raise UsageError(f"`--out {printable(out)}` is a folder", hint=f"name a file in it, such as `plan{SUFFIX}`")
    return Path(out)
