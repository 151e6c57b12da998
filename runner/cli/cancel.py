"""`runner cancel`: stop batches that are in flight."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from runner.cli.options import addresses, selecting, watched, words_for
from runner.cli.saying import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.errors import RunnerError
    from runner.job.recorded import Batch
    from runner.job.selection import Selection


_STATUS = "`runner status` lists those that are"


@click.command("cancel")
@click.argument("address", required=False, shell_complete=addresses)
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--batch", "batches", multiple=True, metavar="ID", help="Stop only this batch; may be repeated.")
@selecting
@watched
@click.pass_context
def command(
    ctx: click.Context, address: str | None, paths: tuple[str, ...], batches: tuple[str, ...], selection: Selection
) -> int:
    """Stop the batches in flight of the job ADDRESS, even if it is gone from the specs; or of the jobs selected.

    What has finished is kept and collected by the next `runner apply`; the rest waits for `runner retry`. Recordings
    that are on their way cannot be stopped: those without an answer are held, those not sent yet are free again.
    """
    from runner.apply.cancel import cancel_all
    from runner.apply.narrow import meant
    from runner.cli.opening import opened
    from runner.cli.progress import aside
    from runner.clock import RealClock
    from runner.errors import RunnerError, UsageError
    from runner.job.address import matches, unknown
    from runner.job.recorded import Stage

    address, paths = words_for(ctx, address, paths, selection)
    with (
        opened(ctx.obj, paths, aside(RealClock()), writes=True) as session,
        session.memory.lock(f"runner cancel {address}".rstrip(), clock=session.clock),
    ):
        jobs = meant(session, address, selection, writes=True) if selection else ()
        on_record, known = session.records.batches(), [job.address for job in session.desired]
        mine = [batch for batch in on_record if batch.owner in jobs or matches(batch.owner, address)]
        if not mine and not selection and not any(matches(one, address) for one in known):
            raise unknown(address, known + [batch.owner for batch in on_record])
        active = _chosen([batch for batch in mine if batch.is_active], batches)
        if not active:
            held = any(batch.stage is Stage.HELD for batch in mine)
            way = f"`runner state resolve {address or 'JOB'}` lists what is held" if held else _STATUS
            what = f"`{address}`" if address else "the selected jobs"
            raise UsageError(f"no batch of {what} is in flight", hint=way)
        failures, is_any = [], False
        for batch, after in cancel_all(session, active):
            if isinstance(after, RunnerError):
                failures.append((batch, after))
            else:
                _tell(after)
                is_any |= after.stage is Stage.SUBMITTED
    if is_any:
        say("\n`runner apply` collects what has finished", err=True)
    words = [address] if address else [w for s in selection.select for w in ("-s", s)]
    words += [w for s in selection.exclude for w in ("--exclude", s)]
    named = [word for name in batches for word in ("--batch", name)]
    return _tell_failures(failures, shlex.join(["runner", "cancel", *words, *named]))


def _chosen(active: Sequence[Batch], names: Sequence[str]) -> Sequence[Batch]:
    """The batches that go by these names, at their remote or on record; all of them where none is given."""
    from runner.errors import UsageError

    for name in names:
        if not any(name in (batch.remote_id, batch.key) for batch in active):
            raise UsageError(f"no batch `{name}` of this job is in flight", hint=_STATUS)
    return [batch for batch in active if not names or not {batch.remote_id, batch.key}.isdisjoint(names)]


def _tell(after: Batch) -> None:
    """What became of one batch."""
    from runner.cli import voice
    from runner.job.recorded import Stage

    if after.stage is Stage.SUBMITTED:
        say(f"{after.owner}  `{voice.plain(after.remote_id)}` {after.phase}, {voice.count(after.rows, 'request')}")
    elif after.stage is Stage.DROPPED:
        say(f"{after.owner}  was not sent; the next `runner apply` sends what is still wanted of it")
    elif after.has_journal:
        _tell_calls(after)
    else:
        say(f"{after.owner}  was not sent yet, and will not be sent before you run `runner retry {after.owner}`")


def _tell_failures(failures: Sequence[tuple[Batch, RunnerError]], again: str) -> int:
    """Every batch that goes on, and why; the exit code. again: the command as it was given."""
    from runner.cli import voice

    for batch, error in failures:
        name = f"`{batch.remote_id}` " if batch.remote_id else ""
        say(voice.plain(f"{batch.owner}  {name}could not be stopped: {error.message}"), err=True)
    hints = [*dict.fromkeys(error.hint for _, error in failures if error.hint)]
    if failures:
        hints.append(f"then run `{again}` again" if hints else f"run `{again}` again")
        say(voice.lines(f"\nhint: {'; '.join(hints)}"), err=True)
    return 0 if not failures else min(error.exit_code for _, error in failures)


def _tell_calls(batch: Batch) -> None:
    """What was stopped of a calls batch, and what could not be."""
    from runner.cli import voice

    free, lost = batch.tally.retry, batch.tally.lost
    told = [f"{voice.count(batch.tally.finished, batch.content.noun)} answered"]
    told += [f"{free:,} not sent"] if free else []
    told += [f"{lost:,} sent and not answered: held, since the remote cannot be told to stop"] if lost else []
    say(f"{batch.owner}  {', '.join(told)}")
    if lost:
        say(f"\n`runner state resolve {batch.owner}` lists what is held and how to decide about it", err=True)
    if free:
        say("\n`runner apply` sends what was not sent, unless its job is gone from the specs", err=True)
