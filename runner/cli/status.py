"""`runner status`: jobs and batches, as recorded and as the remotes show them now. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.durations import Duration
from runner.cli.options import option, selecting
from runner.cli.saying import say, say_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.cli.main import Settings
    from runner.cli.standing import StatusView
    from runner.job.selection import Selection

    Words = Callable[[StatusView], str]


@click.command("status")
@click.argument("paths", nargs=-1, type=click.Path())
@option("-o", "--output", "form", type=click.Choice(["text", "wide", "json"]), default="text", show_default=True)
@option("--offline", is_flag=True, help="Ask no remote.")
@option("--watch", is_flag=True, help="Look again and again, until nothing is in flight.")
@option(
    "--poll",
    "poll_seconds",
    type=Duration(least=0.01),
    default=10.0,
    metavar="TIME",
    envvar="RUNNER_POLL_SECONDS",
    help="Look this often with --watch.  [default: 10s]",
)
@selecting
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[str, ...],
    form: str,
    offline: bool,
    watch: bool,
    poll_seconds: float,
    selection: Selection,
) -> int:
    """Show every job of the specs at PATHS (default: specs), and the batches in flight.

    With --watch it is drawn anew in place; without a terminal, what changed is printed. It sends nothing and collects
    nothing: `runner apply` does.
    """
    from runner.cli import standing
    from runner.clock import RealClock

    def look() -> StatusView:
        return _view(ctx.obj, paths or ("specs",), selection, offline=offline)

    if form == "json":
        if watch:
            raise click.UsageError("--watch is for people: leave out -o json, and ask again instead.")
        say_json(look())
        return 0
    clock = RealClock()

    def text_of(view: StatusView) -> str:
        return standing.text_of(view, clock.now(), is_wide=form == "wide")

    def short_of(view: StatusView) -> str:
        return "\n".join(standing.short_of(view, clock.now()))

    if watch:
        _watch(look, text_of, short_of, poll_seconds)
    else:
        say(text_of(look()) or "No job is selected")
    return 0


def _view(settings: Settings, paths: tuple[str, ...], selection: Selection, *, offline: bool) -> StatusView:
    from runner.apply.narrow import meant
    from runner.apply.refresh import look
    from runner.cli import standing
    from runner.cli.opening import opened
    from runner.cli.progress import aside
    from runner.clock import LONGEST_LOOK, RealClock, hurried
    from runner.plan.plan import make
    from runner.plan.spent import spent_by

    with opened(settings, paths, aside(RealClock()), writes=False) as session:
        if selection:
            session.keep(meant(session, "", selection, writes=False))
        recorded = session.recorded()
        batches = [entry.batch for entry in recorded.batches if not selection or session.is_about(entry.batch)]
        active = [batch for batch in batches if batch.is_active]
        with hurried(session.clock, LONGEST_LOOK):
            observations = {} if offline else look(session, active).observations
        plan = make(session.desired, recorded, observations, scope=session.project.scope)
        spent = spent_by(session.desired, recorded.batches)
        return standing.of_plan(plan, session.records.jobs(), standing.asked_in(session.records), observations, spent)


def _watch(look: Callable[[], StatusView], text_of: Words, short_of: Words, poll_seconds: float) -> None:
    """Show it again and again, until nothing is in flight; that is left to be read."""
    import sys
    import time

    from runner.cli import voice

    if sys.stdout.isatty() and not voice.is_dumb():
        _watch_in_place(look, text_of, short_of, poll_seconds)
        return
    told: set[str] = set()
    while True:
        view = look()
        lines = text_of(view).split("\n")
        for line in lines:
            if line and line not in told and not line.startswith("Oldest in flight"):
                say(line)
        sys.stdout.flush()
        told = set(lines)
        if not view.batches:
            return
        time.sleep(poll_seconds)


def _watch_in_place(look: Callable[[], StatusView], text_of: Words, short_of: Words, poll_seconds: float) -> None:
    import sys
    import time

    from runner.cli.saying import folded
    from runner.cli.screen import Screen
    from runner.cli.suggest import carried

    view = look()
    asked, folder = _as_given()

    def drawn(columns: int, lines: int) -> list[str]:
        found = folded(carried(text_of(view), asked, folder), columns).split("\n")
        if len(found) <= lines:
            return found
        short = folded(short_of(view), columns).split("\n")[:lines]
        room = max(lines - len(short) - 1, 0)
        return [*found[:room], f"… {len(found) - room:,} lines more", *short][-lines:]

    screen = Screen(sys.stdout, drawn)
    try:
        while view.batches:
            screen.draw()
            time.sleep(poll_seconds)
            view = look()
    finally:
        screen.clear()
        say(text_of(view))


def _as_given() -> tuple[tuple[str, ...], str]:
    """PATHS and folder of this command: another thread draws, and does not have them."""
    from runner.cli.suggest import given, root

    return given.get(), root.get()
