"""`runner apply`: make the remotes match the specs, wait, and write the results."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import click

from runner.cli.durations import Duration
from runner.cli.habits import Consent
from runner.cli.options import Repaying, for_project, limited, option
from runner.cli.saying import columns_of, say
from runner.errors import BlockedError, RunnerError
from runner.job.capabilities import Content

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.apply.result import Result
    from runner.apply.session import Session
    from runner.cli.question import YesOrNo
    from runner.job.desired import Desired
    from runner.plan.guard import Guards

RUNNING, FAILED, BLOCKED, INTERRUPTED = 3, 4, 5, 130


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
@option("--locked", is_flag=True, help="Send nothing that `runner.lock` does not know, and leave it as it is: for CI.")
@option("--parallelism", type=click.IntRange(1, 64), metavar="N", help="Send at most N recordings at once.")
@option("-q", "--quiet", is_flag=True, help="Show only the summary and warnings.")
@option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@option(
    "--rehearse",
    "--dry-run",
    "rehearse",
    is_flag=True,
    help="Send all of it to stand-ins on this machine; needs no key, costs nothing.",
)
@limited
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
    first_run: bool,
    locked: bool,
    parallelism: int | None,
    quiet: bool,
    form: str,
    rehearse: bool,
) -> int:
    """Make the remote batch APIs match the specs at PATHS (default: specs), and wait for the results.

    Run it again and nothing happens; stop it anywhere and run it again, and nothing is lost or paid twice.

    With --rehearse, what would be sent goes to stand-ins on this machine, and nothing but `.runner/rehearsal/` is
    written: batches, limits, cost and outputs are seen before anything is paid for.

    Exit codes: 0 done, 1 error, 3 still running, 4 some requests failed or an expectation is not met, 5 blocked,
    6 locked.
    """
    from msgspec.structs import replace

    from runner.apply.reconcile import apply
    from runner.cli import keys
    from runner.cli.opening import opened
    from runner.cli.progress import watcher
    from runner.cli.question import Question, is_asked
    from runner.clock import RealClock

    stop = threading.Event()
    _finish_on_interrupt(stop)
    terminal = watcher(RealClock(), quiet=quiet)
    given = paths or ("specs",)
    if rehearse:
        if no_wait or wait_seconds is not None:
            raise click.UsageError("A rehearsal ends by itself: leave out --no-wait and --wait.")
        if form != "text":
            raise click.UsageError("A rehearsal has no JSON form: leave out -o.")
        if locked:
            raise click.UsageError("A rehearsal sends nothing to a remote: leave out --locked.")
        from runner.cli import rehearsal

        return rehearsal.run(
            ctx.obj,
            given,
            replace(guards, first_run=first_run),
            terminal,
            stop,
            lock_seconds=lock_timeout,
            parallelism=parallelism,
        )
    consent = keys.asker(yes=yes)
    with opened(
        ctx.obj, given, terminal, writes=True, stop=stop, poll_seconds=poll_seconds, consent=consent
    ) as session:
        session.parallelism = parallelism
        addresses = [job.address for job in session.desired]
        guards = for_project(guards, session.project, addresses, is_asked=is_asked(yes=yes))
        if locked:
            session.relocked = _locked(session)
        question = Question(session, yes=yes, quiet=quiet)
        try:
            result = apply(
                session,
                replace(guards, first_run=first_run),
                confirm=question,
                wait_seconds=0.0 if no_wait else wait_seconds,
                lock_seconds=lock_timeout,
                command=f"runner apply {shlex.join(given)}",
            )
            if not locked:
                _keep_lock(session)
        finally:
            terminal.close()
        return _report(session, result, question.answer, given, form, interrupted=stop.is_set())


def _locked(session: Session) -> Callable[[Sequence[Desired]], tuple[str, ...]]:
    """Which jobs ask for what was locked. Raises BlockedError where there is no lock: then nothing is known."""
    from runner.apply import lockfile

    lock = lockfile.read(session.project.root)
    if lock is None:
        raise BlockedError(f"there is no `{lockfile.NAME}`, so nothing may be sent", hint="`runner lock` writes it")
    return partial(lockfile.locked, lock, session.project.name)


def _keep_lock(session: Session) -> None:
    """Where there is a lock, have it say what is there now. What is wrong with it is no error of the apply."""
    if not (session.project.root / "runner.lock").exists():
        return
    from runner.apply import lockfile

    try:
        lock = lockfile.read(session.project.root)
        if lock is not None and lockfile.keep_current(session, lock):
            session.reporter.step(f"wrote `{lockfile.NAME}`")
    except (RunnerError, OSError) as error:
        words = error.message if isinstance(error, RunnerError) else error.strerror or str(error)
        session.reporter.warn(f"`{lockfile.NAME}` was not written: {words}; `runner lock` does it")


def _finish_on_interrupt(stop: threading.Event) -> None:
    """The first Ctrl-C finishes the call under way and stops; a second one stops at once."""

    def interrupted(signum: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        os.write(2, b"\nStopping after the call under way; press Ctrl-C again to stop at once\n")

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)


def _report(
    session: Session,
    result: Result,
    answer: YesOrNo,
    paths: Sequence[str],
    form: str = "text",
    *,
    interrupted: bool,
) -> int:
    import msgspec

    from runner.cli import errors, scorelines, standing, sums, views, voice
    from runner.cli.failures import failures_in, top_reason
    from runner.cli.question import YesOrNo
    from runner.cli.rows import ids_in
    from runner.errors import NotConfirmed
    from runner.job.scored import Verdict
    from runner.plan.change import Action

    lines = []
    asked = standing.asked_in(session.records)
    for job, part in zip(session.desired, result.plan.jobs, strict=True):
        if (accounting := result.written.get(job.address)) is not None:
            lines.append(sums.line_of(job.address, job.output, accounting))
            if accounting.error > accounting.bad and (why := top_reason(failures_in(session.output_file(job.output)))):
                lines.append(f"  ! {why}")
            lines += [f"  {words}" for words in accounting.told]
        elif part.counts.ok < part.counts.wanted or part.waits:
            there = session.output_file(job.output).exists()
            told = f"{job.output} as it was" if there else "no results file yet"
            lines.append(sums.line_of(job.address, told, part.counts))
        elif scorelines.is_news(job.address, result.scoring) or job.address in result.scoring.removed:
            lines.append(sums.line_of(job.address, job.output, part.counts))
        else:
            continue
        lines += scorelines.of_job(job.address, result.scoring)
        lines += [f"  ? {change.why}" for change in part.changes if change.action is Action.AFTER]
        if number := standing.possible_duplicates(job.address, asked):
            lines.append(f"  ! {standing.maybe_twice(number)}")
    tells = form == "text"
    for line in lines if tells else ():
        say(line)
    if not session.desired:
        say("The specs declare no job", err=True)
    ours, others = errors.by_whose(result.errors, {job.address for job in session.desired}, result.plan)
    view = views.of_plan(result.plan, [], ids_in(session.compiled))
    blocked = any(job.is_blocked for job in result.plan.jobs)
    if tells and (blocked or view.leftovers):
        say(views.text_of_plan(view, colour=voice.has_colour(), columns=columns_of(sys.stdout)))
    elif tells and not lines and not result.is_running and not ours:
        say("Nothing to do")
    for words in errors.told(others):
        say(f"{words}\n(this is about other specs; the command goes on without them)", err=True)
    awry = [one for one in ours if answer is not YesOrNo.NO or not isinstance(one.error, NotConfirmed)]
    for words in errors.told(awry):
        say(words, err=True)
    failed = any(job.counts.error for job in result.plan.jobs)
    codes = (
        (interrupted and result.is_running, INTERRUPTED),
        (errors.has_failed(awry), 1),
        (blocked or bool(awry) or answer is YesOrNo.NOBODY, BLOCKED),
        (failed or result.scoring.holds(Verdict.UNMET, Verdict.UNDECIDED), FAILED),
        (bool(result.plan.later) and not result.is_running and answer is not YesOrNo.NO, FAILED),
        (result.is_running, RUNNING),
    )
    code = next((code for holds, code in codes if holds), 0)
    if not tells:
        records = session.records.jobs()
        jobs = [standing.job_standing(part, records.get(part.address), asked) for part in result.plan.jobs]
        applied = standing.AppliedView(code, result.is_running, tuple(jobs), result.scoring.gates, view)
        click.echo(msgspec.json.format(msgspec.json.encode(applied)))
    _next_step(result, code, answer, paths)
    return code


def _next_step(result: Result, code: int, answer: YesOrNo, paths: Sequence[str]) -> None:
    """What a user does after this, on stderr."""
    from runner.cli.question import YesOrNo
    from runner.cli.suggest import as_typed
    from runner.plan.decide import ENDED_REASONS, UNSENT_REASONS

    if answer is YesOrNo.NO:
        say("\nNothing was sent", err=True)
    elif answer is YesOrNo.NOBODY:
        what = "What costs money was not sent" if result.submitted else "Nothing was sent"
        say(
            f"\n{what}: nobody is here to say yes to what it costs. "
            f"`{as_typed('runner apply -y', paths)}` says yes beforehand",
            err=True,
        )
    elif code == INTERRUPTED:
        say("\nStopped; what was sent goes on. Run the same command again to collect it", err=True)
    elif code == RUNNING and result.is_out_of_time:
        say(f"\nThe time of `--wait` is over{_left(result)}. Run the same command again to go on", err=True)
    elif code == RUNNING:
        reasons = {change.reason for _, change in result.plan.batches}
        has_ended = bool(reasons) and reasons <= ENDED_REASONS
        what = "What was sent has ended; its results are not all there yet" if has_ended else "Still running"
        if reasons <= UNSENT_REASONS:
            what = "Nothing is in flight now, and not everything is sent: the remote said to try later"
        say(f"\n{what}. Run the same command again to go on", err=True)
    elif code == FAILED and not any(job.counts.error for job in result.plan.jobs):
        say("\nNot everything is as expected: edit a check or a prompt, and run the same command again", err=True)
    elif code == FAILED:
        failed = [job for job in result.plan.jobs if job.counts.error]
        asked = [job for job in failed if job.counts.error > job.counts.bad]
        address = (asked or failed)[0].address
        if asked:
            what, then = "requests failed for good", f"`runner retry {address}` asks them again"
        else:
            what, then = "rows cannot be sent", "put them right and run the same command again"
        say(f"\nSome {what}: `runner show {address}` lists them, {then}", err=True)
    elif code == 0 and result.written:
        flawed = next((address for address, one in result.written.items() if any(one.flawed_ok.values())), None)
        if flawed is not None:
            say(f"\nDone, but some answers are flawed: `runner show {flawed}` says why, and what helps", err=True)
            return
        is_of_recordings = all(job.content is Content.RECORDING for job in result.plan.jobs)
        change = "add a recording" if is_of_recordings else "edit a row"
        say(f"\nDone. Run it again and nothing is sent; {change} and only that is sent", err=True)


def _left(result: Result) -> str:
    """`, with 40 requests in flight and 2 not sent`, and what becomes of a create that has no answer yet."""
    from runner.cli.voice import count
    from runner.job.recorded import Stage

    counts = [job.counts for job in result.plan.jobs]
    kinds = ((sum(one.in_flight for one in counts), "in flight"), (sum(one.not_sent for one in counts), "not sent"))
    left = [(number, where) for number, where in kinds if number]
    words = [f"{count(number, 'request')} {where}" for number, where in left[:1]]
    words += [f"{number:,} {where}" for number, where in left[1:]]
    unanswered = sum(batch.stage is Stage.INTENT for batch, _ in result.plan.batches)
    them = "it" if unanswered == 1 else "them"
    creates = f"; {count(unanswered, 'create')} had no answer: the next pass looks for {them} before it sends anything"
    return (f", with {' and '.join(words)}" if words else "") + (creates if unanswered else "")
