"""`runner prune`: what providers keep of us and nobody needs any more."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from runner.cli.durations import Duration
from runner.cli.habits import Consent
from runner.cli.options import option, selecting
from runner.cli.saying import say, say_json

if TYPE_CHECKING:
    from runner.job.selection import Selection


@click.command("prune")
@click.argument("paths", nargs=-1, type=click.Path())
@option("-y", "--yes", cls=Consent, is_flag=True, help="Delete without asking.")
@option(
    "--older-than",
    type=Duration(),
    default="0s",
    metavar="AGE",
    help="Only what came to its end that long ago, such as 30d.",
)
@option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@selecting
@click.pass_context
def command(
    ctx: click.Context, paths: tuple[str, ...], yes: bool, older_than: float, form: str, selection: Selection
) -> int:
    """Delete at the providers what nothing needs: uploads, result files, records of batches.

    Only what is this project's by its label or name, and whose answers are here, read and compared just now. What is in
    flight, in doubt, or to be asked again stays. It prints what would go, and asks; without a terminal and without -y
    nothing is deleted (exit 5). `retention:` in the specs does the same after every apply.
    """
    from runner.apply import prune
    from runner.apply.readback import remember
    from runner.cli import pruneview, voice
    from runner.cli.main import words_of
    from runner.cli.opening import opened
    from runner.cli.progress import watcher
    from runner.cli.question import YesOrNo, ask, is_asked
    from runner.clock import RealClock

    least = timedelta(seconds=older_than)
    gone: list[str] = []
    with (
        opened(
            ctx.obj, paths or ("specs",), watcher(RealClock(), quiet=False), writes=True, selection=selection
        ) as session,
        session.memory.lock("runner prune", clock=session.clock),
    ):
        remember(session)
        surveys, errors = prune.survey(session, lambda stored, owner: least)
        warnings = prune.only_here(session, surveys)
        view = pruneview.of_surveys(surveys, warnings, errors)
        if form == "text":
            if view.remotes:
                say(pruneview.text_of(view, session.clock.now()))
            for warning in warnings:
                say(f"warning: {voice.plain(warning)}", err=True)
        answer = YesOrNo.YES if yes else YesOrNo.NOBODY
        if view.needless and is_asked(yes=yes):
            answer = ask(f"Delete {pruneview.summary_of(view)}? It cannot be taken back")
        if view.needless and answer is YesOrNo.YES:
            for survey in surveys:
                done, failed = prune.delete(session, survey, lambda stored: None)
                gone += [one.id for one in done]
                errors += failed
            view = pruneview.of_surveys(surveys, warnings, errors, gone)
    if form == "json":
        say_json(view)
    elif gone:
        say(f"Deleted {voice.count(len(gone), 'object')}")
    elif not view.needless:
        if not view.remotes or any(remote.objects for remote in view.remotes):  # else that has been said
            say("Nothing to delete", err=True)
    elif answer is YesOrNo.NOBODY:
        say("\nNothing was deleted. To delete it, run `runner prune -y`", err=True)
    elif answer is YesOrNo.NO:
        say("Nothing was deleted", err=True)
    for error in errors:
        say(words_of(error.error), err=True)
    if errors:
        return min(error.error.exit_code for error in errors)
    return 5 if view.needless and answer is not YesOrNo.YES else 0
