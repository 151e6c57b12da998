"""`runner apply`: make the remotes match the specs, wait, and write the results."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from runner.cli.durations import Duration
from runner.cli.habits import Consent
from runner.cli.options import Repaying, for_project, limited, option, selecting, watched
from runner.errors import BlockedError, RunnerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.apply.session import Session
    from runner.job.desired import Desired
    from runner.job.selection import Selection
    from runner.plan.guard import Guards


@click.command("apply", cls=Repaying)
@click.argument("paths", nargs=-1, type=click.Path())
@option(
    "-y",
    "--yes",
    cls=Consent,
    is_flag=True,
    help="Pay without asking. Without a terminal, nothing is paid for unless you give this.",
)
@option("--no-wait", is_flag=True, help="Make one pass and stop; run again to go on.")
@option("--wait", "wait_seconds", type=Duration(), metavar="TIME", help="Wait no longer than this, e.g. 30m.")
@option(
    "--poll",
    "poll_seconds",
    type=Duration(least=0.01),
    metavar="TIME",
    envvar="RUNNER_POLL_SECONDS",
    help="Ask every provider about its batches this often.",
)
@option(
    "--lock-timeout", type=Duration(), default=0.0, metavar="TIME", help="Wait this long for another command to end."
)
@option(
    "--first-run",
    cls=Consent,
    is_flag=True,
    help="Send, though nobody can say what was sent before: batches in doubt are somebody else's.",
)
@option(
    "--plan-digest",
    cls=Consent,
    metavar="DIGEST",
    help="Send exactly what `runner plan` printed this digest of, without a question; refuse anything else.",
)
@option("--locked", is_flag=True, help="Send nothing that `runner.lock` does not know, and leave it as it is: for CI.")
@option(
    "--parallelism",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Make at most N calls at once, where each request is one.",
)
@option("-q", "--quiet", is_flag=True, help="Show only the summary and warnings.")
@option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@option(
    "--rehearse",
    "--dry-run",
    "rehearse",
    is_flag=True,
    help="Send all of it to stand-ins on this machine; needs no key, costs nothing.",
)
@selecting
@limited
@watched
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[str, ...],
    yes: bool,
    no_wait: bool,
    wait_seconds: float | None,
    poll_seconds: float | None,
    lock_timeout: float,
    guards: Guards,
    selection: Selection,
    first_run: bool,
    plan_digest: str | None,
    locked: bool,
    parallelism: int | None,
    quiet: bool,
    form: str,
    rehearse: bool,
) -> int:
    """Make the remote batch APIs match the specs at PATHS (default: specs), and wait for the results.

    Run it again and nothing happens; stop it anywhere and run it again, and nothing is lost or paid twice.

    In the place of PATHS, a FILE.json that `runner plan --out` wrote: exactly that is sent, without a question, and
    nothing at all where other requests would be sent by now.

    With --rehearse, what would be sent goes to stand-ins on this machine, and nothing but `.runner/rehearsal/` is
    written: batches, limits, cost and outputs are seen before anything is paid for.

    Exit codes: 0 done, 1 error, 3 still running, 4 some requests failed or an expectation is not met, 5 blocked,
    6 locked.
    """
    from msgspec.structs import replace

    from runner.apply.reconcile import apply
    from runner.cli import insync, keys
    from runner.cli.aftermath import report
    from runner.cli.held import Hold
    from runner.cli.opening import opened
    from runner.cli.progress import watcher
    from runner.cli.question import Question, is_asked
    from runner.clock import RealClock

    stop = threading.Event()
    terminal = watcher(RealClock(), quiet=quiet)
    finish_on_interrupt(stop, terminal.interrupted)
    given = paths or ("specs",)
    guards = replace(guards, first_run=first_run)
    hold = Hold.to(paths, plan_digest)
    if hold is not None:
        guards, given, selection = hold.allowed(guards), hold.paths or given, hold.about(selection)
        ctx.obj = hold.settings(ctx.obj)
    if rehearse:
        from runner.cli import rehearsal

        if hold is not None:
            raise click.UsageError("A rehearsal sends nothing to a remote: give it PATHS, and no plan.")
        _must_suit_a_rehearsal(waits=no_wait or wait_seconds is not None, form=form, locked=locked)
        return rehearsal.run(
            ctx.obj,
            given,
            guards,
            terminal,
            stop,
            lock_seconds=lock_timeout,
            parallelism=parallelism,
            selection=selection,
        )
    yes = yes or hold is not None  # the review was the question
    consent = keys.asker(yes=yes)
    with opened(
        ctx.obj,
        given,
        terminal,
        writes=True,
        stop=stop,
        poll_seconds=poll_seconds,
        consent=consent,
        selection=selection,
        sends=True,
    ) as session:
        session.parallelism = parallelism
        addresses = [job.address for job in session.desired]
        guards = for_project(guards, session.project, addresses, is_asked=is_asked(yes=yes))
        if locked:
            session.relocked = _locked(session)
        if hold is not None:
            guards = replace(guards, reviewed=hold.reviewed(session, guards))
        question = Question(session, yes=yes, quiet=quiet)
        try:
            result = apply(
                session,
                guards,
                confirm=question,
                wait_seconds=0.0 if no_wait else wait_seconds,
                lock_seconds=lock_timeout,
                command=f"runner apply {shlex.join(in_project(path, ctx.obj.root) for path in given)}",
            )
            if not locked:
                _keep_lock(session)
        finally:
            terminal.close()
        interrupted = stop.is_set()
        code = report(session, result, question.answer, given, form, interrupted=interrupted)
        looked_at = insync.looked_at(session) if not code and not result.has_acted else None
    insync.keep(looked_at)
    return code


def in_project(path: str, root: Path) -> str:
    """A path as it may be written down: others who read the log have the project in another folder."""
    if not Path(path).is_absolute():
        return path
    return os.path.relpath(path, root) if Path(path).is_relative_to(root) else Path(path).name


def _must_suit_a_rehearsal(*, waits: bool, form: str, locked: bool) -> None:
    """Raises UsageError for options that say nothing about one."""
    if waits:
        raise click.UsageError("A rehearsal ends by itself: leave out --no-wait and --wait.")
    if form != "text":
        raise click.UsageError("A rehearsal has no JSON form: leave out -o.")
    if locked:
        raise click.UsageError("A rehearsal sends nothing to a remote: leave out --locked.")


def _locked(session: Session) -> Callable[[Sequence[Desired]], tuple[str, ...]]:
    """Which jobs ask for what was locked. Raises BlockedError where there is no lock: then nothing is known."""
    from runner.apply import lockfile

    lock = lockfile.read(session.project)
    if lock is None:
        raise BlockedError(
            f"there is no `{session.project.lock_name}`, so nothing may be sent", hint="`runner lock` writes it"
        )
    return partial(lockfile.locked, lock, session.project.namespace)


def _keep_lock(session: Session) -> None:
    """Where there is a lock, have it say what is there now. What is wrong with it is no error of the apply."""
    name = session.project.lock_name
    if not (session.project.root / name).exists():
        return
    from runner.apply import lockfile

    try:
        lock = lockfile.read(session.project)
        if lock is not None and lockfile.keep_current(session, lock):
            session.reporter.step(f"wrote `{name}`")
    except (RunnerError, OSError) as error:
        words = error.message if isinstance(error, RunnerError) else error.strerror or str(error)
        session.reporter.warn(f"`{name}` was not written: {words}; `runner lock` does it")


def finish_on_interrupt(stop: threading.Event, say: Callable[[str], None]) -> None:
    """The first Ctrl-C finishes the call under way and stops; a second one stops at once.

    say: what a signal's handler may do.
    """

    def interrupted(signum: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        say("Stopping after the call under way; press Ctrl-C again to stop at once")

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
