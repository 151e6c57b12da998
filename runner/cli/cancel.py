"""`runner cancel`: stop batches that are in flight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.options import addresses
from runner.cli.saying import say
from runner.job.capabilities import Delivery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.errors import RunnerError
    from runner.job.recorded import Batch


@click.command("cancel")
@click.argument("address", shell_complete=addresses)
@click.argument("paths", nargs=-1)
@click.pass_context
def command(ctx: click.Context, address: str, paths: tuple[str, ...]) -> int:
    """Stop the batches in flight that the job ADDRESS asked for, in the specs or not any more.

    What has finished is kept and collected by the next `runner apply`; the rest waits for `runner retry`. Recordings
    that are on their way cannot be stopped: those without an answer are held, those not sent yet are free again.
    """
    from runner.apply.cancel import cancel_all
    from runner.cli.opening import opened
    from runner.cli.progress import aside
    from runner.clock import RealClock
    from runner.errors import RunnerError, UsageError
    from runner.job.address import matches
    from runner.state.lock import project_lock

    with (
        opened(ctx.obj, paths or ("specs",), aside(RealClock()), writes=True) as session,
        project_lock(session.home.folder, command=f"runner cancel {address}", now=session.clock.now()),
    ):
        meant = [batch for batch in session.records.batches() if batch.is_active and matches(batch.owner, address)]
        if not meant:
            raise UsageError(f"no batch of `{address}` is in flight", hint="`runner status` lists those that are")
        failures = []
        for batch, after in cancel_all(session, meant):
            if isinstance(after, RunnerError):
                failures.append((batch, after))
            else:
                _tell(batch, after)
    if any(batch.delivery is not Delivery.CALLS for batch in meant):
        say("\n`runner apply` collects what has finished", err=True)
    return _tell_failures(failures, address)


def _tell(batch: Batch, after: Batch) -> None:
    """What became of one batch."""
    from runner.cli import voice
    from runner.job.recorded import Stage

    if batch.delivery is Delivery.CALLS:
        _tell_wave(after)
    elif batch.stage is Stage.SUBMITTED:
        name = voice.plain(batch.remote_id)
        say(f"{batch.owner}  `{name}` {after.phase}, {voice.count(batch.rows, 'request')}")
    elif batch.stage is Stage.DEFERRED:
        say(f"{batch.owner}  was not sent yet; it will not be before `runner retry {batch.owner}`")
    else:
        say(f"{batch.owner}  it is not known whether it was sent; run `runner apply` first", err=True)


def _tell_failures(failures: Sequence[tuple[Batch, RunnerError]], address: str) -> int:
    """Every batch that goes on, and why; the exit code."""
    from runner.cli import voice

    for batch, error in failures:
        name = f"`{batch.remote_id}` " if batch.remote_id else ""
        say(voice.plain(f"{batch.owner}  {name}could not be stopped: {error.message}"), err=True)
    hints = [*dict.fromkeys(error.hint for _, error in failures if error.hint)]
    if failures:
        hints.append(f"then run `runner cancel {address}` again" if hints else f"run `runner cancel {address}` again")
        say(voice.lines(f"\nhint: {'; '.join(hints)}"), err=True)
    return 0 if not failures else min(error.exit_code for _, error in failures)


def _tell_wave(wave: Batch) -> None:
    """What was stopped of a wave, and what could not be."""
    from runner.cli import voice

    free, lost = wave.tally.retry, wave.tally.lost
    told = [f"{voice.count(wave.tally.finished, 'recording')} answered"]
    told += [f"{free:,} not sent"] if free else []
    told += [f"{lost:,} sent and not answered: held, since the remote cannot be told to stop"] if lost else []
    say(f"{wave.owner}  {', '.join(told)}")
    if lost:
        say(f"\n`runner state resolve {wave.owner}` lists what is held and how to decide about it", err=True)
    if free:
        say("\n`runner apply` sends what was not sent, unless its job is gone from the specs", err=True)
