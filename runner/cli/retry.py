"""`runner retry`: ask again what failed, or what was answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.habits import Consent
from runner.cli.options import addresses, selecting, watched, words_for
from runner.cli.saying import say

if TYPE_CHECKING:
    from runner.job.selection import Selection


@click.command("retry")
@click.argument("address", required=False, shell_complete=addresses)
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--row", "rows", multiple=True, metavar="ID", help="Ask only this row again; may be repeated.")
@click.option("--replace", "replaces", cls=Consent, is_flag=True, help="Ask answered requests again, too.")
@selecting
@watched
@click.pass_context
def command(
    ctx: click.Context,
    address: str | None,
    paths: tuple[str, ...],
    rows: tuple[str, ...],
    replaces: bool,
    selection: Selection,
) -> int:
    """Mark failed requests of the job ADDRESS, or of those selected, to be asked again; the next `runner apply` sends
    them.

    A batch that was given up because its remote did not show it is looked for first; what it holds is not asked again.
    An answer that is here stays here: it is shown until a newer one takes its place.
    """
    from runner.apply.narrow import meant
    from runner.apply.retry import in_flight, retry
    from runner.cli import voice
    from runner.cli.opening import opened
    from runner.cli.progress import watcher
    from runner.clock import RealClock

    address, paths = words_for(ctx, address, paths, selection)
    with (
        opened(ctx.obj, paths, watcher(RealClock(), quiet=False), writes=True) as session,
        session.memory.lock(f"runner retry {address}".rstrip(), clock=session.clock),
    ):
        jobs = meant(session, address, selection, writes=True)
        decisions = retry(session, jobs, rows, replaces=replaces)
        flying = 0 if decisions else in_flight(session, jobs)
        bad = sum(job.bad for job in session.desired if job.address in jobs)
    if not jobs:
        say("No job is selected")
        return 0
    if not decisions:
        what = f"`{address}`" if address else voice.count(len(jobs), "selected job")
        if flying:
            say(f"{voice.count(flying, 'request')} of {what} {'is' if flying == 1 else 'are'} in flight")
        if not replaces:
            say(f"Nothing of {what} has failed; `--replace` asks answered requests again")
        elif not flying:
            say(f"None of the requests of {what} was asked as the specs say them now")
        if bad:
            show = address or "JOB"
            say(f"{voice.count(bad, 'row')} cannot be sent: `runner show {show}` lists them; put them right")
        return 0
    for decision in decisions:
        maybe = f", {decision.possible_duplicates:,} of them maybe twice" if decision.possible_duplicates else ""
        say(f"{decision.address}  {voice.count(decision.rows, 'request')} will be asked again{maybe}")
    say("\nNothing was sent. `runner plan` shows what will be sent, `runner apply` sends it", err=True)
    return 0
