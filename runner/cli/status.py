"""`runner status`: jobs and batches, as recorded and as the remotes show them now. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.options import option

if TYPE_CHECKING:
    from runner.job.recorded import Batch
    from runner.plan.decide import Sight


@click.command("status")
@click.argument("paths", nargs=-1)
@option("--offline", is_flag=True, help="Ask no remote.")
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...], offline: bool) -> int:
    """Show every job of the specs at PATHS (default: specs), and the batches in flight."""
    from runner.apply.refresh import look
    from runner.apply.reporter import Silent
    from runner.cli import voice
    from runner.cli.opening import opened
    from runner.plan.plan import make

    with opened(ctx.obj, paths or ("specs",), Silent(), writes=False) as session:
        recorded = session.recorded()
        active = [entry.batch for entry in recorded.batches if entry.batch.is_active]
        sights = {} if offline else look(session, active).sights
        plan = make(session.desired, recorded, sights, paths=session.project.paths)
        records = session.records.jobs()
    for job in plan.jobs:
        counts = job.counts
        record = records.get(job.address)
        parts = [f"{counts.ok:,} ok", f"{counts.error:,} error"]
        parts += [f"{counts.held:,} held"] if counts.held else []
        parts += [f"{counts.in_flight:,} in flight"] if counts.in_flight else []
        parts += [f"{counts.to_submit:,} not asked"] if counts.to_submit else []
        written = f"  {record.output}, {voice.moment(record.written_at)}" if record and record.written_at else ""
        click.echo(f"{job.address}  {', '.join(parts)} of {counts.wanted:,}{written}")
    if active:
        click.echo()
    for batch in active:
        click.echo(_batch_line(batch, sights.get(batch.key)))
    return 0


def _batch_line(batch: Batch, sight: Sight | None) -> str:
    from runner.cli import voice
    from runner.job.observed import Observed
    from runner.plan.decide import CannotSee, Gone

    name = f"{batch.remote_id or batch.key}  {batch.owner}"
    since = f"since {voice.moment(batch.submitted_at or batch.intent_at)}"
    match sight:
        case Observed():
            done = sight.counts.completed + sight.counts.failed
            return f"{name}  {sight.phase}  {done:,}/{batch.rows:,}  {since}"
        case Gone():
            return f"{name}  gone from the remote  {batch.rows:,} requests"
        case CannotSee(why=why):
            return f"{name}  {batch.stage}, cannot be seen: {voice.plain(why)}  {since}"
        case None:
            return f"{name}  {batch.stage}  {batch.rows:,} requests  {since}"
