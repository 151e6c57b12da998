"""`runner apply`: make the remotes match the specs, wait, and write the results."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING

import click

from runner.cli.durations import Duration
from runner.cli.options import Dollars, option

if TYPE_CHECKING:
    from runner.apply.reconcile import Result
    from runner.apply.session import Session
    from runner.plan.plan import Plan

RUNNING, FAILED, BLOCKED, INTERRUPTED = 3, 4, 5, 130


@click.command("apply")
@click.argument("paths", nargs=-1)
@option("-y", "--yes", is_flag=True, help="Do not ask before paying work.")
@option("--no-wait", is_flag=True, help="Make one pass and leave; run again to go on.")
@option("--wait", "wait_seconds", type=Duration(), metavar="TIME", help="Wait no longer than this, e.g. 30m.")
@option(
    "--poll",
    "poll_seconds",
    type=Duration(least=0.01),
    metavar="TIME",
    envvar="RUNNER_POLL_SECONDS",
    help="Look this often, for every provider.",
)
@option("--lock-timeout", type=Duration(), default=0.0, metavar="TIME", help="Wait for another command to end.")
@option("--max-usd", type=Dollars(), metavar="N", help="Send nothing when this apply is estimated to cost more.")
@option("--confirm-repay", is_flag=True, help="Allow asking again for much of what was already answered.")
@option("-q", "--quiet", is_flag=True, help="Only the summary and warnings.")
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[str, ...],
    yes: bool,
    no_wait: bool,
    wait_seconds: float | None,
    poll_seconds: float | None,
    lock_timeout: float,
    max_usd: float | None,
    confirm_repay: bool,
    quiet: bool,
) -> int:
    """Make the remote batch APIs match the specs at PATHS (default: specs), and wait for the results.

    Run it again and nothing happens; stop it anywhere and run it again, and nothing is lost or paid twice.

    Exit codes: 0 done, 1 error, 3 still running, 4 some requests failed, 5 blocked, 6 locked.
    """
    from runner.apply.reconcile import apply
    from runner.cli.opening import opened
    from runner.cli.progress import watcher
    from runner.clock import RealClock
    from runner.plan.guard import Guards

    stop = threading.Event()
    _finish_on_interrupt(stop)
    terminal = watcher(RealClock(), quiet=quiet)
    given = paths or ("specs",)
    with opened(ctx.obj, given, terminal, writes=True, stop=stop, poll_seconds=poll_seconds) as session:
        try:
            result = apply(
                session,
                Guards(max_usd, session.project.budget, confirm_repay),
                confirm=lambda plan: _confirmed(plan, yes),
                wait_seconds=0.0 if no_wait else wait_seconds,
                lock_seconds=lock_timeout,
                command=f"runner apply {' '.join(given)}",
            )
        finally:
            terminal.close()
        return _report(session, result, interrupted=stop.is_set())


def _finish_on_interrupt(stop: threading.Event) -> None:
    """The first Ctrl-C finishes the call under way and stops; a second one stops at once."""

    def interrupted(signum: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        os.write(2, b"\nStopping after the call under way; press Ctrl-C again to stop at once\n")

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)


def _confirmed(plan: Plan, yes: bool) -> bool:
    """Ask on a terminal before anything is paid for; what is free is never asked about."""
    from runner.cli import views, voice
    from runner.plan.change import Action

    costs = [change.usd for job in plan.jobs for change in job.changes if change.action is Action.SUBMIT]
    if yes or all(cost == 0.0 for cost in costs) or not sys.stdin.isatty():
        return True
    click.echo(views.text_of_plan(views.of_plan(plan, []), colour=voice.has_colour()), err=True)
    return click.confirm("Send these requests?", err=True)


def _report(session: Session, result: Result, *, interrupted: bool) -> int:
    from runner.cli import views, voice
    from runner.cli.main import words_of

    lines = []
    for job, part in zip(session.desired, result.plan.jobs, strict=True):
        if (accounting := result.written.get(job.address)) is not None:
            lines.append(views.accounting_line(job.address, job.output, accounting))
        elif part.counts.ok < part.counts.wanted:
            lines.append(views.accounting_line(job.address, job.output, views.standing(part)))
    for line in lines:
        click.echo(line)
    if not session.desired:
        click.echo("The specs declare no job", err=True)
    view = views.of_plan(result.plan, [])
    blocked = any(job.is_blocked for job in result.plan.jobs)
    if blocked or view.leftovers:
        click.echo(views.text_of_plan(view, colour=voice.has_colour()))
    elif not lines and not result.is_running and not result.troubles:
        click.echo("Nothing to do")
    for error in {str(error): error for error in result.troubles.values()}.values():
        click.echo(words_of(error), err=True)
    failed = any(job.counts.error for job in result.plan.jobs)
    codes = (
        (interrupted and result.is_running, INTERRUPTED),
        (bool(result.troubles), 1),
        (blocked, BLOCKED),
        (failed, FAILED),
        (result.is_running or result.declined, RUNNING),
    )
    code = next((code for holds, code in codes if holds), 0)
    _next_step(result, code)
    return code


def _next_step(result: Result, code: int) -> None:
    """What a user does after this, on stderr."""
    if result.declined:
        click.echo("\nNothing was sent", err=True)
    elif code == INTERRUPTED:
        click.echo("\nStopped; the batches go on. Run the same command again to collect them", err=True)
    elif code == RUNNING:
        click.echo("\nStill running. Run the same command again to go on", err=True)
    elif code == FAILED:
        address = next(job.address for job in result.plan.jobs if job.counts.error)
        click.echo(
            f"\nSome requests failed for good: `runner show {address}` lists them, "
            f"`runner retry {address}` asks them again",
            err=True,
        )
    elif code == 0 and result.written:
        click.echo("\nDone. Run it again and nothing is sent; edit a row or a prompt and only that is", err=True)
